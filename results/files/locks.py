"""Locks on files that say whether a process lives: held by it alone, and gone with it however it ended."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO


def take_lock(file: IO[str] | IO[bytes]) -> bool:
    """Take the lock of an open file for oneself, until it is closed; False where another holds or looks at it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_is_held(path: Path) -> bool:
    """Whether a process holds the file's lock. Several may look at once; a file that is not there is not held."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # not there, or removed a moment ago
        return False
    return False
