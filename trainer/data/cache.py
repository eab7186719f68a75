"""Filtered conversations kept in the workspace: a resumed or repeated command does not filter 100,000 rows again.

Only what can be recognised as unchanged is kept: built-ins, local files and Hub data of a named revision. Safe to
delete.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from results import Workspace
from results.records import digest
from trainer.experiment.schema import Data
from trainer.sources.conversations import Conversation, Reading
from trainer.sources.location import BUILT_IN, is_local
from trainer.sources.shelf import Shelf
from trainer.sources.stdlib import stdlib_version

EDITION = 3
"""Raised when reading or filtering changes what comes out."""


def cached_reading(data: Data, workspace: Workspace) -> Reading | None:
    """What `keep_reading` kept for the same data section and unchanged files; None otherwise, or when damaged."""
    key = _key(data)
    path = workspace.path / "cache" / f"rows-{key}.jsonl"
    if key is None or not path.is_file():
        return None
    rows = Shelf()
    try:
        with path.open(encoding="utf-8") as lines:
            report = json.loads(next(lines))
            for line in lines:
                rows.append(_conversation(json.loads(line)))
    except (OSError, ValueError, TypeError, KeyError, StopIteration):
        return None
    return Reading(rows, report) if len(rows) == report.get("kept") else None


def _conversation(kept: dict[str, Any]) -> Conversation:
    return Conversation(**{**kept, "messages": tuple(kept["messages"]), "tools": tuple(kept["tools"])})


def _kept(row: Conversation) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row)}


def keep_reading(data: Data, workspace: Workspace, reading: Reading) -> None:
    """Keep a reading; whole or not at all."""
    key = _key(data)
    if key is None:
        return
    folder = workspace.folder("cache")
    handle, name = tempfile.mkstemp(dir=folder, prefix="rows-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(json.dumps(reading.report) + "\n")
            file.writelines(json.dumps(_kept(row)) + "\n" for row in reading.rows)
        Path(name).replace(folder / f"rows-{key}.jsonl")
    finally:
        Path(name).unlink(missing_ok=True)


def _key(data: Data) -> str | None:
    """Digest of the data section and of what its files are; None when a source may change unseen."""
    stamps: dict[str, Any] = {"edition": EDITION, "python": stdlib_version()}
    for source in data.sources:
        if is_local(source):
            path = Path(source.name).expanduser()
            files = sorted(file for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
            stamps[source.name] = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
        elif source.name not in BUILT_IN and not source.revision and "://" not in source.name:
            return None
    for benchmark in data.decontaminate:
        path = Path(benchmark).expanduser()
        stamps[f"benchmark {benchmark}"] = [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else None
    return digest({"data": data.model_dump(mode="json"), "stamps": stamps})[:24]
