"""Files of unknown origin, read with bounds: sizes, depth, encodings, duplicate keys. Never a pickle.

Everything that cannot be read raises ImportRefused with the file and the reason.
"""

from __future__ import annotations

import gzip
import json
import math
import sqlite3
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from results.errors import ImportRefused

LARGEST = 512 * 2**20
"""Bytes of one text file, decompressed: ten times the largest HumanEval results with 200 samples a task."""

PICKLES = frozenset((".bin", ".ckpt", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth"))
"""Endings of files whose loading could run code."""


class UnknownKind(ImportRefused):
    """A file can be read, but is nothing that is known here. `what` is the file and what it is, without the remedy."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}. {remedy}" if remedy else what)
        self.what = what


def refused(path: Path, reason: str) -> ImportRefused:
    """The error for a file, by its name and the reason."""
    return ImportRefused(f"{path.parent.name}/{path.name}: {reason}")


def unknown(path: Path, reason: str, remedy: str = "") -> UnknownKind:
    """The error for a file of another kind."""
    return UnknownKind(f"{path.parent.name}/{path.name}: {reason}", remedy)


def check_readable(path: Path) -> None:
    """Raise ImportRefused for a missing, empty, special or pickled file."""
    if not path.is_file():
        raise refused(path, "no such file" if not path.exists() else "neither a plain file nor a folder")
    if path.stat().st_size == 0:
        raise refused(path, "empty")
    head = start(path)
    # a pickle since protocol 2 starts with 0x80 and the protocol's number; torch files are zips of one
    if path.suffix.lower() in PICKLES or (head[:1] == b"\x80" and head[1:2] <= b"\x05") or head[:4] == b"PK\x03\x04":
        raise refused(path, "may hold a pickle, which can run code; it is never loaded")


def start(path: Path, size: int = 16) -> bytes:
    """The first bytes of a file."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise refused(path, f"cannot be read: {error.strerror}") from error


def read_text(path: Path) -> str:
    """A file in UTF-8, or in UTF-16 with its mark, gzipped or not, of at most LARGEST bytes; the mark is dropped."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, EOFError, ValueError) as error:
        raise refused(path, f"cannot be read: {error}") from error
    if len(data) > LARGEST:
        raise refused(path, f"larger than {LARGEST // 2**20} MiB")
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused(path, f"not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def read_json(path: Path) -> Any:
    """A JSON file. NaN and Infinity are accepted, as Python writes them; duplicate keys are not."""
    return parse_json(path, read_text(path))


def parse_json(path: Path, text: str, where: str = "") -> Any:
    """One JSON text of `path`; `where` (": line 3") goes into the refusal."""
    try:
        return json.loads(text, object_pairs_hook=_single_keys)
    except RecursionError as error:
        raise refused(path, f"nested too deeply{where}") from error
    except ValueError as error:  # malformed, an integer of thousands of digits, or a key twice
        raise refused(path, f"not valid JSON{where}: {error}") from error


def read_lines(path: Path, tolerate_cut: bool = False, said: list[str] | None = None) -> Iterator[tuple[int, Any]]:
    """(line number, value) of a JSON Lines file. `tolerate_cut`: a last line cut off is no error but `said`."""
    lines = read_text(path).split("\n")  # not splitlines: JSON strings may hold U+2028 and its like
    last = max((number for number, line in enumerate(lines, 1) if line.strip()), default=0)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, parse_json(path, line, f", line {number}")
        except ImportRefused:
            if not (tolerate_cut and number == last and number > 1):
                raise
            if said is not None:
                said.append(f"line {number}: it was cut off, and is left out")


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


def _single_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found
