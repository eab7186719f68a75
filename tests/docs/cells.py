"""What the generated pages share: docstrings below fields, and text in the cells of a table."""

from __future__ import annotations

import ast
import inspect
import textwrap


def docstrings(model: type) -> dict[str, str]:
    """Field of a class → the string below it in the source, as one line."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(node, ast.ClassDef)
    found = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, str):
            found[field.target.id] = " ".join(text.split())
    return found


def cell(words: str) -> str:
    """Text as it may stand in a table's cell."""
    return " ".join(words.split()).replace("|", "\\|")
