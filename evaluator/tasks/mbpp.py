"""MBPP's rows: a sentence, a whole reference program and assertions that call the function by its name.

Of the full file (`text`, `test_setup_code`), the sanitized one (`prompt`, `test_imports`) and EvalPlus's on the Hub,
whose `test` is the additional one of MBPP+. What an assertion needs and the answer defines is the answer's: where a
test hands over objects of such a class, or types, its calls are made beside the answer (`Task.driver`), and only
results cross.

Not here: MBPP+ as EvalPlus's package keeps it (`evaluator.tasks.evalplus`).
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from evaluator.tasks.task import DRIVEN, Task, parsed

_IMPORTS = (ast.Import, ast.ImportFrom)
_TYPES = frozenset(name for name, value in vars(builtins).items() if isinstance(value, type))


def task_of(row: Mapping[str, Any], where: str) -> Task:
    """The task of a row with `test_list`. Raises: BenchmarkUnreadable naming the field."""
    text = row.get("text", row.get("prompt"))
    tests = row["test_list"]
    if not isinstance(text, str) or not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        raise BenchmarkUnreadable(f"{where}: 'text' must be a string and 'test_list' a list of strings")
    imports = row.get("test_imports") or []
    if not isinstance(imports, list) or not all(isinstance(line, str) for line in imports):
        raise BenchmarkUnreadable(f"{where}: 'test_imports' must be a list of strings")
    code = str(row.get("code") or "")
    entry_point = str(row.get("entry_point") or _function_under_test(code, tests, where))
    setup = "\n".join([*imports, str(row.get("test_setup_code") or "")])
    test, driver = _test_of(code, setup, tests, entry_point, where)
    prompt = '"""\n{}\n{}\n"""\n'.format(text.replace("\\", "\\\\").replace('"""', "'''"), "\n".join(tests))
    return Task(_id(row, where), prompt, entry_point, test, code, driver=driver)


def _id(row: Mapping[str, Any], where: str) -> str:
    """ "MBPP/2", whether the file has 2, "2" or "Mbpp/2"; of a row without an id, its place in the file."""
    given = row.get("task_id", re.findall(r"\d+", where)[-1])
    return "MBPP/" + re.sub(r"(?i)\Ambpp/", "", str(given))


def _test_of(code: str, setup: str, tests: Sequence[str], entry_point: str, where: str) -> tuple[str, str]:
    """(source of `check(candidate)`, driver): the assertions, which call the function by its name."""
    trees = [parsed(test, f"{where}: test_list") for test in tests]
    needed = {name for tree in [*trees, parsed(setup, f"{where}: test_setup_code")] for name in _read(tree)}
    needed -= {entry_point, *vars(builtins)} | _bound(ast.parse(setup))
    reference = parsed(code, f"{where}: code")
    imports = [
        node for node in reference.body if isinstance(node, ast.Import | ast.ImportFrom) and _bound(node) & needed
    ]
    setup = "\n".join([*(ast.unparse(node) for node in imports), setup])
    needed -= {name for node in imports for name in _bound(node)}
    # Inside the function its name is a local one, so a function that is itself called `check` is not mistaken for this.
    calls = _Calls(entry_point)
    if needed & _bound(reference) or any(_hands_over_types(tree, entry_point) for tree in trees):
        body = "\n".join(ast.unparse(calls.visit(tree)) for tree in trees)
        made = "".join(f"        lambda: {call},\n" for call in calls.found)
        driver = f"{setup}\n\n\ndef {DRIVEN}(number):\n    return (\n{made}    )[number]()\n"
        setup = "\n".join(
            ast.unparse(node) for node in ast.parse(setup).body if isinstance(node, ast.Import | ast.ImportFrom)
        )
    else:
        body, driver = "\n".join([f"{entry_point} = candidate", *tests]), ""
    return f"{setup}\n\n\ndef check(candidate):\n{textwrap.indent(body, '    ')}\n", driver


class _Calls(ast.NodeTransformer):
    """Replaces each call of a function by `candidate(its number)`, and keeps what it was."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.found: list[str] = []

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not (isinstance(node.func, ast.Name) and node.func.id == self._name):
            return self.generic_visit(node)
        self.found.append(ast.unparse(node))
        return ast.parse(f"candidate({len(self.found) - 1})", mode="eval").body


def _hands_over_types(tree: ast.Module, entry_point: str) -> bool:
    """Whether a type such as `int` is an argument of the function's, by itself or in a list."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == entry_point:
            called = {id(node.func) for node in ast.walk(call) if isinstance(node, ast.Call)}
            inner = (node for node in ast.walk(call) if id(node) not in called)
            if any(isinstance(node, ast.Name) and node.id in _TYPES for node in inner):
                return True
    return False


def _function_under_test(code: str, tests: Sequence[str], where: str) -> str:
    """The function that the assertions call: among those that the reference defines, the one called first."""
    defined = {node.name for node in ast.walk(parsed(code, f"{where}: code")) if isinstance(node, ast.FunctionDef)}
    for test in tests:
        for node in ast.walk(parsed(test, f"{where}: test_list")):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
                return node.func.id
    raise BenchmarkUnreadable(f"{where}: no assertion calls a function that 'code' defines; add 'entry_point'")


def _read(tree: ast.AST) -> set[str]:
    """Names that are read anywhere inside."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _bound(tree: ast.AST) -> set[str]:
    """Names that are assigned, defined or imported anywhere inside."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, _IMPORTS):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return names
