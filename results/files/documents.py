"""Documents that other people made: JSON, JSON Lines and YAML, out of files that are read within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from results.files.reading import LARGEST_BYTES, read_text, text_lines
from results.files.values import Count, parse_json
from results.files.yaml_text import LARGEST_YAML_BYTES, safe_yaml


def read_json(path: Path, once: bool = False, most: int = LARGEST_BYTES) -> Any:
    """A JSON file. once: a key that stands twice in an object is refused. Raises: FileUnreadable."""
    return parse_json(read_text(path, most), path, once=once)


def json_lines(path: Path, once: bool = False, most: int = LARGEST_BYTES) -> Iterator[tuple[int, Any]]:
    """(line number, value) of each line that is not blank, one in memory at a time.

    Raises: FileUnreadable naming the line.
    """
    count = Count()
    for number, line in text_lines(path, most):
        count.add(line, path, f", line {number}")
        yield number, parse_json(line, path, f", line {number}", once)


def read_yaml(path: Path) -> Any:
    """The value of a YAML file. Raises: FileUnreadable naming the line."""
    return safe_yaml(read_text(path, LARGEST_YAML_BYTES), path)
