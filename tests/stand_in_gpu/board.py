"""How a test gives its child processes stand-in GPUs, and what it reads of them afterwards.

    environment = board.environment("2xt4", tmp_path)      # for subprocess
    board.processes(tmp_path)                              # who used them, even if killed

The figures lie in a file that every process maps into its memory: nothing is lost with a process that is killed.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stand_in_gpu import library

HERE = Path(__file__).resolve().parent
DEVICES, PROCESSES = 8, 1024
"""As in device.h."""

HEAD = struct.Struct(f"<q{DEVICES}q")
ROW = struct.Struct(f"<qq{4 * DEVICES}q")


@dataclass(frozen=True)
class Use:
    """What one process did on one GPU."""

    bytes: int
    """Held now, or when it ended, until another process opens the device."""
    peak: int
    """Most bytes it ever held."""
    launches: int
    """Operations that ran on the device."""
    synchronisations: int
    """Times that the host had to wait for it."""


@dataclass(frozen=True)
class Process:
    """A process that opened the device."""

    pid: int
    parent: int
    uses: tuple[Use, ...]
    """By the number of the physical GPU, whatever CUDA_VISIBLE_DEVICES calls it."""

    @property
    def gpus(self) -> tuple[int, ...]:
        """Numbers of the GPUs that it held memory of."""
        return tuple(number for number, use in enumerate(self.uses) if use.peak)


def skip_without() -> None:
    """Skip a test, with the reason, where the stand-in cannot be built; build it where it can."""
    if reason := library.missing():
        pytest.skip(reason)
    library.library()


def environment(kind: str, record: Path, **more: str) -> dict[str, str]:
    """This process's environment with stand-in GPUs of a kind, whose use is recorded in a folder."""
    path = os.pathsep.join(part for part in (str(HERE), os.environ.get("PYTHONPATH", "")) if part)
    kept = {key: value for key, value in os.environ.items() if key not in ("CUDA_VISIBLE_DEVICES", "BAKEOFF_DEVICE")}
    own = {"PYTHONPATH": path, "BAKEOFF_STAND_IN_GPU": kind, "BAKEOFF_STAND_IN_GPU_RECORD": str(record)}
    return kept | own | {"OMP_NUM_THREADS": "1"} | more


def processes(record: Path) -> list[Process]:
    """The processes that opened the device, in that order."""
    data = _data(record)
    found = []
    for number in range(min(PROCESSES, HEAD.unpack_from(data)[0] if data else 0)):
        pid, parent, *words = ROW.unpack_from(data, HEAD.size + number * ROW.size)
        uses = tuple(Use(*words[4 * gpu : 4 * gpu + 4]) for gpu in range(DEVICES))
        found.append(Process(pid, parent, uses))
    return found


def peaks(record: Path) -> tuple[int, ...]:
    """Most bytes that all processes held of each GPU at one time."""
    data = _data(record)
    return tuple(HEAD.unpack_from(data)[1:]) if data else (0,) * DEVICES


def _data(record: Path) -> bytes:
    file = record / "board"
    return file.read_bytes() if file.is_file() else b""
