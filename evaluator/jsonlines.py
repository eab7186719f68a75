"""Files of tasks and of answers: JSON Lines, a JSON array or document, Parquet; plain or gzipped.

JSON Lines have one object on each line, UTF-8 with or without its mark. An array's entries are taken one by one, and so
are JSON values that follow each other over several lines each.

Not here: which fields a row must have (`evaluator.tasks.benchmarks`, `evaluator.tasks.samples`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from results import LARGEST_BYTES, json_lines, open_file, parquet_batches, parse_json, read_bytes, read_text, text_lines
from results.errors import BakeoffError, FileUnreadable

SHAPE = "The file is read as JSON Lines (one object on each line) or as one JSON array"

_NO_SPACE = re.compile(r"\S")


def read_values(path: Path, refusal: type[BakeoffError]) -> Iterator[tuple[str, Any]]:
    """(place in words, value) of each line that is not blank, or of each entry of an array.

    Raises: `refusal`, naming the file, the line and a way.
    """
    try:
        with open_file(path) as file:
            head = file.read(4)
        if head == b"PAR1":
            yield from _parquet_rows(path, refusal)
            return
        whole = _whole(path)
        if whole is not None:
            yield from ((f"{path}, entry {number}", value) for number, value in enumerate(whole, 1))
            return
        for number, value in json_lines(path):
            yield f"{path}, line {number}", value
    except FileUnreadable as error:
        remedy = "" if error.missing else f". {SHAPE}"
        raise refusal(f"Cannot read {path}: {error.reason}{remedy}") from error


def read_rows(path: Path, refusal: type[BakeoffError]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a file whose values are objects; else like `read_values`. Raises: `refusal` for another value too."""
    for where, value in read_values(path, refusal):
        if not isinstance(value, dict):
            raise refusal(f"{where} is no JSON object. {SHAPE}")
        yield where, value


def write_lines(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects, one a line; lone surrogates are escaped, so every answer survives."""
    with Path(path).open("w", encoding="ascii") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


def _whole(path: Path) -> list[Any] | None:
    """The entries of a file that is no JSON Lines: one array, or values over several lines; None for any other file."""
    first = next((line for _, line in text_lines(path)), "").strip()
    if not first.startswith(("[", "{")) or (first.startswith("{") and _is_json(first, path)):
        return None
    text = read_text(path)
    try:
        if first.startswith("["):
            value = parse_json(text, path)
            return value if isinstance(value, list) else None
        return _values(text, path)
    except FileUnreadable:  # a line tells more exactly what is wrong
        return None


def _values(text: str, path: Path) -> list[Any] | None:
    """JSON values that follow each other, each over any number of lines; None where one is none."""
    decoder, values, place = json.JSONDecoder(), [], len(text) - len(text.lstrip())
    while place < len(text):
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return None
        values.append(parse_json(text[place:end], path))
        place = len(text) if (rest := _NO_SPACE.search(text, end)) is None else rest.start()
    return values


def _is_json(line: str, path: Path) -> bool:
    try:
        parse_json(line, path)
    except FileUnreadable:
        return False
    return True


def _parquet_rows(path: Path, refusal: type[BakeoffError]) -> Iterator[tuple[str, Any]]:
    import pyarrow

    number = size = 0
    try:
        for batch in parquet_batches(path, read_bytes(path)):
            if (size := size + batch.nbytes) > LARGEST_BYTES:
                raise refusal(f"{path} unpacks to more than {LARGEST_BYTES >> 20} MiB: split it")
            batch.validate(full=True)  # damaged offsets would be followed into foreign memory
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row
    except (FileUnreadable, pyarrow.ArrowException, ValueError, OverflowError) as error:
        raise refusal(f"Cannot read {path} as Parquet: {str(error).splitlines()[0][:200]}") from error
