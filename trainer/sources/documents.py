"""A JSON document to rows: an array, a wrapper's array, objects under ids, columns, splits, or one conversation.

And how large one document, line or row may be: what is read at once lies in memory at once. Files may be of any size
where their rows are read one at a time: JSON Lines, tables, Parquet, Arrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from results import json_values
from trainer.errors import DataInvalid
from trainer.experiment.schema import Source
from trainer.sources.column_names import PAIRS, ROLE_KEYS, SHAREGPT, TEXT_KEYS
from trainer.sources.fields import BadRow
from trainer.sources.location import SPLITS, same_split

WRAPPERS = ("data", "rows", "examples", "items", "records", "instances", "samples", "dataset", "questions", "entries")
"""Keys under which documents keep their rows: SQuAD's, the Hub viewer's, LMFlow's and others."""

LONGEST_LINE = 64 << 20
"""Characters of one line, and of one row of a table. The longest context of today's bases is some 4 MB of text."""

LARGEST_DOCUMENT_BYTES = 1 << 30
"""Bytes of a file that is one JSON text, which is read whole and takes some three times as much."""

MOST_VALUES_OF_A_ROW = 1_000_000
MOST_VALUES_OF_A_DOCUMENT = 20_000_000
"""Values (texts, numbers, lists, objects): an empty list takes two bytes there and 64 in memory."""

UNSUSPECTED = 1 << 20
"""Characters up to which nobody counts values."""

TOO_LONG = f"the line is longer than {LONGEST_LINE >> 20} MiB: split it, or cut its text"

TOO_MANY = f"the line holds more than {MOST_VALUES_OF_A_ROW:,} values: split it"


def rows_of_document(
    document: Any, source: Source, tell: Callable[[str], None]
) -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
    """Yield each row of a document with its place in it, or why it is none.

    Raises: DataInvalid when it holds several lists, or splits without the wanted one.
    """
    rows = _inside(document, source, tell) if isinstance(document, dict) else document
    if is_conversation(rows):
        tell("the file is one conversation")
        yield "[0]", {"messages": rows}
        return
    if not isinstance(rows, list):
        yield "", BadRow(f"the file holds {type(rows).__name__}, not rows")
        return
    for number, item in enumerate(rows):
        row = {"messages": item} if is_conversation(item) else item
        if isinstance(row, dict) and isinstance(row.get("row"), dict) and "row_idx" in row:  # the Hub viewer's API
            row = row["row"]
        yield f"[{number}]", row if isinstance(row, dict) else BadRow("the item is not a JSON object")


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of turns: objects, each with a role and most with text."""
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(turn, dict) and any(isinstance(turn.get(key), str) for key in ROLE_KEYS) for turn in value)
        and any(key in turn for turn in value for key in TEXT_KEYS)
    )


def _inside(document: dict[str, Any], source: Source, tell: Callable[[str], None]) -> list[Any]:
    if any(is_conversation(document.get(name)) for name in ("messages", *SHAREGPT)):
        return [document]
    if columns := _columns(document):
        return columns
    splits = [name for name, value in document.items() if name.lower() in SPLITS and isinstance(value, list)]
    if splits:
        return _split(document, splits, source, tell)
    if pair_of(document):
        return [document]
    lists = {name: value for name, value in document.items() if isinstance(value, list)}
    named = [name for name in lists if name in WRAPPERS]
    if lists:
        if len(lists) > 1 and len(named) != 1:
            raise DataInvalid(
                f"{source.name} holds several lists ({', '.join(sorted(lists))[:120]}): keep the rows in one, e.g. data"
            )
        chosen = named[0] if len(named) == 1 else next(iter(lists))
        tell(f"the rows are those under {chosen!r}")
        if left := sorted(name for name in lists if name != chosen):
            tell(f"not read: the lists under {', '.join(left)[:120]}")
        return lists[chosen]
    if document and all(isinstance(value, dict) for value in document.values()):
        return [{"id": key, **value} for key, value in document.items()]
    return [document]


def pair_of(document: Mapping[str, Any]) -> tuple[str, str] | None:
    """The names of question and answer, where an object has such a pair."""
    return next((pair for pair in PAIRS if pair[0] in document and pair[1] in document), None)


def _columns(document: dict[str, Any]) -> list[Any]:
    """Rows of a document kept by columns: lists of one length, or pandas' objects of one set of row names."""
    pair = pair_of(document)
    if pair is None or any(name not in document for name in pair):
        return []
    values = list(document.values())
    if all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        return [{name: column[key] for name, column in document.items()} for key in values[0]]
    question = document[pair[0]]
    turns = isinstance(question, list) and any(isinstance(item, dict) for item in question)
    if not turns and all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    return []


def _split(document: dict[str, Any], splits: list[str], source: Source, tell: Callable[[str], None]) -> list[Any]:
    wanted = [name for name in splits if same_split(name, source.split)]
    if not wanted:
        raise DataInvalid(f"{source.name} has no split {source.split!r}, it has {', '.join(splits)}: set `split`")
    if left := [name for name in document if name not in wanted]:
        tell(f"not read: {', '.join(left)[:120]} (the split {source.split} is)")
    return [row for name in wanted for row in document[name]]


def lines_within(file: IO[str]) -> Iterator[str | None]:
    """The lines of a file; None for one that is too long, which is passed over."""
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) <= LONGEST_LINE:
            yield line
            continue
        while line and not line.endswith("\n"):
            line = file.readline(LONGEST_LINE)
        yield None


def too_many_values(line: str) -> bool:
    """Whether a line of JSON holds more values than one row may."""
    return len(line) > UNSUSPECTED and json_values(line, MOST_VALUES_OF_A_ROW) > MOST_VALUES_OF_A_ROW


def is_large(path: Path) -> bool:
    """Whether a file is too large to be read whole."""
    return path.stat().st_size > LARGEST_DOCUMENT_BYTES


def whole_text(path: Path, file: IO[str]) -> str:
    """The rest of an open file that is one JSON text.

    Raises: DataInvalid for one that is too large to be read whole.
    """
    if is_large(path):
        raise too_large(path, f"of more than {LARGEST_DOCUMENT_BYTES >> 20} MiB")
    text = file.read(LARGEST_DOCUMENT_BYTES).removeprefix("\ufeff")
    if json_values(text, MOST_VALUES_OF_A_DOCUMENT) > MOST_VALUES_OF_A_DOCUMENT:
        raise too_large(path, f"of more than {MOST_VALUES_OF_A_DOCUMENT:,} values")
    return text


def too_large(path: Path, how: str) -> DataInvalid:
    """The error of a JSON text that is not read whole."""
    return DataInvalid(
        f"{path} is one JSON text {how}, which is not read at once: write its rows one a line, as JSON Lines "
        "(`jq -c '.[]' FILE > FILE.jsonl`), or as Parquet"
    )


class RowLines:
    """Lines for a reader of tables, as many characters as one row may have: quotes that never end end here."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path, self._file = path, file
        self._left = LONGEST_LINE

    def next_row(self) -> None:
        """Say that a row was complete."""
        self._left = LONGEST_LINE

    def __iter__(self) -> RowLines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._left + 1)
        if not line:
            raise StopIteration
        self._left -= len(line)
        if self._left < 0:
            raise DataInvalid(
                f"{self._path} has a row of more than {LONGEST_LINE >> 20} MiB: is a quotation mark never closed? "
                "Split the row, or cut its text"
            )
        return line
