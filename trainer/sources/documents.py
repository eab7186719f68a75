"""A JSON document to rows: an array, a wrapper's array, objects under ids, columns, splits, or one conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from trainer.errors import DataInvalid
from trainer.experiment.schema import Source
from trainer.sources.column_names import PAIRS, ROLE_KEYS, SHAREGPT, TEXT_KEYS
from trainer.sources.fields import BadRow
from trainer.sources.location import SPLITS, same_split

WRAPPERS = ("data", "rows", "examples", "items", "records", "instances", "samples", "dataset", "questions", "entries")
"""Keys under which documents keep their rows: SQuAD's, the Hub viewer's, LMFlow's and others."""


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
