"""Files of tasks and of answers: JSON Lines, a JSON array or document, Parquet; plain or gzipped.

JSON Lines have one object on each line, UTF-8 with or without its mark. An array's entries are taken one by one, and so
are JSON values that follow each other over several lines each.

Not here: which fields a row must have (`evaluator.tasks.benchmarks`, `evaluator.tasks.samples`).
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from results.errors import BakeoffError

SHAPE = "The file is read as JSON Lines (one object on each line) or as one JSON array"
MAX_BYTES = 2_000_000_000
"""Largest file, unpacked: what a gzipped file of a few megabytes may not exceed. EvalPlus's largest has 12 million."""

_NO_SPACE = re.compile(r"\S")


def read_values(path: Path, refusal: type[BakeoffError]) -> Iterator[tuple[str, Any]]:
    """(place in words, value) of each line that is not blank, or of each entry of an array.

    Raises: `refusal`, naming the file, the line and a way.
    """
    data = _bytes(path, refusal)
    if data[:4] == b"PAR1":
        yield from _parquet_rows(path, data, refusal)
        return
    lines = data.removeprefix(codecs.BOM_UTF8)
    whole = _whole(lines)
    if whole is not None:
        yield from ((f"{path}, entry {number}", value) for number, value in enumerate(whole, 1))
        return
    # Split as bytes: str.splitlines() also splits at U+2028 and others, which may stand inside a JSON string.
    for number, line in enumerate(lines.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise refusal(
                f"{path}, line {number} is no UTF-8: byte 0x{line[error.start]:02x}. Convert the file to UTF-8; only "
                "gzip is unpacked"
            ) from error
        except (ValueError, RecursionError) as error:
            raise refusal(f"{path}, line {number} is no JSON: {error}. {SHAPE}") from error
        yield f"{path}, line {number}", value


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


def _bytes(path: Path, refusal: type[BakeoffError]) -> bytes:
    """What the file holds, unpacked."""
    if path.is_dir():
        raise refusal(f"{path} is a folder. Name a file in it")
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise refusal(f"Cannot read {path}: there is no such file") from error
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise refusal(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise refusal(f"{path} holds more than {MAX_BYTES:,} bytes. Split it")
    return data


def _whole(data: bytes) -> list[Any] | None:
    """The entries of a file that is no JSON Lines: one array, or values over several lines; None for any other file."""
    first = data.lstrip()[:1]
    if first == b"[":
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, list) else None
    line, _, _ = data.lstrip().partition(b"\n")
    if first != b"{" or _is_json(line):
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    decoder, values, place = json.JSONDecoder(), [], len(text) - len(text.lstrip())
    while place < len(text):
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return None
        values.append(value)
        place = len(text) if (rest := _NO_SPACE.search(text, end)) is None else rest.start()
    return values


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _parquet_rows(path: Path, data: bytes, refusal: type[BakeoffError]) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise refusal(f"Cannot read {path} as Parquet: {str(error).splitlines()[0][:200]}") from error
    yield from ((f"{path}, row {number}", row) for number, row in enumerate(rows, 1))
