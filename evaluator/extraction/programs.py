"""Programs as text and as trees: what a piece of code defines, needs, and can do without.

Nothing is executed. Code that does not parse is told by its text alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

MAX_CUTS = 200
"""Attempts to find where a program in prose ends."""
_FUTURE = re.compile(r"^from __future__ import [^\n(\\]+$", re.MULTILINE)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def tree_of(code: str) -> ast.Module | None:
    """The parsed code, or None."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parses(code: str) -> bool:
    return tree_of(code) is not None


def leaves_string_open(code: str) -> bool:
    """Whether the code ends inside a triple-quoted string, such as a docstring with a fence of its own."""
    try:
        ast.parse(code)
    except SyntaxError as error:
        return "unterminated triple-quoted" in error.msg
    except (ValueError, RecursionError, MemoryError):
        pass
    return False


def defines(code: str, name: str) -> bool:
    """Whether the code defines the function, in text if it does not parse: a syntax error in it is the model's."""
    tree = tree_of(code)
    if tree is None:
        return re.search(rf"^(async )?def {re.escape(name)}\s*\(", code, re.MULTILINE) is not None
    return name in _top_names(tree)


def only_announces(code: str, name: str) -> bool:
    """Whether the code imports the function, or has it without a body: a docstring, `pass`, `...`, a `raise` of
    NotImplementedError."""
    tree = tree_of(code)
    if tree is None:
        return False
    for node in reversed(tree.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return all(_is_empty(statement) for statement in node.body)
        if name in _names_of(node):
            return isinstance(node, ast.Import | ast.ImportFrom)
    return False


def _is_empty(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Pass | ast.Import | ast.ImportFrom)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        or (isinstance(statement, ast.Raise) and "NotImplementedError" in ast.unparse(statement))
    )


def class_with(code: str, name: str) -> str | None:
    """The top-level class that has the function as a method, or None."""
    tree = tree_of(code)
    for node in reversed(tree.body if tree else []):
        if isinstance(node, ast.ClassDef) and name in {n.name for n in node.body if isinstance(n, _DEFINITIONS)}:
            return node.name
    return None


def defined_names(code: str) -> set[str]:
    """Names that the code defines at its top."""
    tree = tree_of(code)
    return _top_names(tree) if tree else set()


def imported_names(code: str) -> set[str]:
    """Names that the code imports at its top."""
    tree = tree_of(code)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)] if tree else []
    return {name for node in imports for name in _names_of(node)}


def free_names(code: str) -> set[str]:
    """Names that the code reads and does not define at its top."""
    tree = tree_of(code)
    return _read(tree) - _top_names(tree) if tree else set()


def _top_names(tree: ast.Module) -> set[str]:
    return {name for node in tree.body for name in _names_of(node)}


def _names_of(node: ast.stmt) -> set[str]:
    """Names that a statement binds where it stands."""
    if isinstance(node, _DEFINITIONS):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    return set()


def _read(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _bound(node: ast.AST) -> set[str]:
    """Names that are assigned or are arguments somewhere inside."""
    inner = list(ast.walk(node))
    names = {n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names | {n.arg for n in inner if isinstance(n, ast.arg)}


def futures_first(code: str) -> str:
    """The code with its `from __future__` imports moved to the top: behind anything else they are a syntax error."""
    futures = _FUTURE.findall(code)
    return "".join(f"{line}\n" for line in futures) + _FUTURE.sub("", code) if futures else code


def returns_at_top(statements: Iterable[ast.AST]) -> bool:
    """Whether there is a return outside of functions, which parses but does not compile."""
    return any(
        isinstance(node, ast.Return)
        or (not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and returns_at_top(ast.iter_child_nodes(node)))
        for node in statements
    )


def longest_program(text: str, cuts: int = MAX_CUTS) -> str:
    """The longest run of whole lines from the start that parses, cut where the prose goes on; empty if none is found
    in so many cuts."""
    lines = text.split("\n")
    end = len(lines)
    for _ in range(cuts):
        code = "\n".join(lines[:end]) + "\n"
        try:
            ast.parse(code)
            return code
        except SyntaxError as error:
            # What stands after the error cannot mend it: cut before the statement at the margin that it is in.
            end = min(end - 1, error.lineno or end)
        except (ValueError, RecursionError, MemoryError):
            return ""
        while end > 0 and (not lines[end].strip() or lines[end][0] in " \t)]}"):
            end -= 1
        if end <= 0:
            return ""
    return ""


def without_demonstrations(code: str, name: str) -> str:
    """The code without what shows the function off after its definition: statements that call it or ask for input.

    Calls, assertions with results that the model guessed and `input()` are talk, as the prose around a program is; run
    at import they would fail a right function. What a definition reads stays.
    """
    tree = tree_of(code)
    if tree is None:
        return code
    places = [place for place, node in enumerate(tree.body) if name in _names_of(node)]
    if not places:
        return code
    later = tree.body[places[-1] + 1 :]
    needed = {name}.union(*(_read(node) - _bound(node) for node in tree.body if isinstance(node, _DEFINITIONS)))
    called, dropped = {name, "input"}, []
    for node in later:
        binds = _names_of(node)
        shown = _calls(node) & called or _read(node) & (called - {name, "input"})
        if not shown or binds & needed or any(isinstance(inner, _DEFINITIONS) for inner in ast.walk(node)):
            continue
        if isinstance(node, ast.Assign) and len(binds) < len(node.targets):
            continue
        dropped.append(node)
        called |= binds
    lines: list[str | None] = list(code.split("\n"))
    for node in dropped:
        alone = all(
            other is node or other.lineno > (node.end_lineno or 0) or (other.end_lineno or 0) < node.lineno
            for other in tree.body
        )
        if alone:
            lines[node.lineno - 1 : node.end_lineno] = [None] * ((node.end_lineno or 0) - node.lineno + 1)
    return "\n".join(line for line in lines if line is not None)


def _calls(node: ast.AST) -> set[str]:
    return {n.func.id for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
