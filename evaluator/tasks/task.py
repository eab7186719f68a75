"""A task whose answer is a program, and how its parts are read from a file."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from evaluator.errors import BenchmarkUnreadable

LARGE_CHARACTERS = 50_000
"""A test of more is not parsed when it is read: its reference's run says whether it is sound."""
DRIVEN = "bakeoff_calls"
"""Name of the function that a driver defines."""


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
    base_test: str = ""
    """The benchmark's own test where `test` is EvalPlus's: a pass is a pass of both. Empty where `test` is all."""
    driver: str = ""
    """What is executed after an answer where the test's arguments cannot be handed over as values (objects of a class
    that the answer defines, types): it defines `bakeoff_calls(number)`, which makes the test's call of that number."""

    @property
    def called(self) -> str:
        """The function that the test calls."""
        return DRIVEN if self.driver else self.entry_point

    @property
    def reference(self) -> str:
        """A whole right program; empty where the file has none."""
        if not self.canonical_solution:
            return ""
        after = f"{self.prompt}{self.canonical_solution}\n"
        alone = f"{self.canonical_solution}\n"
        return f"{after if is_python(after) or not is_python(alone) else alone}{self.driver}"


def benchmark_digest(tasks: Sequence[Task]) -> str:
    """SHA-256 (64 hex digits) over all fields of all tasks: two files that score alike have the same one."""
    rows = [
        [t.id, t.prompt, t.entry_point, t.test, t.canonical_solution, *((t.base_test, t.driver) * _has_more(t))]
        for t in tasks
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _has_more(task: Task) -> bool:
    """Whether a task has more than the fields that every digest has had."""
    return bool(task.base_test or task.driver)


def is_python(source: str) -> bool:
    """Whether the source parses."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def parsed(source: str, where: str) -> ast.Module:
    """The source as a tree. Raises: BenchmarkUnreadable naming the place."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BenchmarkUnreadable(f"{where} is no Python: {error or type(error).__name__}") from error


def string(row: object, field: str, where: str) -> str:
    """A field that must be text. Raises: BenchmarkUnreadable naming the place, the field and what it holds."""
    value = row.get(field) if isinstance(row, dict) else None
    if not isinstance(value, str):
        raise BenchmarkUnreadable(f"{where}: {field!r} must be a string, found {type(value).__name__}")
    return value
