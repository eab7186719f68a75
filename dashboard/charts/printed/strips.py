"""Items as a strip of bars, a model a strip: what was right stands tall and blue, what was not lies low and orange.

Height says what colour does, so that nobody has to tell the colours apart.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

STEP, BAR, HEIGHT = 6, 5, 18
"""Units from one item to the next, and an item's width and height."""
LOW = 5
"""Height of what was not right."""
RIGHT, PART, WRONG, UNKNOWN = "#0072B2", "#56B4E9", "#D55E00", "#808080"


def printed_strip(values: Sequence[float], alt: str) -> str:
    """An `<svg>` of one model's items in order. values: from 0, wrong, to 1, right; NaN: not asked, or no verdict."""
    paths: dict[str, list[str]] = {}
    for place, value in enumerate(values):
        if math.isnan(value):
            colour, height = UNKNOWN, 1.5
        elif value >= 1:
            colour, height = RIGHT, float(HEIGHT)
        else:
            colour, height = (PART, LOW + value * (HEIGHT - LOW)) if value > 0 else (WRONG, float(LOW))
        bar = f"M{place * STEP} {HEIGHT - height:.3g}h{BAR}v{height:.3g}h-{BAR}z"
        paths.setdefault(colour, []).append(bar)
    drawn = "".join(f'<path fill="{colour}" d="{"".join(bars)}"/>' for colour, bars in paths.items())
    return _svg(max(1, len(values)) * STEP, drawn, alt)


def printed_groups(counts: Mapping[str, int]) -> str:
    """An `<svg>` of brackets over a strip. counts: what a stretch of items has in common → how many they are."""
    place, parts = 0, []
    for name, count in counts.items():
        if count:
            left, right = place * STEP + 0.5, (place + count) * STEP - 1.5
            parts.append(f'<path fill="none" stroke="currentColor" d="M{left} {HEIGHT}v-4H{right}v4"/>')
            if count * STEP >= 5 * len(name) + 24:
                said = html.escape(f"{name}: {count}")
                parts.append(f'<text x="{left}" y="{HEIGHT - 7}" font-size="11" fill="currentColor">{said}</text>')
        place += count
    alt = ", ".join(f"{name}: {count}" for name, count in counts.items())
    return _svg(max(1, place) * STEP, "".join(parts), alt)


def _svg(width: int, parts: str, alt: str) -> str:
    size = f'width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}"'
    said = f'role="img" aria-label="{html.escape(alt)}" font-family="system-ui, sans-serif"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {said}>{parts}</svg>'
