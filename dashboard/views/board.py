"""The scoreboard as its table wants it: texts, bars from 0 to 1, what can be measured at a click. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dashboard.escaping import plain
from dashboard.palette import GREY, Style
from dashboard.views.scoreboard import Cell, Row
from results.records import percent

MARKS = {
    "ship": ("★", "ship"),
    "highest score": ("▲", "highest score"),
    "highest score, a guess": ("?", "highest, a guess"),
    "as good": ("=", "as good"),
    "not told apart": ("≈", "not told apart"),
    "behind": ("▽", "behind"),
    "fails a limit": ("✕", "fails a limit"),
    "not measured": ("○", "not measured"),
    "not compared": ("○", "not compared"),
}
"""A sign and words for each standing; colour says nothing that these do not."""


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    key: str
    """What rows are sorted by: a test, or a key of `scoreboard.KEYS`."""
    title: str
    help: str = ""
    is_test: bool = False
    less_is_better: bool = False
    percent: bool = False


NAMES = {"humaneval": "HumanEval", "humaneval+": "HumanEval+", "mbpp": "MBPP", "mbpp+": "MBPP+", "heldout": "Held-out"}
OTHERS = (
    Column("first_token", "First token, s", "Median seconds to the first token", less_is_better=True),
    Column("speed", "Tokens/s", "Median speed of one answer"),
    Column("bytes", "MB", "Size of the files that ship, the base included", less_is_better=True),
    Column("votes", "Votes", "Votes in Chat and Arena that it was part of"),
)


Measure = Callable[[Row, Column], str]
"""What the button of a missing figure says; "" where nothing can measure it."""
Scale = tuple[float, float, float | None]
"""The least and the greatest value of a test's bars, and the baseline's."""
USUAL_TESTS = 4
"""So many tests are columns unless others are picked: more do not fit a screen."""


def columns(tests: Sequence[str]) -> list[Column]:
    """The columns that there are, the tests first."""
    found = []
    for test in tests:
        bits = test == "heldout"
        said = "Bits per byte of held-out rows: less is better" if bits else "Share passed, with its 95 % interval"
        found.append(Column(test, NAMES.get(test, test), said, is_test=True, less_is_better=bits, percent=not bits))
    return [*found, *OTHERS]


def usual(every: Sequence[Column]) -> list[str]:
    """The keys of the columns that are shown unless others are picked."""
    tests = [one.key for one in every if one.is_test]
    return tests[:USUAL_TESTS] + [one.key for one in every if not one.is_test]


def next_sort(present: str, clicked: str, every: Sequence[Column]) -> str:
    """What the address keeps after a click on a column: its key, with `-` before it where the greatest are first.

    The best first; a second click turns it round. By standing, best first, nothing is kept.
    """
    known = {one.key: one for one in every}
    if clicked not in known and clicked not in ("standing", "name"):
        return present
    rises = clicked in ("standing", "name") or known[clicked].less_is_better
    first, second = (clicked, f"-{clicked}") if rises else (f"-{clicked}", clicked)
    found = second if (present or "standing") == first else first
    return "" if found == "standing" else found


def sorted_by(kept: str, every: Sequence[Column]) -> tuple[str, bool]:
    """(key, whether the greatest are first) of what the address keeps; by standing where it means nothing."""
    key = kept.removeprefix("-")
    known = key in ("standing", "name") or any(one.key == key for one in every)
    return (key, kept.startswith("-")) if known else ("standing", False)


def payload(
    rows: Sequence[Row],
    shown: Sequence[Column],
    styles: Mapping[str, Style],
    *,
    measure: Measure,
    sort: tuple[str, bool],
    opened: str = "",
) -> dict[str, Any]:
    """What the table is drawn from.

    sort: the key that the rows are sorted by, and whether the greatest are first. opened: a row's id.
    """
    scales = {one.key: _scale(rows, one) for one in shown if one.is_test}
    table = []
    for row in rows:
        sign, words = MARKS.get(row.standing, ("·", row.standing))
        table.append(
            {
                "id": row.id,
                "sign": sign,
                "standing": words,
                "name": plain(row.name, 60),
                "base": "" if row.base == row.name else plain(row.base.rstrip("/").rpartition("/")[2], 40),
                "colour": styles.get(row.id, Style(GREY)).colour,
                "formats": [[badge, plain(name, 80)] for badge, name in row.formats],
                "baseline": row.baseline,
                "opened": row.id == opened,
                "cells": [_cell(row, one, scales.get(one.key), measure) for one in shown],
            }
        )
    heads = [
        {
            "key": one.key,
            "title": plain(one.title, 40),
            "help": one.help,
            "sorted": ("descending" if sort[1] else "ascending") if one.key == sort[0] else "none",
        }
        for one in [Column("standing", "Standing"), Column("name", "Fine-tune"), *shown]
    ]
    return {"columns": heads, "rows": table}


def _scale(rows: Sequence[Row], column: Column) -> Scale:
    """(least, greatest, the baseline's value) of a test's bars; shares reach from 0 to 1."""
    cells = [row.scores[column.key] for row in rows if column.key in row.scores]
    beside = next((row.scores[column.key].value for row in rows if row.baseline and column.key in row.scores), None)
    if column.percent:
        return 0.0, 1.0, beside
    ends = [end for one in cells for end in (one.value, one.low, one.high) if end is not None]
    least, greatest = min(ends, default=0.0), max(ends, default=1.0)
    return least, greatest if greatest > least else least + 1.0, beside


def _cell(
    row: Row, column: Column, scale: tuple[float, float, float | None] | None, measure: Measure
) -> dict[str, Any]:
    if not column.is_test:
        return _cost(row, column, measure)
    cell = row.scores.get(column.key)
    if cell is None or scale is None:
        return {"text": "", "measure": measure(row, column)}
    text = percent(cell.value) if column.percent else f"{cell.value:.3f}"
    return {
        "text": text,
        "bar": [_place(end, scale) for end in (cell.low, cell.value, cell.high, scale[2])],
        "difference": "" if row.baseline else _difference(cell, column),
        "pairs": "" if row.baseline or cell.gained is None else f"▲{cell.gained} ▼{cell.lost}",
        "said": said(cell, column),
        "odd": bool(cell.note),
    }


def _cost(row: Row, column: Column, measure: Measure) -> dict[str, Any]:
    if column.key == "bytes":
        return {"text": f"{row.bytes / 1e6:,.0f}" if row.bytes else "–"}
    if column.key == "votes":
        return {"text": f"{row.votes}" if row.votes else "–"}
    cell = row.first_token if column.key == "first_token" else row.speed
    if cell is None:
        return {"text": "", "measure": measure(row, column)}
    text = f"{cell.value:.2f}" if column.key == "first_token" else f"{cell.value:.0f}"
    return {"text": text, "said": cell.note, "odd": bool(cell.note)}


def _place(value: float | None, scale: Scale) -> float | None:
    if value is None:
        return None
    return round(min(1.0, max(0.0, (value - scale[0]) / (scale[1] - scale[0]))), 4)


def _difference(cell: Cell, column: Column) -> str:
    if cell.difference is None:
        return ""
    if abs(cell.difference) < (0.005 if column.percent else 0.0005):
        return "±0"
    return f"{100 * cell.difference:+.0f}" if column.percent else f"{cell.difference:+.3f}"


def said(cell: Cell, column: Column) -> str:
    """A score in whole words, for who points at it or hears it."""
    scale, unit, digits = (100, " %", 1) if column.percent else (1, " bits per byte", 3)
    words = f"{column.title}: {scale * cell.value:.{digits}f}{unit}"
    if cell.low is not None and cell.high is not None:
        words += f", 95 % interval {scale * cell.low:.{digits}f} to {scale * cell.high:.{digits}f}"
    words += f", {cell.n:,} items"
    if cell.difference is not None:
        words += f"; {scale * cell.difference:+.{digits}f} against the baseline"
    if cell.gained is not None:
        words += f", {cell.gained} gained and {cell.lost} lost"
    return plain(words + (f". {cell.note}" if cell.note else ""), 300)


def frame(rows: Sequence[Row], shown: Sequence[Column]) -> pd.DataFrame:
    """The table as rows to download: every figure in its own unit, a score with its interval and items."""
    found = []
    for row in rows:
        line: dict[str, object] = {
            "fine_tune": row.name, "base": row.base, "formats": " ".join(name for _, name in row.formats),
            "standing": row.standing, "baseline": row.baseline,
        }  # fmt: skip
        for one in shown:
            cell = row.scores.get(one.key) if one.is_test else getattr(row, one.key)
            if isinstance(cell, Cell) or cell is None:
                parts = (
                    ("value", "low", "high", "n", "difference", "gained", "lost", "note") if one.is_test else ("value",)
                )
                line |= {
                    f"{one.key}_{part}" if part != "value" else one.key: getattr(cell, part, None) for part in parts
                }
            else:
                line[one.key] = cell
        found.append(line)
    return pd.DataFrame(found)
