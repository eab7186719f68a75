"""Programs as answers: the task of an item that has a test, in the shape that the sandbox's scorer takes.

A test is assertions that call the function by its name, as MBPP's, or defines `check(candidate)`, as HumanEval's.

Not here: running it (`evaluator.humaneval.scoring`).
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Mapping
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from evaluator.question_sets.items import Check, Item
from evaluator.tasks import mbpp
from evaluator.tasks.task import Task


def program_test(answer: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    """{"entry_point", "test"} of a test (a text, or a list of assertions) and of the row's `entry_point`.

    Raises: ValueError naming what is wrong.
    """
    lines = [str(line) for line in answer] if isinstance(answer, list | tuple) else [str(answer or "")]
    test = "\n".join(lines)
    try:
        tree = ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"its test is no Python: {error or type(error).__name__}") from error
    if not tree.body:
        raise ValueError("its test is empty")
    name = str(more.get("entry_point") or _called(tree))
    if not name.isidentifier():
        raise ValueError("its test calls no function by its name: add a column entry_point")
    return {"entry_point": name, "test": test}


def _called(tree: ast.Module) -> str:
    """The function that a test is about: what `check(…)` is given at its end, else the first that assertions call."""
    made = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    known = made | {*vars(builtins)}
    known |= {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "check" and node.args and isinstance(node.args[0], ast.Name):
                return node.args[0].id
            if node.func.id not in known and node.func.id != "candidate":
                return node.func.id
    return ""


def task_of(item: Item, check: Check) -> Task:
    """The task that the sandbox's scorer takes. Raises: BenchmarkUnreadable naming the item."""
    name, test = check.wanted["entry_point"], check.wanted["test"]
    if not re.search(r"^def check\(", test, re.MULTILINE):
        row = {"task_id": "0", "text": item.text, "test_list": [test], "entry_point": name}
        made = mbpp.task_of(row, item.where or item.id)
        return Task(item.id, made.prompt, name, made.test, "", driver=made.driver)
    told = item.text.replace("\\", "\\\\").replace('"""', "'''")
    test = re.sub(rf"^check\({re.escape(name)}\)\s*$", "", test, flags=re.MULTILINE)
    return Task(item.id, f'"""\n{told}\n"""\n', name, test, "")


def sound(item: Item) -> str:
    """Why the tests of an item cannot be run; empty where they can, or there are none."""
    try:
        for check in item.checks:
            if check.kind == "code":
                task_of(item, check)
    except BenchmarkUnreadable as error:
        return str(error)
    return ""
