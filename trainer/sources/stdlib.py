"""The built-in data source `python-stdlib`: documented functions of the running Python's standard library.

Signature and docstring are the prompt, the body is the answer. Read from the source files by `ast`: nothing is
imported, so nothing runs. Some 4,000 to 5,000 rows, the same wherever the Python version is.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LEFT_OUT = (
    "test",
    "tests",
    "idlelib",
    "site-packages",
    "dist-packages",
    "__pycache__",
    "lib2to3",
    "turtledemo",
    "ensurepip",
)
"""Folders that are tests, generated or not the library's own."""

MAX_BODY_CHARACTERS = 1200
"""Longer bodies would mostly be cut by a small model's max_length."""


def stdlib_rows() -> Iterator[dict[str, Any]]:
    """Rows of the whole standard library, file by file: prompt, answer, module, name, line."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        parts = path.relative_to(root).parts
        if not any(part in LEFT_OUT or part.startswith("_sysconfigdata") for part in parts):
            yield from module_rows(path, ".".join((*parts[:-1], path.stem)).removesuffix(".__init__"))


def module_rows(path: Path, module: str) -> list[dict[str, Any]]:
    """Rows of one source file by line; none when it is not UTF-8 or does not parse, as a few library files do not."""
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return []
    lines = source.splitlines(keepends=True)
    rows = [row for node in ast.walk(tree) if (row := _row(node, lines, module))]
    return sorted(rows, key=lambda row: row["line"])


def stdlib_version() -> str:
    """Name the version of Python that the rows depend on, e.g. "3.11.2"."""
    return ".".join(map(str, sys.version_info[:3]))


def _row(node: ast.AST, lines: list[str], module: str) -> dict[str, Any] | None:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or len(node.body) < 2:
        return None
    docstring = ast.get_docstring(node)
    if not docstring or len(docstring) < 20:
        return None
    first = node.body[1]
    start = min([first.lineno, *(item.lineno for item in getattr(first, "decorator_list", []))])
    body = "".join(_dedented(lines[start - 1 : node.end_lineno], node.col_offset))
    if not 20 <= len(body) <= MAX_BODY_CHARACTERS or not body.strip():
        return None
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    signature = f"{keyword} {node.name}({ast.unparse(node.args)}){returns}:"
    quoted = "\n".join(f"    {line}".rstrip() for line in docstring.splitlines())
    prompt = f'Complete this Python function.\n\n```python\n{signature}\n    """\n{quoted}\n    """\n```'
    answer = f"```python\n{signature}\n{body.rstrip()}\n```"
    return {"prompt": prompt, "answer": answer, "module": module, "name": node.name, "line": node.lineno}


def _dedented(lines: list[str], column: int) -> Iterator[str]:
    """Lines moved left by the column of the function's `def`, so that bodies start at four spaces."""
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        yield line[min(column, indent) :]
