"""What printed pictures share: the plot with its axes, numbers to places, and the `<svg>` around it all."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

LEFT, RIGHT, TOP, BOTTOM = 60.0, 10.0, 12.0, 46.0
"""Room around the plot for its numbers, in the picture's own units."""
WIDE, NARROW = 760.0, 290.0
"""Widths of a plot for a desk and for a phone."""


def round_numbers(low: float, high: float, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from `low` to `high`, about so many."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.8)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(number * step) for number in range(first, last + 1)]


@dataclass(frozen=True)
class Frame:
    """A plot and what its sides mean."""

    width: float
    height: float
    across: tuple[float, float]
    """Numbers at the left and at the right end."""
    up: tuple[float, float]
    """Numbers at the lower and at the upper end."""

    def right(self, value: float) -> float:
        """Where a number along x is drawn."""
        low, high = self.across
        return LEFT + (value - low) / (high - low) * self.width

    def down(self, value: float) -> float:
        """Where a number along y is drawn."""
        low, high = self.up
        return TOP + (high - value) / (high - low) * self.height

    def axes(self, title: str, said: Callable[[float], str]) -> Iterator[str]:
        """Lines at round numbers with the numbers, and the title along x. said: how a number along y is written."""
        for value in round_numbers(*self.up, 5):
            at = self.down(value)
            line = f'<line x1="{LEFT:g}" y1="{at:.1f}" x2="{LEFT + self.width:g}" y2="{at:.1f}"'
            yield f'{line} stroke="currentColor" stroke-opacity="0.2"/>'
            yield f'<text x="{LEFT - 6:g}" y="{at + 4:.1f}" text-anchor="end">{html.escape(said(value))}</text>'
        for value in round_numbers(*self.across, 6 if self.width >= WIDE / 2 else 3):
            under = f'x="{self.right(value):.1f}" y="{TOP + self.height + 18:g}" text-anchor="middle"'
            yield f"<text {under}>{value:,.6g}</text>"
        middle = LEFT + self.width / 2
        yield f'<text x="{middle:g}" y="{TOP + self.height + 38:g}" text-anchor="middle">{html.escape(title)}</text>'

    def svg(self, parts: Iterable[str], alt: str) -> str:
        """The picture. alt: what it shows, for whoever cannot see it; empty where the page says so itself."""
        box = f"0 0 {LEFT + self.width + RIGHT:g} {TOP + self.height + BOTTOM:g}"
        said = f' role="img" aria-label="{html.escape(alt)}"' if alt else ' role="img"'
        font = 'font-family="system-ui, sans-serif" font-size="12" fill="currentColor"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"{said} {font}>{"".join(parts)}</svg>'
