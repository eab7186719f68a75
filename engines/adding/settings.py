"""JSON files beside weights, read within bounds: what cannot be read is no settings, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engines.errors import FileRefused

LARGEST = 64 << 20
"""Bytes. A tokenizer.json of 256,000 words has 34 MB; settings have kilobytes."""


def read_settings(file: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is no such file.

    Raises: FileRefused for one that is damaged, too large or holds something else.
    """
    if not file.is_file():
        return {}
    if file.stat().st_size > LARGEST:
        raise FileRefused(f"{file} has {file.stat().st_size:,} bytes, too many for settings. Save the model again.")
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileRefused(f"{file} cannot be read: {' '.join(str(error).split())}. Save the model again.") from error
    if not isinstance(found, dict):
        raise FileRefused(f"{file} holds no settings but a {type(found).__name__}. Save the model again.")
    return found
