"""A folder in which something is made before it takes its place, all at once.

    with making(place) as work:
        write(work / "model.gguf")
        work.rename(place / "model")

What a killed process left half made goes when something is made there the next time.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from results.files.locks import take_lock, wait_for_lock

PREFIX = ".making-"
LOCK = ".lock"
"""Ending of the file beside a folder that its maker holds locked, for as long as it lives."""


@contextmanager
def making(place: Path) -> Iterator[Path]:
    """An empty folder in `place`, which must be there; what of it was not moved away is removed at the end."""
    with (place / f"{PREFIX}all{LOCK}").open("wb") as all_:
        wait_for_lock(all_)  # for as long as it takes to look; makers are not waited for
        _clear(place)
        folder = Path(tempfile.mkdtemp(dir=place, prefix=PREFIX))
        own = _lock_of(folder).open("wb")
        wait_for_lock(own)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _lock_of(folder).unlink(missing_ok=True)
        own.close()


def _clear(place: Path) -> None:
    """Remove the folders whose makers are gone."""
    for folder in place.glob(f"{PREFIX}*"):
        if not folder.is_dir():
            continue
        with suppress(OSError), _lock_of(folder).open("wb") as lock:
            if take_lock(lock):
                shutil.rmtree(folder, ignore_errors=True)
                _lock_of(folder).unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + LOCK)
