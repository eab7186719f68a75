"""What pages and commands say is in the field's words, as docs/glossary.md has them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.names import ROOMS, trees

OURS_OF_BEFORE = {
    r"(?<![-.])\bforms?\b(?! of)": "format",
    r"\bfine-tunings?\b(?! )": "fine-tune, or run",
    r"\bpasses over\b": "epochs",
    r"\blog.odds\b": "how often one is preferred",
    r"\bin earnest\b": "run it",
    r"\bnew tokens\b.*\bat most\b": "max tokens",
    r"\bOne line a\b": "group by",
    r"\bended by itself\b": "finished",
}
"""Words that only we used → what people say."""


def sentences(room: str) -> Iterator[tuple[str, str]]:
    """Place and text of every string of more than a word that is no docstring, with its gaps left out."""
    for path, tree in trees(room):
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in said else None
            if isinstance(text, str) and " " in text.strip():
                yield f"{path.name}:{node.lineno}", text


@pytest.mark.parametrize("room", ROOMS)
def test_words_that_only_we_used_are_not_said(room: str) -> None:
    found = list(sentences(room))
    assert len(found) > 50
    for word, better in OURS_OF_BEFORE.items():
        assert [(place, text) for place, text in found if re.search(word, text, re.IGNORECASE)] == [], f"say: {better}"


@pytest.mark.parametrize("room", ROOMS)
def test_shares_are_written_one_way(room: str) -> None:
    """`84 %`: Python's and Plotly's own formats leave the space out, so `results.percent` and PER_CENT write them."""
    own = [
        f"{path.name}:{node.lineno}"
        for path, tree in trees(room)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\.\d%$", node.value)
    ]
    assert own == []
