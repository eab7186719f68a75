"""JSON of unknown origin, within bounds: depth, digits, how many values, keys given twice.

NaN and Infinity are numbers, as Python writes them. An integer has at most as many digits as Python converts (4,300).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results.errors import FileUnreadable

MOST_DEPTH = 100
"""Containers within containers: programs walk values by calling themselves, and Python ends that at about 1,000."""

MOST_VALUES = 10_000_000
"""Values of one file: an empty list takes two bytes there and 64 in memory."""


def parse_json(text: str, path: Path, where: str = "", once: bool = False) -> Any:
    """One JSON text of a file; `where` (", line 3") goes into the refusal. Raises: FileUnreadable."""
    if json_values(text) > MOST_VALUES:
        raise FileUnreadable(path, f"holds more than {MOST_VALUES:,} values{where}; split it")
    try:
        value = json.loads(text, object_pairs_hook=_single_keys) if once else json.loads(text)
    except (RecursionError, MemoryError) as error:
        raise FileUnreadable(path, f"nested too deeply{where}") from error
    except ValueError as error:  # malformed, an integer of thousands of digits, or a key twice
        said = f"{error.msg} (column {error.colno})" if where and isinstance(error, json.JSONDecodeError) else error
        raise FileUnreadable(path, f"not valid JSON{where}: {said}") from error
    if text.count("[") + text.count("{") > MOST_DEPTH and too_deep(value):
        raise FileUnreadable(path, f"nested too deeply{where}: more than {MOST_DEPTH} containers in each other")
    return value


def too_deep(value: Any, most: int = MOST_DEPTH) -> bool:
    """Whether lists and dictionaries lie in each other more than so many deep. Takes no stack."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


class Count:
    """How many values the lines of a file hold together."""

    def __init__(self) -> None:
        self.values = 0

    def add(self, line: str, path: Path, where: str) -> None:
        """Count a line's. Raises: FileUnreadable beyond MOST_VALUES."""
        self.values += json_values(line, MOST_VALUES - self.values)
        if self.values > MOST_VALUES:
            raise FileUnreadable(path, f"holds more than {MOST_VALUES:,} values up to{where.lstrip(',')}; split it")


def json_values(text: str, enough: int = MOST_VALUES) -> int:
    """How many values a JSON text can hold at most; beyond `enough` counted exactly, in a little memory."""
    count = 1 + _separators(text)
    return count if count <= enough else 1 + _exactly(text)


def _separators(text: str) -> int:
    """How many values a text can hold at most, counted where counting is quick."""
    return text.count(",") + text.count("[") + text.count("{")


def _exactly(text: str) -> int:
    """The same outside the texts that it holds: every second piece between quotation marks."""
    count, quoted, start = 0, False, 0
    while start < len(text):
        end = min(len(text), start + WINDOW)
        while end < len(text) and text[end - 1] == "\\":  # what is escaped stays with its backslash
            end += 1
        pieces = text[start:end].replace("\\\\", "").replace('\\"', "").split('"')
        count += sum(map(_separators, pieces[quoted::2]))
        quoted ^= len(pieces) % 2 == 0
        start = end
    return count


WINDOW = 1 << 20
"""Characters that are counted at a time."""


def _single_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found
