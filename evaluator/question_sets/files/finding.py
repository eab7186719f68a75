"""Which benchmark a text names: a question set by its file or its name, or another measurement.

Not here: reading (`evaluator.question_sets.files.reading`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from evaluator.jsonlines import read_values
from evaluator.question_sets.files.published import PUBLISHED, read_published
from evaluator.question_sets.files.reading import is_question_file, read_question_set
from evaluator.question_sets.files.rows import Wishes
from evaluator.question_sets.items import QuestionSet
from evaluator.tasks import evalplus
from evaluator.tasks.benchmarks import TAKEN
from results import Store, is_there


def question_set(
    benchmark: str, wishes: Wishes | None = None, store: Store | None = None, judged: bool = False
) -> QuestionSet | None:
    """The question set of a file, or of a name that one was measured under; None for any other benchmark.

    judged: a model judges the answers, so that questions without a right one are read too.

    Raises: BenchmarkUnreadable for a file that is none, and for a name whose file has gone.
    """
    if benchmark in TAKEN:
        return None
    if benchmark in PUBLISHED:
        return read_published(benchmark, wishes)
    if judged:
        wishes = replace(wishes or _remembered_wishes(benchmark, store) or Wishes(), judged=True)
    path = Path(benchmark).expanduser()
    if not is_there(path):
        return _remembered(benchmark, wishes, store)
    if not is_question_file(path.name) or _is_of_programs(path):
        return None
    return read_question_set(path, wishes)


def named_questions(said: str, wishes: Wishes, name: str = "") -> QuestionSet:
    """The questions of a published test's name or of a file. name: what they are stored under, if not as usual.

    Raises: BenchmarkUnreadable.
    """
    if said.startswith("lm-eval:"):
        raise BenchmarkUnreadable(
            f"{said} is a task of lm-eval, which no experiment file measures: bakeoff evaluate --benchmark {said}"
        )
    if said not in PUBLISHED:
        return read_question_set(said, wishes, name)
    found = read_published(said, wishes)
    return replace(found, name=name) if name else found


def _remembered(name: str, wishes: Wishes | None, store: Store | None) -> QuestionSet | None:
    report = store.reports.get(name, "question_set") if store is not None else None
    if report is None:
        return None
    wishes = wishes or _remembered_wishes(name, store)
    if isinstance(of := report.payload.get("published"), Mapping):
        return named_questions(str(of.get("name")), wishes or Wishes(), name)
    path = Path(str(report.payload.get("file")))
    if not is_there(path):
        raise BenchmarkUnreadable(
            f"The questions of {name} were in {path}, which is not there any more: name their file"
        )
    return read_question_set(path, wishes, name)


def _remembered_wishes(name: str, store: Store | None) -> Wishes | None:
    """How the set of a name was read when it was measured."""
    report = store.reports.get(name, "question_set") if store is not None else None
    told = report.payload.get("wishes") if report is not None else None
    return Wishes(**told) if isinstance(told, Mapping) else None


def _is_of_programs(path: Path) -> bool:
    """Whether a file is one of HumanEval's, MBPP's or EvalPlus's shape (`evaluator.tasks.benchmarks`)."""
    if not path.name.lower().removesuffix(".gz").endswith((".jsonl", ".json", ".parquet")):
        return False
    try:
        first: Any = next((value for _, value in read_values(path, BenchmarkUnreadable)), None)
    except BenchmarkUnreadable:
        return False
    if not isinstance(first, Mapping):
        return False
    shaped = {"prompt", "entry_point", "test"} <= first.keys() and "task_id" in first
    return shaped or "test_list" in first or evalplus.has_inputs(first)
