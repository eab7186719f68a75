"""Benchmarks take hours and run seldom: what they use of the rooms is looked up in the source, so that none rots."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("bakeoff", "trainer", "evaluator", "dashboard", "engines", "results")
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


def file_of(module: str) -> Path | None:
    """The file of a module of the rooms: a door's is its stub."""
    place = ROOT.joinpath(*module.split("."))
    candidates = (place / "__init__.pyi", place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in candidates if file.is_file()), None)


@cache
def names(module: str) -> frozenset[str]:
    """What a module of the rooms defines or imports at its top, and the modules in it."""
    file = file_of(module)
    assert file is not None, f"there is no {module}"
    found = {path.stem for path in file.parent.iterdir()} if file.stem == "__init__" else set[str]()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return frozenset(found)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_uses_of_the_rooms_is_there(benchmark: Path) -> None:
    tree = ast.parse(benchmark.read_text(encoding="utf-8"))
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ROOMS:
            for alias in node.names:
                assert alias.name in names(node.module), f"{node.module} has no {alias.name}"
                if file_of(f"{node.module}.{alias.name}"):
                    modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            modules |= {one.asname or one.name: one.name for one in node.names if one.name.split(".")[0] in ROOMS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            module = modules[node.value.id]
            assert node.attr in names(module), f"{module} has no {node.attr}"
