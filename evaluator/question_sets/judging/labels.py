"""People's labels on models' answers: what a judge is held against.

A file of rows with `item`, `model` (name or id) and `label`, and where they are said `sample` and `answer`; the usual
way to one is `bakeoff export answers.jsonl --table outcomes`, a column `label` beside the answers. A label is of the
answer that was labelled: where the file has the answer and the stored one is another, it is left out, and counted.

Not here: agreement, kappa and corrected shares (`results.analysis.calibration`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from evaluator.jsonlines import read_values
from evaluator.question_sets.files.tables import table_rows
from evaluator.question_sets.files.turns import json_cell
from evaluator.question_sets.judging.prompts import CORRECT, INCORRECT
from results import FileUnreadable, is_there, short_repr, test_of

WORDS: Mapping[str, str] = {
    **dict.fromkeys(("correct", "right", "yes", "true", "1", "passed", "pass", "good", "ok"), CORRECT),
    **dict.fromkeys(("incorrect", "wrong", "no", "false", "0", "failed", "fail", "bad"), INCORRECT),
}
"""What people write for the two verdicts."""


@dataclass
class Labels:
    """Labels by whose answer to what they are about."""

    by_answer: dict[tuple[str, str, int], tuple[str, str | None]] = field(default_factory=dict)
    """(model's name or id, item, sample) → (label in a judge's words, the labelled answer or None)."""
    grades: tuple[int, int] | None = None
    without: int = 0
    """Rows that have no label."""
    elsewhere: int = 0
    """Labels of answers to another test, where the file says so (`benchmark`)."""


def read_labels(path: Path, test: str, grades: tuple[int, int] | None) -> Labels:
    """The labels of a file on answers to a test. Raises: BenchmarkUnreadable naming the row and what a label is."""
    path = path.expanduser()
    if not is_there(path):
        raise BenchmarkUnreadable(f"The labels {path} are not there: a CSV or JSON Lines with item, model and label")
    found = Labels(grades=grades)
    for where, row in _rows(path):
        said = row.get("label")
        if said is None or str(said).strip() == "":
            found.without += 1
            continue
        if row.get("benchmark") and test_of(str(row["benchmark"])) != test:
            found.elsewhere += 1
            continue
        label = _label(said, grades)
        if label is None:
            wanted = "correct or incorrect" if grades is None else f"a whole number from {grades[0]} to {grades[1]}"
            raise BenchmarkUnreadable(f"{where}: its label is {short_repr(said)}: write {wanted}")
        model, item = (str(row.get(name) or "").strip() for name in ("model", "item"))
        model = model or str(row.get("model_id") or "").strip()
        if not model or not item:
            raise BenchmarkUnreadable(
                f"{where} does not say whose answer to which item its label is about: it needs the columns item and "
                f"model, and has {short_repr(', '.join(map(str, row)))}"
            )
        sample = str(row.get("sample") or 0)
        key = (model, item, int(sample) if sample.isdecimal() else 0)
        if found.by_answer.setdefault(key, (label, _answer(row)))[0] != label:
            raise BenchmarkUnreadable(f"{where}: {model}'s answer to {item} has two labels that differ; leave one")
    if not found.by_answer:
        raise BenchmarkUnreadable(f"{path} holds no label: a column label with correct or incorrect (or a grade)")
    return found


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(place, row by lower-case names) of each."""
    try:
        if path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
            values: Iterator[tuple[str, Any]] = ((f"{path}, line {line}", row) for line, row in table_rows(path))
        else:
            values = read_values(path, BenchmarkUnreadable)
        for where, row in values:
            if not isinstance(row, Mapping):
                raise BenchmarkUnreadable(f"{where}: {row if isinstance(row, str) else 'is no object'}")
            yield where, {str(name).strip().lower(): value for name, value in row.items()}
    except FileUnreadable as error:
        raise BenchmarkUnreadable(f"Cannot read the labels {error}") from error


def _label(said: Any, grades: tuple[int, int] | None) -> str | None:
    text = str(said).strip().lower()
    if grades is None:
        return WORDS.get(text.removesuffix(".0"))
    number = text.removesuffix(".0")
    return str(int(number)) if number.isdecimal() and grades[0] <= int(number) <= grades[1] else None


def _answer(row: Mapping[str, Any]) -> str | None:
    """The answer that was labelled: a column, or inside of the details of an exported outcome."""
    if isinstance(row.get("answer"), str):
        return str(row["answer"])
    details = json_cell(row.get("details"))
    found = details.get("answer") if isinstance(details, Mapping) else None
    return found if isinstance(found, str) else None
