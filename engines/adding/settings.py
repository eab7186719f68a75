"""JSON files beside weights, read within bounds: what cannot be read is no settings, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engines.errors import FileRefused
from results import FileUnreadable, read_json

LARGEST = 64 << 20
"""Bytes. A tokenizer.json of 256,000 words has 34 MB; settings have kilobytes."""


def read_settings(file: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is no such file.

    Raises: FileRefused for one that is damaged, too large or holds something else.
    """
    if not file.is_file():
        return {}
    try:
        found = read_json(file, most=LARGEST)
    except FileUnreadable as error:
        raise FileRefused(f"{error}. Save the model again.") from error
    if not isinstance(found, dict):
        raise FileRefused(f"{file} holds no settings but a {type(found).__name__}. Save the model again.")
    return found
