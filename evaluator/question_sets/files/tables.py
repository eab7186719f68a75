"""Tables as CSV: comma, semicolon, tab or bar; Excel's `sep=`; a row that does not fit is named with its line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from evaluator.errors import BenchmarkUnreadable
from results import read_text

MOST_CELL_CHARACTERS = 2**24


def table_rows(path: Path) -> Iterator[tuple[int, dict[str, str] | str]]:
    """(line, row by the header's names, or what is wrong with it) of each row that is not blank.

    Raises: BenchmarkUnreadable without a header, for two columns of one name, or where quotes do not close;
    FileUnreadable.
    """
    text, skipped = read_text(path), 0
    if said := re.match(r'"?sep=(.)"?\r?\n', text, re.IGNORECASE):
        text, skipped = text[said.end() :], 1
    first = re.sub(r'"[^"]*"', "", text.lstrip("\r\n").split("\n", 1)[0])
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    separator = said[1] if said else max((usual, ",", ";", "\t", "|"), key=lambda one: (first.count(one), one == usual))
    csv.field_size_limit(MOST_CELL_CHARACTERS)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    before = 0
    try:
        for cells in rows:
            line, before = before + 1 + skipped, rows.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(cells, path)
            elif len(cells) != len(header):
                yield line, f"has {len(cells)} cells where the header has {len(header)}"
            else:
                yield line, dict(zip(header, cells, strict=True))
    except (csv.Error, MemoryError) as error:
        raise BenchmarkUnreadable(
            f"{path}, line {before + 1 + skipped}: no table from here on: {error}. "
            "A quotation mark inside of a cell is doubled"
        ) from error
    if not header:
        raise BenchmarkUnreadable(f"{path} is empty: a table has a header and a row for each question")


def _header(cells: list[str], path: Path) -> list[str]:
    names = [name.strip() or f"unnamed {number}" for number, name in enumerate(cells, 1)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BenchmarkUnreadable(f"{path} has several columns named {twice[0][:60]!r}: rename all but one")
    return names
