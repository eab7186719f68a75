"""A question set out of a file: CSV, TSV, JSON Lines, JSON, Parquet, promptfoo's YAML and CSV, a task of lm-eval.

    found = read_question_set("mine.csv")
    found.items, found.bad            # the questions; what cannot be read, by file, line and reason

Every row is an item or a bad one; nothing is left out in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from evaluator.jsonlines import read_values
from evaluator.question_sets.checking.rules import rule_of
from evaluator.question_sets.files import harness, promptfoo
from evaluator.question_sets.files.rows import Rows, Wishes
from evaluator.question_sets.files.tables import table_rows
from evaluator.question_sets.items import BadItem, BadQuestion, Gathering, QuestionSet
from evaluator.tasks.benchmarks import TAKEN
from evaluator.tasks.published import QUESTIONS
from results import FileUnreadable, open_file, parse_json, read_yaml, text_lines

TABLES, LINES, YAML = (".csv", ".tsv"), (".jsonl", ".ndjson", ".json", ".parquet"), (".yaml", ".yml")
ENDINGS = (*TABLES, *LINES, *YAML)
"""Endings of files that are read; each may have .gz behind it."""

WRAPPED = ("data", "questions", "items", "examples", "rows", "samples", "tests")
"""Keys under which a JSON object holds its rows."""

MOST_ITEMS = 100_000


def is_question_file(name: str) -> bool:
    """Whether a name is that of a file of questions, by its ending."""
    return name.lower().removesuffix(".gz").endswith(ENDINGS)


def read_question_set(path: str | Path, wishes: Wishes | None = None, name: str = "") -> QuestionSet:
    """The questions of a file. name: what they are stored under; by default the file's name without its ending.

    Raises: BenchmarkUnreadable for a file that is none as a whole, or holds no item at all, not even a bad one.
    """
    path, wishes = Path(path).expanduser(), wishes or Wishes()
    if wishes.check is not None:
        try:
            rule_of(wishes.check)
        except BadQuestion as error:
            raise BenchmarkUnreadable(f"{error}") from error
    try:
        found = _read(path, wishes)
    except FileUnreadable as error:
        raise BenchmarkUnreadable.of_file(path, error) from error
    gathering, told, stop, most = found
    if not gathering.items and not gathering.bad:
        raise BenchmarkUnreadable(f"{path} holds no question")
    if len(gathering.items) > MOST_ITEMS:
        raise BenchmarkUnreadable(
            f"{path} holds {len(gathering.items):,} questions, more than {MOST_ITEMS:,}; split it"
        )
    grouped = Counter(item.group for item in gathering.items if item.group)
    if any(count > 1 for count in grouped.values()):
        gathering.note(
            f"items of {len(grouped)} groups are related: intervals and p-values are those of groups",
            item=False,
        )
    return QuestionSet(
        name or set_name(path), told, tuple(gathering.items), tuple(gathering.bad), gathering.said(), stop, most,
        str(path.absolute()), asdict(wishes),
    )  # fmt: skip


def set_name(path: Path) -> str:
    """What the questions of a file are called: the file's name without its endings, never that of a measurement."""
    stem = path.name
    for ending in (".gz", *ENDINGS):
        stem = stem[: -len(ending)] if stem.lower().endswith(ending) and len(stem) > len(ending) else stem
    return f"{stem} (a file)" if stem.lower() in (*TAKEN, *QUESTIONS) else stem


_Found = tuple[Gathering, str, tuple[str, ...], int | None]
"""(items, format in words, where answers end, their most tokens)."""


def _read(path: Path, wishes: Wishes) -> _Found:
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in TABLES:
        return _table(path, wishes)
    if suffix in YAML:
        return _yaml(path, wishes)
    if suffix in LINES:
        return _values(path, suffix, wishes)
    raise BenchmarkUnreadable(f"{path} is no file of questions by its ending: {', '.join(ENDINGS)} are read")


def _table(path: Path, wishes: Wishes) -> _Found:
    header: list[str] = next((list(row) for _, row in table_rows(path) if isinstance(row, dict)), [])
    if promptfoo.is_table(header):
        return promptfoo.read_table(path, wishes.question), "promptfoo's CSV", (), None
    rows = Rows(wishes)
    for number, (line, row) in enumerate(table_rows(path), 1):
        if isinstance(row, str):
            rows.gathering.bad.append(BadItem(f"{path}, line {line}", row))
        else:
            rows.add(f"{path}, line {line}", row, number)
    return rows.finished(), f"CSV, {rows.format()}", (), None


def _yaml(path: Path, wishes: Wishes) -> _Found:
    value = read_yaml(path)
    if promptfoo.is_config(value):
        return promptfoo.read_config(path, value), "promptfoo's YAML", (), None
    if harness.is_task(value):
        gathering, stop, most = harness.read_task(path, value)
        return gathering, "a task of lm-eval", stop, most
    listed = (
        value
        if isinstance(value, list)
        else value.get("tests", value.get("questions"))
        if isinstance(value, dict)
        else None
    )
    if not isinstance(listed, list):
        raise BenchmarkUnreadable(
            f"{path} is neither promptfoo's (prompts, tests) nor a task of lm-eval (task, doc_to_text), nor a list of "
            "questions"
        )
    rows = Rows(wishes)
    for number, row in enumerate(listed, 1):
        rows.add(f"{path}, entry {number}", row, number)
    return rows.finished(), f"YAML, {rows.format()}", (), None


def _values(path: Path, suffix: str, wishes: Wishes) -> _Found:
    rows = Rows(wishes)
    for number, (where, value) in enumerate(_each(path), 1):
        if isinstance(value, BadItem):
            rows.gathering.bad.append(value)
            continue
        inner = _unwrapped(value) if number == 1 else None
        for place, row in enumerate(inner if inner is not None else [value], 1):
            rows.add(
                f"{where}, row {place}" if inner is not None else where, row, place if inner is not None else number
            )
    named = {".parquet": "Parquet", ".json": "JSON"}.get(suffix, "JSON Lines")
    return rows.finished(), f"{named}, {rows.format()}", (), None


def _unwrapped(value: Any) -> list[Any] | None:
    """The rows inside of an object that is no row itself."""
    if not isinstance(value, dict):
        return None
    return next((value[key] for key in WRAPPED if isinstance(value.get(key), list)
                 and all(isinstance(row, dict) for row in value[key]) and value[key]), None)  # fmt: skip


def _each(path: Path) -> Iterator[tuple[str, Any]]:
    """(where, value) of each; a line that is no JSON is a BadItem, where the file has lines that are."""
    with open_file(path) as file:
        head = file.read(4)
    lines = text_lines(path)
    first = "" if head == b"PAR1" else next((line for _, line in lines), "").strip()
    if not first.startswith("{") or not _is_json(first, path):
        yield from read_values(path, BenchmarkUnreadable)
        return
    for number, line in text_lines(path):
        where = f"{path}, line {number}"
        try:
            yield where, parse_json(line, path)
        except FileUnreadable as error:
            yield where, BadItem(where, error.reason)


def _is_json(text: str, path: Path) -> bool:
    try:
        parse_json(text, path)
    except FileUnreadable:
        return False
    return True
