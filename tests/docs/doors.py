"""docs/reference/doors.md from the code: each name at a room's door with its parameters and its first sentence.

Write it anew: make docs
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.docs.names import ROOT

ROOMS = ("results", "engines", "trainer", "evaluator", "dashboard")
NOUNS = ("machines", "runs", "models", "evaluations", "votes", "reports", "decisions", "published_results")
HEAD = """# The rooms' doors

Every name that one room offers the others, with its parameters and its first sentence; its docstring has the rest.
Written from the code by `make docs`, held by `tests/docs/test_reference_pages.py`. Import them from the room.
"""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def page() -> str:
    """The whole document."""
    return "\n".join([HEAD, *(line for room in ROOMS for line in _room(room)), *_collections()]) + "\n"


def _room(room: str) -> Iterator[str]:
    yield f"## `{room}`\n"
    stub = ast.parse((ROOT / room / "__init__.pyi").read_text(encoding="utf-8"))
    found: dict[str, Path] = {}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            place = ROOT.joinpath(room, *node.module.split("."))
            file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            found |= {alias.name: file for alias in node.names}
    files: dict[Path, list[str]] = {}
    for name in sorted(found):
        files.setdefault(found[name], []).append(name)
    for file in sorted(files):
        yield f"`{file.relative_to(ROOT).as_posix()}`\n"
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for name in files[file]:
            yield from _entry(name, tree)
        yield ""


def _entry(name: str, tree: ast.Module) -> Iterator[str]:
    """A name's line, and one for each public method of a class that is more than its fields."""
    for at, node in enumerate(tree.body):
        if isinstance(node, Function) and node.name == name:
            yield f"- `{_call(node)}` {_sentence(node)}".rstrip()
            return
        if isinstance(node, ast.ClassDef) and node.name == name:
            yield f"- `{name}` {_sentence(node)}".rstrip()
            yield from _methods(node)
            return
        if any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(node)) and isinstance(
            node, ast.Assign | ast.AnnAssign
        ):
            after = tree.body[at + 1] if at + 1 < len(tree.body) else None
            said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            yield f"- `{name}` {_first(str(said))}".rstrip()
            return


def _methods(node: ast.ClassDef) -> Iterator[str]:
    for one in node.body:
        if isinstance(one, Function) and not one.name.startswith("_"):
            marks = {getattr(mark, "id", "") for mark in one.decorator_list}
            yield f"  - `.{one.name if 'property' in marks else _call(one)}` {_sentence(one)}".rstrip()


def _collections() -> Iterator[str]:
    yield "## What a `Store` holds\n"
    for noun in NOUNS:
        yield from _collection(f"store.{noun.removesuffix('_results')}", ROOT / "results" / "store" / f"{noun}.py")
    yield from _collection("store.curves", ROOT / "results" / "curves" / "curves.py")


def _collection(name: str, file: Path) -> Iterator[str]:
    yield f"`{name}` (`{file.relative_to(ROOT).as_posix()}`)\n"
    tree = ast.parse(file.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for line in _methods(classes[-1]):
        yield line.removeprefix("  ")
    yield ""


def _call(node: Function) -> str:
    """A function with its parameters and their defaults, without types."""
    given = ast.parse(ast.unparse(node.args).join(("def f(", "): pass"))).body[0]
    assert isinstance(given, ast.FunctionDef)
    for one in (*given.args.posonlyargs, *given.args.args, *given.args.kwonlyargs, given.args.vararg, given.args.kwarg):
        if one is not None:
            one.annotation = None
    words = ast.unparse(given.args).removeprefix("self").removeprefix("cls").removeprefix(", ")
    return f"{node.name}({words})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def _sentence(node: Function | ast.ClassDef) -> str:
    return _first(ast.get_docstring(node) or "")


def _first(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())
