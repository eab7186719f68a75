"""A page put into its folder: whole or not at all, and byte for byte the same where nothing changed.

Everything but `index.html` has its digest in its name, so the new files come beside the old, `index.html` is replaced
in one step, and what only the old page needed goes last. Who is killed in between leaves one whole page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from dashboard.errors import PageRefused
from results import file_start, open_plain, take_lock

INDEX = "index.html"
PART = ".part"
"""Ending of a file that is being written."""
COPIED_BYTES = 1 << 22
MARK = '<meta name="generator" content="bakeoff '
"""What a page of ours is known by."""
OUR_WORD = "bakeoff"
"""What a Dockerfile of ours has in its first lines."""
OURS = re.compile(r"[a-z]+(?:-[A-Za-z0-9_.@-]*)?-[0-9a-f]{12}\.(?:json|js|wasm|txt|gguf)")
"""Names of files that go with a page: the digest's beginning stands before the ending."""


def put(folder: Path, html: str, files: Mapping[str, bytes | Path]) -> dict[str, int]:
    """Write a page and its files into a folder, which is made; returns bytes by name.

    files: by name, which holds the content's digest; a Path is copied. What else is in the folder stays.
    Raises: PageRefused where `index.html` there is not ours, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        index = folder / INDEX
        if index.exists() and MARK not in _start(index):
            raise PageRefused(f"{index} is no page of bakeoff's: name another folder, or move it away")
        _clear(folder)
        sizes = {}
        for name, content in files.items():
            place = folder / name
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
            if isinstance(content, bytes) or not place.is_file() or place.stat().st_size != size:
                _write(place, content)
            sizes[name] = size
        _write(index, html.encode("utf-8"))
        for path in folder.iterdir():
            if path.name not in files and OURS.fullmatch(path.name) and path.is_file():
                path.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error
    return {INDEX: len(html.encode("utf-8")), **sizes}


def put_beside(folder: Path, files: Mapping[str, bytes | Path], owned: Collection[str]) -> dict[str, int]:
    """Write further files into a folder, the last one last, each whole; returns bytes by name.

    files: by their place in the folder, sub-folders with it. owned: sub-folders in which nothing else stays.
    Raises: PageRefused where the last one is there and not ours, or the folder cannot be written.
    """
    last = folder / list(files)[-1]
    try:
        if last.exists() and OUR_WORD not in _start(last):
            raise PageRefused(f"{last} is not of bakeoff's making: name another folder, or move it away")
        for name, content in files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            _clear(place.parent)
            _write(place, content)
        for path in (path for name in owned for path in (folder / name).iterdir()):
            if path.relative_to(folder).as_posix() not in files and path.is_file():
                path.unlink()
        return {name: (folder / name).stat().st_size for name in files}
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> PageRefused:
    return PageRefused(f"{folder} cannot be written: {error.strerror or error}; name another: --output FOLDER")


def _start(path: Path) -> str:
    return file_start(path, 4096).decode("utf-8", "replace")


def _clear(folder: Path) -> None:
    """Remove what a killed publish left half written; who is at work holds its part locked."""
    for part in folder.glob(f".*{PART}"):
        with suppress(OSError), part.open("wb") as file:
            if take_lock(file):
                part.unlink()


def _write(place: Path, content: bytes | Path) -> None:
    """The whole file under its name, or nothing; readable to others as far as the account's own files are."""
    part = place.with_name(f".{place.name}.{os.getpid()}{PART}")
    try:
        with part.open("wb") as file:
            take_lock(file)
            if isinstance(content, bytes):
                file.write(content)
            else:
                with open_plain(content) as source:
                    while piece := source.read(COPIED_BYTES):
                        file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            part.replace(place)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
