"""Locks on files that say whether a process lives: held by it alone, and gone with it however it ended.

flock on Linux and macOS; on Windows one byte far behind the content, since a lock there keeps others from reading.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO, Any

try:
    import fcntl

    msvcrt: Any = None
except ModuleNotFoundError:  # Windows
    import msvcrt

FAR = 1 << 30
"""Where the byte lies that is locked on Windows."""
LOOK_SECONDS = 0.02
LOOKS = 10
"""So often somebody who may only be looking is waited for, on Windows, where lookers keep each other out."""


def take_lock(file: IO[str] | IO[bytes]) -> bool:
    """Take the lock of an open file for oneself, until it is closed; False where another holds or looks at it."""
    if msvcrt is not None:
        return _byte(file, msvcrt.LK_NBLCK)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(file: IO[str] | IO[bytes]) -> None:
    """Take the lock of an open file for oneself, until it is closed, as soon as nobody holds it. Raises: OSError."""
    if msvcrt is None:
        fcntl.flock(file, fcntl.LOCK_EX)
        return
    while not _byte(file, msvcrt.LK_NBLCK):
        time.sleep(LOOK_SECONDS)


def lock_is_held(path: Path) -> bool:
    """Whether a process holds the file's lock. Several may look at once; a file that is not there is not held."""
    try:
        with path.open("rb") as file:
            if msvcrt is None:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
            for _ in range(LOOKS):
                if _byte(file, msvcrt.LK_NBLCK):
                    _byte(file, msvcrt.LK_UNLCK)
                    return False
                time.sleep(LOOK_SECONDS)
            return True
    except BlockingIOError:
        return True
    except OSError:  # not there, or removed a moment ago
        return False


def _byte(file: IO[str] | IO[bytes], how: int) -> bool:
    """Lock or unlock the byte on Windows; False where another has it. The file's position stays."""
    number = file.fileno()
    at = os.lseek(number, 0, os.SEEK_CUR)
    os.lseek(number, FAR, os.SEEK_SET)
    try:
        msvcrt.locking(number, how, 1)
    except OSError:
        return False
    finally:
        os.lseek(number, at, os.SEEK_SET)
    return True
