"""Files of unknown origin, read by `results.files` within its bounds: as ImportRefused, and never a pickle.

Everything that cannot be read raises ImportRefused with the file and the reason.
"""

from __future__ import annotations

import math
import sqlite3
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from results.errors import FileUnreadable, ImportRefused
from results.files import reading as files
from results.files import values, yaml_text
from results.importers.refusals import refused

PICKLES = frozenset((".bin", ".ckpt", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth"))
"""Endings of files whose loading could run code."""


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """What cannot be read in the block, as ImportRefused by the file's name."""
    try:
        yield
    except FileUnreadable as error:
        raise refused(path, error.reason) from error


def check_readable(path: Path) -> None:
    """Raise ImportRefused for a missing, empty, special or pickled file."""
    head = start(path)
    if not head:
        raise refused(path, "empty")
    # a pickle since protocol 2 starts with 0x80 and the protocol's number; torch files are zips of one
    if path.suffix.lower() in PICKLES or (head[:1] == b"\x80" and head[1:2] <= b"\x05") or head[:4] == b"PK\x03\x04":
        raise refused(path, "may hold a pickle, which can run code; it is never loaded")


def start(path: Path, size: int = 16) -> bytes:
    """The first bytes of a file."""
    with refusing(path):
        return files.file_start(path, size)


def read_text(path: Path) -> str:
    """A file in UTF-8, or in UTF-16 with its mark, gzipped or not; the mark is dropped."""
    with refusing(path):
        return files.read_text(path)


def read_json(path: Path) -> Any:
    """A JSON file. NaN and Infinity are accepted, as Python writes them; duplicate keys are not."""
    with refusing(path):
        return values.parse_json(files.read_text(path), path, once=True)


def read_yaml(path: Path) -> Any:
    """A YAML file of plain values."""
    with refusing(path):
        return yaml_text.safe_yaml(files.read_text(path, yaml_text.LARGEST_YAML_BYTES), path)


def parse_json(path: Path, text: str, where: str = "") -> Any:
    """One JSON text of `path`; `where` (": line 3") goes into the refusal."""
    with refusing(path):
        return values.parse_json(text, path, where, once=True)


def read_lines(path: Path, tolerate_cut: bool = False, said: list[str] | None = None) -> Iterator[tuple[int, Any]]:
    """(line number, value) of a JSON Lines file. `tolerate_cut`: a last line cut off is no error but `said`."""
    broken: tuple[int, ImportRefused] | None = None
    first, count = True, values.Count()
    with refusing(path):
        for line, text in files.text_lines(path):
            if broken is not None:
                raise broken[1]
            count.add(text, path, f", line {line}")
            try:
                value = parse_json(path, text, f", line {line}")
            except ImportRefused as error:
                broken = (line, error)
                if first or not tolerate_cut:
                    raise
                continue
            first = False
            yield line, value
    if broken is not None and said is not None:
        said.append(f"line {broken[0]}: it was cut off, and is left out")


def number(value: Any) -> float | None:
    """A JSON number or one of the words for NaN and infinity as a float; None for anything else, booleans too."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str) and value.strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return float(value)
    return None


def whole(value: Any) -> int | None:
    """A step: a whole number, also as 4.0; None for anything else."""
    found = number(value)
    if found is None or not math.isfinite(found) or found != int(found):
        return None
    return value if isinstance(value, int) else int(found)


def moment(value: Any) -> datetime | None:
    """An ISO text as a time, in UTC where it names no zone; None for anything else."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and not found.tzinfo else found


@contextmanager
def open_sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    """A foreign SQLite file, read-only, with its schema distrusted: no view or trigger of it runs functions."""
    uri = f"file:{urllib.parse.quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA query_only = ON")
            yield connection
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise refused(path, f"cannot be read as SQLite: {error}") from error


def table_columns(connection: sqlite3.Connection) -> dict[str, frozenset[str]]:
    """The columns of each table, views left out."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        name: frozenset(row[0] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (name,)))
        for name in names
    }
