"""Lists on the terminal: JSON for programs, a table for people, and a sentence where there is nothing.

JSON has no NaN or infinity: they are the strings "NaN", "Infinity" and "-Infinity". Names may come from anywhere, so
control characters and direction marks are shown as escapes and cannot act on the terminal.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool, empty: str) -> None:
    """Print rows. columns: heading → the row's key, for the table; JSON has every key. empty: what to do about none."""
    if as_json:
        print(json.dumps([_json_value(row) for row in rows], indent=1))
        return
    console = output()
    if not rows:
        console.print(empty, markup=False)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, key in columns.items():
        numeric = all(isinstance(row[key], int | float | None) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        table.add_row(*(Text(cell(row[key])) for key in columns.values()))
    console.print(table)


def fields(record: object, names: Sequence[str]) -> dict[str, Any]:
    """A row of a record's attributes."""
    return {name: getattr(record, name) for name in names}


def output() -> Console:
    """Where tables go: as wide as the terminal, and wide enough not to fold words in a pipe or log."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def cell(value: Any) -> str:
    """A value as a person reads it; – for none."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return printable(str(value))


def printable(text: str) -> str:
    """Text that cannot act on a terminal, at most 200 characters of it."""
    return spelt_out(text if len(text) <= 200 else text[:199] + "…")


def spelt_out(text: str, kept: str = "") -> str:
    """Text that cannot act on a terminal, whole. kept: control characters that may stay."""
    return "".join(
        character
        if character in kept or unicodedata.category(character)[0] != "C"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def _json_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
