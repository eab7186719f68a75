"""Processes that stand still or have ended, for certain: one that was sent a signal runs on for a while and answers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PATIENCE_SECONDS = 120.0
"""Far more than any machine needs to deliver a signal; then the test says what did not happen."""


def stand_still(pid: int) -> None:
    """Send SIGSTOP and wait until every thread has stopped."""
    os.kill(pid, signal.SIGSTOP)
    _wait(pid, "T")


def end(pid: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Send a deadly signal and wait until it has taken effect; whoever started the process still has to notice."""
    os.kill(pid, by)
    _wait(pid, "")


@contextmanager
def dying(pid: int, by: signal.Signals = signal.SIGKILL) -> Iterator[None]:
    """A process that takes what the block sends and answers nothing, and dies meanwhile."""
    stand_still(pid)

    def kill() -> None:
        time.sleep(0.3)
        os.kill(pid, by)
        with suppress(ProcessLookupError):  # SIGKILL ends what is stopped; anything else once it goes on
            os.kill(pid, signal.SIGCONT)

    killing = threading.Thread(target=kill)
    killing.start()
    yield
    killing.join()


def running(module: str) -> list[psutil.Process]:
    """The processes below this one that run a module; none that has ended and waits for its parent to take note."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if module in child.cmdline():
                found.append(child)
    return found


def _wait(pid: int, wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (states := _states(pid)) - set(wanted + "ZX"):
        assert time.monotonic() < deadline, f"process {pid} is still {states}"
        time.sleep(0.001)


def _states(pid: int) -> set[str]:
    """The letters of its threads in `ps`: R runs, S sleeps, T stopped, Z ended; none if it is gone."""
    found = set()
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.add((task / "stat").read_text().rpartition(")")[2].split()[0])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found
