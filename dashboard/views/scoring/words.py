"""Which words two texts share and which they do not. Pure; drawing is `dashboard.widgets.answers`."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal

PIECE = re.compile(r"\w+|\s+|[^\w\s]")
MOST_PIECES = 3000
"""Words and signs of a text that are compared; what is beyond stands as it is, marked as not compared."""

Kind = Literal["same", "gone", "new", "beyond"]


def differences(before: str, after: str) -> list[tuple[Kind, str]]:
    """Stretches in reading order: in both, in `before` alone (gone), in `after` alone (new), or not compared."""
    first, second = PIECE.findall(before), PIECE.findall(after)
    rest = ["".join(pieces[MOST_PIECES:]) for pieces in (first, second)]
    a, b = first[:MOST_PIECES], second[:MOST_PIECES]
    found: list[tuple[Kind, str]] = []
    for what, i, j, k, end in SequenceMatcher(None, a, b, autojunk=len(a) + len(b) > 2000).get_opcodes():
        if what == "equal":
            found.append(("same", "".join(a[i:j])))
            continue
        found += [("gone", "".join(a[i:j]))] if j > i else []
        found += [("new", "".join(b[k:end]))] if end > k else []
    return [*found, *(("beyond", text) for text in rest if text)]
