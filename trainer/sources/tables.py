"""CSV and TSV of any dialect: comma, semicolon, tab or bar, Excel's `sep=`, either quote, doubled or escaped."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from trainer.errors import DataInvalid
from trainer.experiment.schema import Source
from trainer.sources.column_names import NAMED, PAIRS, SHAREGPT
from trainer.sources.documents import LONGEST_LINE, RowLines
from trainer.sources.encodings import NOT_UTF8, Encoding
from trainer.sources.fields import BadRow

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SAMPLE_CHARACTERS = 1 << 20
SAMPLE_ROWS = 200

KNOWN = frozenset(("messages", *SHAREGPT, *(name for pair in PAIRS for name in pair)))


@dataclass(frozen=True)
class Dialect:
    """How a table is written."""

    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    skipped: int = 0
    """Lines before the header: Excel's `sep=;`."""

    def rows(self, lines: Iterator[str]) -> Any:
        """A reader over the lines of an open file; its `line_num` counts from the header on."""
        csv.field_size_limit(LONGEST_LINE)  # Python's own limit is 131,072
        for _ in range(self.skipped):
            next(lines, "")
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar=self.escape,
            doublequote=self.escape is None,
        )


def table_rows(
    path: Path, encoding: Encoding, source: Source, tell: Callable[[str], None]
) -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
    """Rows of a table with a header.

    Raises: DataInvalid when two columns have one name.
    """
    with _opened(path, encoding) as file:
        sample = file.read(SAMPLE_CHARACTERS)
    usual = Dialect("\t" if path.suffix.lower() == ".tsv" else ",")
    dialect = _dialect(sample, usual, source)
    if dialect != usual:
        escaped = ", quotes escaped by \\" if dialect.escape else ""
        tell(f"{path.name} is a table by {DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))}{escaped}")
    with _opened(path, encoding) as file:
        lines = RowLines(path, file)
        reader = dialect.rows(lines)
        try:
            header = _header(next(reader, []), path)
            lines.next_row()
            for cells in reader:
                lines.next_row()
                if not cells:
                    continue
                place = f"{path.name}:{reader.line_num + dialect.skipped}"
                if len(cells) != len(header):
                    yield place, BadRow(f"not the header's {len(header)} columns")
                elif encoding.damaged and any(map(_undecoded, cells)):
                    yield place, BadRow(NOT_UTF8)
                else:
                    yield place, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise DataInvalid(f"{path}, line {reader.line_num}: not a table ({error})") from error


def _opened(path: Path, encoding: Encoding) -> IO[str]:
    name = "utf-8-sig" if encoding.name == "utf-8" else encoding.name
    return path.open(encoding=name, newline="", errors="surrogateescape" if encoding.damaged else "strict")


def _undecoded(cell: str) -> bool:
    return not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell)


def _header(cells: list[str], path: Path) -> list[str]:
    """Names of the columns; those without one (pandas' index, Excel's empty columns) are numbered."""
    names = [name.strip() or f"unnamed {number}" for number, name in enumerate(cells, 1)]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise DataInvalid(f"{path} has several columns named {', '.join(double)[:120]}: rename all but one")
    return names


def _dialect(sample: str, usual: Dialect, source: Source) -> Dialect:
    """The dialect under which the header has the wanted columns and the rows fit it; the suffix's own wins a tie."""
    if said := re.fullmatch(r'"?sep=(.)"?', sample.split("\n", 1)[0].rstrip("\r"), re.IGNORECASE):
        body = sample.split("\n", 1)[1] if "\n" in sample else ""
        found = _quoting(body, said.group(1))
        return Dialect(found.delimiter, found.quote, found.escape, skipped=1)
    delimiters = [usual.delimiter, *(delimiter for delimiter in DELIMITERS if delimiter != usual.delimiter)]
    tried = [_quoting(sample, delimiter) for delimiter in delimiters]
    return max(tried, key=lambda dialect: (_worth(sample, dialect, source), -delimiters.index(dialect.delimiter)))


def _quoting(sample: str, delimiter: str) -> Dialect:
    """The quoting under which most rows fit the header; plain CSV's own unless another is strictly better."""
    tried = [Dialect(delimiter)]
    if (header := _head(sample, tried[0])[:1]) and all(name[:1] == name[-1:] == "'" for name in header[0]):
        return Dialect(delimiter, quote="'")
    if '\\"' in sample:
        tried.append(Dialect(delimiter, escape="\\"))
    return max(tried, key=lambda dialect: (_fit(sample, dialect), -tried.index(dialect)))


def _head(sample: str, dialect: Dialect) -> list[list[str]]:
    """The first rows of a sample; the last one, which may be cut, left out of a long sample."""
    try:
        rows = [row for row in islice(dialect.rows(io.StringIO(sample, newline="")), SAMPLE_ROWS) if row]
    except csv.Error:
        return []
    return rows[:-1] if len(sample) == SAMPLE_CHARACTERS and len(rows) > 2 else rows


def _fit(sample: str, dialect: Dialect) -> float:
    """Share of the rows that have the header's columns."""
    rows = _head(sample, dialect)
    return sum(len(row) == len(rows[0]) for row in rows) / len(rows) if rows else 0.0


def _worth(sample: str, dialect: Dialect, source: Source) -> tuple[bool, bool, float]:
    """Rate a dialect: whether the header has the wanted columns, whether it has several, share of the rows that fit."""
    rows = _head(sample, dialect)
    header = [name.strip() for name in rows[0]] if rows else []
    columns = source.columns
    if columns is not None:
        named = [match.group(1) or match.group(2) for match in NAMED.finditer(columns.prompt + columns.answer)]
        wanted = bool(named) and all(name in header for name in named)
    else:
        wanted = sum(name.lower() in KNOWN for name in header) > (0 if {"messages", *SHAREGPT} & {*header} else 1)
    return wanted, len(header) > 1, _fit(sample, dialect)
