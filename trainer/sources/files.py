"""Files of rows: JSON Lines, JSON, CSV, TSV, Parquet and Arrow. Yields (place, row or why it is none).

What a row means is `trainer.sources.formats`' business, what a file is written in `trainer.sources.encodings`', tables
`trainer.sources.tables`'. Nothing from a file is executed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from results import FileUnreadable, file_start, parquet_batches
from trainer.errors import DataInvalid
from trainer.experiment.schema import Source
from trainer.sources.documents import (
    TOO_LONG,
    TOO_MANY,
    is_conversation,
    is_large,
    lines_within,
    rows_of_document,
    too_many_values,
    whole_text,
)
from trainer.sources.encodings import NOT_UTF8, Encoding, encoding_of
from trainer.sources.fields import BadRow
from trainer.sources.location import ARROW
from trainer.sources.tables import table_rows

Rows = Iterator[tuple[str, Mapping[str, Any] | BadRow]]
Tell = Callable[[str], None]
"""Called with one line about how a file is read, where that is not a matter of course."""

LFS = b"version https://git-lfs"


def rows_of_file(path: Path, source: Source, tell: Tell) -> Rows:
    """Rows of one file by its suffix.

    Raises: DataInvalid when the file is not what its suffix says.
    """
    try:
        head = file_start(path, len(LFS))
    except FileUnreadable as error:
        raise DataInvalid(str(error)) from error
    if head == LFS:
        raise DataInvalid(f"{path} is a Git LFS pointer, not the data: run `git lfs pull` in its folder")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet_rows(path)
    if suffix == ARROW:
        return _arrow_rows(path)
    encoding = encoding_of(path, source.encoding)
    if encoding.how:
        tell(f"{path.name} is read as {encoding.how}")
    if suffix in (".csv", ".tsv"):
        return table_rows(path, encoding, source, tell)
    reader = _jsonl_rows if suffix == ".jsonl" else _json_rows
    return reader(path, encoding, source, tell)


def opened(path: Path, encoding: Encoding) -> IO[str]:
    """The file as text; bytes that do not decode come as lone surrogates, by which their rows are told."""
    return path.open(encoding=encoding.name, newline="\n", errors="surrogateescape" if encoding.damaged else "strict")


def _jsonl_rows(path: Path, encoding: Encoding, source: Source, tell: Tell) -> Rows:
    with opened(path, encoding) as lines:
        first = _first_line(lines)
        if first is not None and _spans_lines(first[1]) and not _by_lines(path, first[1]):
            lines.seek(0)
            text = whole_text(path, lines)
            if _decoded(text, _begins(text, 0)) is not None:
                tell(f"{path.name} holds JSON over several lines, not a value a line: it is read whole")
                yield from _documents(path.name, text, source, tell)
                return
            del text
        lines.seek(0)
        name, start = path.name, first[0] if first else 1
        for number, line in enumerate(lines_within(lines), 1):
            if number < start:
                continue
            place = f"{name}:{number}"
            if line is None:
                yield place, BadRow(TOO_LONG)
                continue
            if number == start:
                line = line.removeprefix("\ufeff")
            if encoding.damaged and not line.isascii() and _undecoded(line):
                yield place, BadRow(NOT_UTF8)
                continue
            if too_many_values(line):
                yield place, BadRow(TOO_MANY)
                continue
            try:
                row = _loaded(line)
            except (ValueError, RecursionError) as error:
                if not line.isspace():
                    yield place, BadRow(f"not JSON: {type(error).__name__}")
                continue
            if isinstance(row, list):
                yield from _line_of_list(place, row, source, tell)
            else:
                yield place, row if isinstance(row, dict) else BadRow("the line is not a JSON object")


def _by_lines(path: Path, first: str | None) -> bool:
    """Whether a file is too large to be one JSON text, and does not look like one: some line of it is damaged."""
    looks = first is not None and (first.lstrip().startswith("[") or first.strip() == "{")
    return is_large(path) and not looks


_decode = json.JSONDecoder().raw_decode


def _loaded(line: str) -> Any:
    """The JSON value of a line, as `json.loads` has it, without its looking for what stands around most values."""
    if line.startswith(("{", "[")):
        value, end = _decode(line)
        if end >= len(line) - 1 and line[end:] in ("", "\n"):
            return value
    return json.loads(line)


def _line_of_list(place: str, row: list[Any], source: Source, tell: Tell) -> Rows:
    """A line that is an array: one conversation's turns, or a whole array of rows."""
    if is_conversation(row):
        yield place, {"messages": row}
    elif row and all(isinstance(item, dict) for item in row):
        for where, found in rows_of_document(row, source, tell):
            yield f"{place}{where}", found
    else:
        yield place, BadRow("the line is not a JSON object")


