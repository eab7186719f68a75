"""Numbers in answers: `1,234.5`, `$3`, `-0.5 %`, `1e-3`, `3/4`, `#### 42`, `\\boxed{42}`.

Not here: words for numbers (`two`); other digits than 0 to 9.
"""

from __future__ import annotations

import math
import re
from collections import deque
from typing import Any

NUMBER = re.compile(r"[-−+]?(?:\d{1,3}(?:,\d{3})+|\d{1,400})(?:\.\d{1,400})?(?:[eE][-+]?\d{1,3})?|[-−+]?\.\d{1,400}")
"""A number as English writes it, commas between thousands."""

_MARKED = re.compile(
    r"(?:####|\\boxed\{|(?:final answer|answer)\s*(?:is|:|=)+)[\s*$€£]*(?P<number>[-−+]?\$?[\d.,/eE+-]*\d)",
    re.IGNORECASE,
)
"""Where a reply says which number is its answer."""

_FRACTION = re.compile(r"([-−+]?\d{1,15})\s*/\s*(\d{1,15})")


def plain_number(value: Any) -> float | None:
    """A number, or a text that is nothing else; None for anything else, booleans too."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if not isinstance(value, str):
        return None
    return _value(value.strip().strip("$€£%").strip())


def number_in(text: str) -> float | None:
    """The number that a reply gives as its answer: the last one behind `answer is`, `####` or `\\boxed{`, else its
    last one; None without any."""
    marked = [found["number"] for found in _MARKED.finditer(text)]
    if marked and (value := _value(marked[-1].replace("$", "").rstrip(".,"))) is not None:
        return value
    last = next(iter(deque(NUMBER.finditer(text), maxlen=1)), None)
    if last is None:
        return None
    start = text.rfind("\n", 0, last.start()) + 1
    fraction = next(iter(deque(_FRACTION.finditer(text, start), maxlen=1)), None)
    if fraction is not None and fraction.end() == last.end():
        return _value(fraction.group())
    glued = last.start() > 0 and last.group()[:1] in "-−+" and text[last.start() - 1].isalnum()
    return _value(last.group()[glued:])  # the stroke of 3-4 or page-7 is no sign


def _value(text: str) -> float | None:
    text = text.replace("−", "-")
    if fraction := _FRACTION.fullmatch(text):
        below = int(fraction[2])
        return int(fraction[1]) / below if below else None
    if not NUMBER.fullmatch(text):
        return None
    value = float(text.replace(",", ""))
    return value if math.isfinite(value) else None


def equal(found: float, wanted: float, tolerance: float) -> bool:
    """Whether two numbers are the same within a tolerance, and what binary fractions are off in any case."""
    return abs(found - wanted) <= max(tolerance, 1e-9 * max(abs(found), abs(wanted)))
