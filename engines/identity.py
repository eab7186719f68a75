"""Which model a file is: SHA-256 over its bytes, remembered while the file does not change."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from results.records import digest


def file_sha256(path: Path) -> str:
    """SHA-256 (64 hex digits) of a file's bytes."""
    stat = path.stat()
    return _sha256(str(path.resolve()), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1024)
def _sha256(path: str, size: int, changed_ns: int) -> str:
    del size, changed_ns  # the memory's key only: a changed file is read again
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(folder: Path) -> str:
    """SHA-256 over the names and bytes of a folder's files, nothing hidden."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return digest({file.relative_to(folder).as_posix(): file_sha256(file) for file in files})


def model_id(name: str, identity: str) -> str:
    """A slug of the name and the first 8 hex digits of the identity."""
    slug = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.") or "model"
    return f"{slug[:80]}-{identity[:8]}"
