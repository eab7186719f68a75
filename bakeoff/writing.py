"""Everything that a command will write is tried before anything is spent: hours of training end in no such folder.

Tried by writing: a user's rights say nothing of a disk that is full or mounted read-only.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from results import Workspace
from results.errors import BakeoffError

PROBE_BYTES = 1 << 16

PARTS = ("", "runs", "models", "exports", "cache", "spool")
"""Folders of a workspace that long work writes into."""

TEMPORARY = ("TMPDIR", "TEMP", "TMP")
"""Environment variables that name the temporary folder; one that cannot be used is passed over without a word."""


def writable(path: Path | None) -> Workspace:
    """The workspace at `path`, or where `Workspace.open` finds it, for a command that will write.

    Raises: BakeoffError naming the folder of workspace, cache or temporary files that takes no file, and the remedy.
    """
    import engines

    place = Workspace.open(path)
    place.folder()
    for part in PARTS:
        folder = place.path / part
        if folder.exists() or folder.is_symlink():
            _try(folder, "a workspace's files", "choose a workspace you may write with --workspace")
    _try(engines.cache_folder(), "cached files", "name another: BAKEOFF_CACHE=FOLDER")
    named = next((name for name in TEMPORARY if os.environ.get(name)), "")
    if named:
        _try(Path(os.environ[named]), f"temporary files ({named})", f"name another: {named}=FOLDER")
    else:
        try:
            _try(Path(tempfile.gettempdir()), "temporary files", "name another: TMPDIR=FOLDER")
        except FileNotFoundError as error:
            raise BakeoffError("there is no folder for temporary files; name one: TMPDIR=FOLDER") from error
    return place


def _try(folder: Path, whose: str, remedy: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".trying-") as file:
            file.write(b"\0" * PROBE_BYTES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BakeoffError(f"{folder}, where {whose} go, cannot be written: {reason}; {remedy}") from error
