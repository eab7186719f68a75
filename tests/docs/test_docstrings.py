"""Docstrings are sentences that stand by themselves, not fragments that only the line above them completes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.names import ROOMS, trees

FRAGMENT = re.compile(r"(Of|In|By|With|From|At|On|For|To|Between|Beside|Until|Without|Since|Than|And|Or|Not|As) ")
"""How a fragment begins: with a word that leans on another. "In pixels." needs the name that it stands under."""
ADVERBS = ("At once", "As soon", "In order to")


def docstrings(room: str) -> Iterator[tuple[str, str]]:
    """Place and text of every docstring: of modules, classes, functions, fields and constants."""
    for path, tree in trees(room):
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            for one in body if isinstance(body, list) else ():
                if (
                    isinstance(one, ast.Expr)
                    and isinstance(one.value, ast.Constant)
                    and isinstance(one.value.value, str)
                ):
                    yield f"{path.name}:{one.lineno}", " ".join(one.value.value.split())


@pytest.mark.parametrize("room", ROOMS)
def test_no_docstring_is_a_fragment(room: str) -> None:
    found = list(docstrings(room))
    assert len(found) > 50
    assert [(place, text[:80]) for place, text in found if FRAGMENT.match(text) and not text.startswith(ADVERBS)] == []
