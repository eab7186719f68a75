"""Files that people drop on a page: kept in the workspace, under the digest of what is in them.

The path that an experiment's record names therefore says which bytes were read, and the same file dropped twice is one.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from results import Workspace

FOLDER = "uploads"
DIGITS = 16
"""Hexadecimal digits of the SHA-256 that name a file's folder."""


def keep(workspace: Workspace, name: str, content: bytes) -> Path:
    """Keep a file as `uploads/<digest>/<name>`, and return its path; one that is there already stays as it is.

    Raises: BakeoffError or OSError where the workspace cannot be written.
    """
    safe = re.sub(r"[^\w .()+-]+", "_", Path(name).name).strip(" .")[-80:] or "file"
    path = workspace.folder(FOLDER, hashlib.sha256(content).hexdigest()[:DIGITS]) / safe
    if not path.exists():
        half = path.with_name(path.name + ".half")  # a page that looks meanwhile sees the whole file or none
        half.write_bytes(content)
        half.replace(path)
    return path


def listed(workspace: Workspace) -> dict[str, Path]:
    """Kept files, the newest first: `shop.csv (1a2b3c4d)` → its path."""
    root = workspace.path / FOLDER
    files = [path for path in root.glob("*/*") if path.suffix != ".half"] if root.is_dir() else []
    return {called(path): path for path in sorted(files, key=lambda path: (-path.stat().st_mtime_ns, path.name))}


def called(path: Path) -> str:
    """What a page calls a kept file: its name, and enough of its digest to tell it from another of that name."""
    return f"{path.name} ({path.parent.name[:8]})"
