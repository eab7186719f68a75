"""Tests whose answers a judging model looked at: what they are called, and how far its verdicts may be believed.

    judged_name("mine", "qwen3:8b")           # "mine judged by qwen3:8b": never one test with the rules' verdicts
    test_of("mine judged by qwen3:8b")        # "mine": whose questions, and training data that holds them, they are
    calibration_label(evaluation.details)     # "judge uncalibrated", for wherever a score is shown

Not here: asking a judge (`evaluator.question_sets.judging`), agreement itself (`results.analysis.calibration`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from results.records import Evaluation, percent

JUDGED = " judged by "
"""What stands between the name of a test and that of the model that judged its answers."""

JUDGE = "judge"
"""Key of an evaluation's details and settings: by whom and by what rubric it was judged."""


def judged_name(test: str, judge: str) -> str:
    """What the evaluations of a test are stored under where a model judges the answers."""
    return f"{test}{JUDGED}{judge}"


def test_of(benchmark: str) -> str:
    """The test whose answers were judged; the benchmark itself where no model judged them."""
    return benchmark.partition(JUDGED)[0]


def questions_of(benchmark: str) -> str:
    """Whose questions a benchmark asks: HumanEval+ has HumanEval's tasks, a judged test those that were answered."""
    return test_of(benchmark).removesuffix("+")


def options_of(benchmark: str) -> str:
    """The options of `bakeoff evaluate` that measure by a benchmark; of a judged one the rubric is to be named too."""
    if not judge_of(benchmark):
        return f"--benchmark {benchmark}"
    return f"--benchmark {shlex.quote(test_of(benchmark))} --judge {shlex.quote(judge_of(benchmark))} --rubric …"


def judge_of(benchmark: str) -> str:
    """The model that judged a benchmark's answers; empty for verdicts of rules."""
    return benchmark.partition(JUDGED)[2]


def calibration_label(details: Mapping[str, Any]) -> str:
    """How far the judge of an evaluation agrees with people, in a few words; empty where no model judged."""
    told = details.get(JUDGE)
    if not isinstance(told, Mapping):
        return ""
    found = told.get("calibration") or {}
    if not found.get("enough"):
        return "judge uncalibrated"
    return f"judge agrees with people on {percent(found['agreement'])} of {found['labels']} labels"


def judge_sentences(model: str, details: Mapping[str, Any]) -> list[str]:
    """What a reader of a judged score must know: agreement with people, kinship, replies without a verdict."""
    told = details.get(JUDGE)
    if not isinstance(told, Mapping):
        return []
    said = [str((told.get("calibration") or {}).get("words") or f"{told.get('name')} is uncalibrated.")]
    if kin := told.get("kinship"):
        said.append(f"{model}: {kin}.")
    if missing := told.get("no_verdict"):
        said.append(
            f"{model}: {missing} of {told.get('asked')} replies of {told.get('name')} hold no verdict; those answers "
            "count as neither right nor wrong."
        )
    return said


def judged_text(benchmark: str, labels: Iterable[str]) -> str:
    """Whose verdicts a comparison by a benchmark rests on, in a sentence; empty for rules' own.

    labels: `calibration_label` of those that are compared.
    """
    judge, said = judge_of(benchmark), " and ".join(sorted({one for one in labels if one}))
    return f"The verdicts are those of {judge}, a model, by a rubric: {said or 'judge uncalibrated'}." if judge else ""


def shown_subset(evaluation: Evaluation) -> str:
    """An evaluation's subset as it stands beside its scores: with the judge's calibration where a model judged."""
    return ", ".join(filter(None, (evaluation.subset, calibration_label(evaluation.details))))
