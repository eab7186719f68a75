"""Which model a file is: SHA-256 over its bytes, remembered while the file does not change."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from results.records import digest

_known: dict[tuple[int, int, int, int], str] = {}
"""SHA-256 by device, inode, size and time of change: a renamed file is still known, a changed one is read again."""


def file_sha256(path: Path) -> str:
    """SHA-256 (64 hex digits) of a file's bytes."""
    key = _key(path)
    if key not in _known:
        with path.open("rb") as file:
            _known[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _known[key]


def remember_sha256(path: Path, sha256: str) -> None:
    """Keep the digest of a file that was taken while it was written, so that nobody reads it again for that."""
    _known[_key(path)] = sha256


def _key(path: Path) -> tuple[int, int, int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def folder_sha256(folder: Path) -> str:
    """SHA-256 over the names and bytes of a folder's files, nothing hidden."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return digest({file.relative_to(folder).as_posix(): file_sha256(file) for file in files})


def model_id(name: str, identity: str) -> str:
    """A slug of the name and the first 8 hex digits of the identity."""
    slug = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.") or "model"
    return f"{slug[:80]}-{identity[:8]}"
