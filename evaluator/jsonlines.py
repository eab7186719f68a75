"""JSON Lines files of tasks and of answers: one object a line, plain or gzipped, UTF-8 with or without its mark.

Not here: which fields a row must have (`evaluator.tasks.benchmarks`, `evaluator.tasks.samples`).
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from results.errors import BakeoffError

SHAPE = "JSON Lines have one object on each line, and no array around them"


def read_lines(path: Path, refusal: type[BakeoffError]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line number, object) of every line that is not blank. Raises `refusal` naming the file, the line and a way."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise refusal(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    # Split as bytes: str.splitlines() also splits at U+2028 and others, which may stand inside a JSON string.
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise refusal(
                f"{path}, line {number} is no UTF-8: byte 0x{line[error.start]:02x}. Convert the file to UTF-8; only "
                "gzip is unpacked"
            ) from error
        except (ValueError, RecursionError) as error:
            raise refusal(f"{path}, line {number} is no JSON: {error}. {SHAPE}") from error
        if not isinstance(row, dict):
            raise refusal(f"{path}, line {number} is no JSON object. {SHAPE}")
        yield number, row


def write_lines(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects, one a line; lone surrogates are escaped, so every answer survives."""
    with Path(path).open("w", encoding="ascii") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