def _first_line(lines: IO[str]) -> tuple[int, str | None] | None:
    """Find the first line that is not blank: its number, and its text without a byte-order mark, None for too long."""
    for number, line in enumerate(lines_within(lines), 1):
        if line is None or not line.isspace():
            return number, None if line is None else line.removeprefix("\ufeff")
    return None


def _spans_lines(line: str | None) -> bool:
    """Whether a line begins a JSON value that it does not end, or is too long to be looked at."""
    if line is None:
        return True
    if not line.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def _undecoded(text: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in text)


def _json_rows(path: Path, encoding: Encoding, source: Source, tell: Tell) -> Rows:
    with opened(path, encoding) as file:
        if is_large(path) and (first := _first_line(file)) and not _spans_lines(first[1]):
            yield from _jsonl_rows(path, encoding, source, tell)  # JSON Lines under the wrong suffix
            return
        file.seek(0)
        text = whole_text(path, file)
    if encoding.damaged and _undecoded(text):
        at = next(place for place, letter in enumerate(text) if "\udc80" <= letter <= "\udcff")
        raise DataInvalid(f"{path}, line {text.count(chr(10), 0, at) + 1}: {NOT_UTF8}")
    start = _begins(text, 0)
    if start < len(text) and _decoded(text, start) is None:
        lines = [line for line in text.split("\n") if not line.isspace()]
        if not text[start:].startswith("{") or not any(_decoded(line, _begins(line, 0)) for line in lines[1:20]):
            raise DataInvalid(f"{path} is not JSON: {_why(text)}")
        yield from _jsonl_rows(path, encoding, source, tell)  # JSON Lines under the wrong suffix, the first one broken
        return
    yield from _documents(path.name, text, source, tell)


def _documents(name: str, text: str, source: Source, tell: Tell) -> Rows:
    """Rows of a text of JSON values one after another: one document mostly, or objects, JSON Lines among them."""
    place = _begins(text, 0)
    number = 0
    while place < len(text):
        found = _decoded(text, place)
        if found is None:
            end = text.find("\n", place)
            end = len(text) if end < 0 else end
            yield f"{name}:{text.count(chr(10), 0, place) + 1}", BadRow("not JSON: JSONDecodeError")
        else:
            value, end = found
            if number == 0 and _begins(text, end) >= len(text):
                for where, row in rows_of_document(value, source, tell):
                    yield f"{name}{where}", row
                return
            row = {"messages": value} if is_conversation(value) else value
            yield f"{name}[{number}]", row if isinstance(row, dict) else BadRow("the item is not a JSON object")
        number += 1
        place = _begins(text, end)


def _begins(text: str, place: int) -> int:
    """Find where the next value begins, past the whitespace and commas between values."""
    while place < len(text) and text[place] in " \t\r\n,":
        place += 1
    return place


def _decoded(text: str, place: int) -> tuple[Any, int] | None:
    """Decode the JSON value at a place and say where it ends; None where there is none."""
    try:
        return json.JSONDecoder().raw_decode(text, place)
    except (ValueError, RecursionError):
        return None


def _why(text: str) -> str:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return "it is empty"


def _parquet_rows(path: Path) -> Rows:
    import pyarrow as pa

    try:
        yield from _rows_of(path, parquet_batches(path), pa)
    except FileUnreadable as error:
        raise DataInvalid(str(error)) from error


def _arrow_rows(path: Path) -> Rows:
    import pyarrow as pa

    try:
        with pa.OSFile(str(path)) as file:
            reader = pa.ipc.open_stream(file)
            yield from _rows_of(path, reader, pa)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataInvalid(f"{path} is not an Arrow stream: {_one_line(error)}") from error


def _rows_of(path: Path, batches: Iterable[Any], pa: Any) -> Rows:
    """Yield the rows of Arrow batches."""
    number = 0
    try:
        for batch in batches:
            batch.validate(full=True)  # damaged offsets would be followed into foreign memory
            for row in batch.to_pylist():
                yield f"{path.name}[{number}]", without_nulls_inside(row)
                number += 1
    except (OSError, ValueError, pa.ArrowException, OverflowError) as error:
        raise DataInvalid(f"{path} is damaged after row {number}: {_one_line(error)}") from error


def without_nulls_inside(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose nested values have no keys of null: Arrow gives all structs of a column all keys."""
    return {name: _without_nulls(value) if isinstance(value, dict | list) else value for name, value in row.items()}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
