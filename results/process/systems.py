"""What the operating system is and gives: the one place that asks. Linux first; macOS and Windows have less.

    processors()     # how many this process may compute on
    system()         # "Linux", "macOS" or "Windows"

What cannot be had is left out where it only adds safety or a figure, and refused by name (`missing`) where it is the
matter itself. Locks on files are in `results.files.locks`.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import sys
from typing import Any

import psutil

try:
    import resource as _resource

    resource: Any = _resource
except ModuleNotFoundError:  # Windows
    resource = None

KILLED = -9
"""Exit status of a process that was killed, where the system tells signals."""
HANG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""The signal of a terminal that closes; None on Windows."""


def system() -> str:
    """The system's name as people say it."""
    name = platform.system()
    return "macOS" if name == "Darwin" else name


def processors() -> int:
    """How many processors this process may use: those it is bound to, where the system knows, else all; 1 or more."""
    bound: Any = getattr(os, "sched_getaffinity", None)
    return len(bound(0)) if bound else os.cpu_count() or 1


def load_average() -> float:
    """Processes that wanted a processor over the last minute; on Windows psutil counts them, from its first call on."""
    return float(psutil.getloadavg()[0])


def peak_rss_bytes() -> int:
    """The largest resident size this process has had."""
    if resource is None:
        return int(psutil.Process().memory_info().peak_wset)
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def bound_memory(limit: int) -> None:
    """Bound this process's address space, in bytes, on Linux; elsewhere it stays without a bound."""
    if resource is not None and system() == "Linux":
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def leave_no_core() -> None:
    """Write no image of this process to the disk if it crashes."""
    if resource is not None:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def missing(what: str) -> str:
    """Why something of Linux's alone is not here, with the remedy, in one sentence; "" on Linux."""
    if (name := system()) == "Linux":
        return ""
    return (
        f"{what}, which {name} has not: do it on Linux, in a container (docs/docker.md) or in WSL; all else works here"
    )
