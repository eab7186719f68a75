"""Losses as a picture: training losses smoothed over the span of what was measured, validation losses dashed."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dashboard.charts.printed.frame import WIDE, Frame
from dashboard.palette import GREY, Style
from dashboard.views.curves import Curve, Floats, smoothed

HEIGHT = 300.0
WEIGHT = 0.6
"""Weight of the smoothing; the band behind a line is what was measured."""
DASHES = {"dash": "9 5", "dot": "2 4", "dashdot": "9 4 2 4", "longdash": "14 6"}


def printed_curves(
    training: Sequence[Curve],
    validation: Sequence[Curve],
    styles: Mapping[str, Style],
    names: Mapping[str, str],
    *,
    width: float = WIDE,
    alt: str = "",
) -> str:
    """An `<svg>` of losses in nats per token against steps; empty where no value is finite. names: of runs, by id."""
    every = [*training, *validation]
    ends = np.concatenate([side for one in every for side in (one.low, one.high)] or [np.empty(0)])
    ends = ends[np.isfinite(ends)]
    if not ends.size:
        return ""
    margin = 0.05 * float(np.ptp(ends)) or 0.05
    last = max(float(one.steps[-1]) for one in every if one.steps.size)
    frame = Frame(width, HEIGHT, (0.0, last or 1.0), (float(ends.min()) - margin, float(ends.max()) + margin))
    parts = list(frame.axes("Step", lambda value: f"{value:.2f}"))
    for one in training:
        style, name = styles.get(one.run_id, Style(GREY)), names.get(one.run_id, one.run_id)
        parts += _band(one, frame, style.colour)
        parts.append(_line(one, smoothed(one.values, WEIGHT), frame, style, f"{name}: training loss"))
        for step in one.broken[:20]:
            where = f'x="{frame.right(float(step)):.1f}" y="{frame.down(frame.up[1]) + 12:.1f}"'
            cross = f'<text {where} text-anchor="middle" fill="{style.colour}">×'
            parts.append(f"{cross}<title>not a number or infinite</title></text>")
    for one in validation:
        style, name = styles.get(one.run_id, Style(GREY)), names.get(one.run_id, one.run_id)
        parts.append(_line(one, one.values, frame, Style(style.colour, "dot"), f"{name}: validation loss"))
        for step, value in _finite(one.steps, one.values):
            at = f'cx="{frame.right(step):.1f}" cy="{frame.down(value):.1f}"'
            parts.append(f'<circle {at} r="4" fill="{style.colour}"><title>{value:.4f}</title></circle>')
    return frame.svg(parts, alt)


def _line(one: Curve, values: Floats, frame: Frame, style: Style, title: str) -> str:
    """One path; where a value is not finite it is interrupted."""
    text, pen = [], "M"
    for step, value in zip(one.steps.tolist(), values.tolist(), strict=True):
        if np.isfinite(value):
            text.append(f"{pen}{frame.right(step):.1f} {frame.down(value):.1f}")
        pen = "L" if np.isfinite(value) else "M"
    dash = f' stroke-dasharray="{DASHES[style.dash]}"' if style.dash in DASHES else ""
    look = f'fill="none" stroke="{style.colour}" stroke-width="2"{dash}'
    return f'<path {look} d="{"".join(text)}"><title>{html.escape(title)}</title></path>'


def _band(one: Curve, frame: Frame, colour: str) -> Iterator[str]:
    """What was measured, from each bucket's least to its greatest value."""
    lower, upper = list(_finite(one.steps, one.low)), list(_finite(one.steps, one.high))
    if len(lower) > 1:
        edge = [*upper, *reversed(lower)]
        places = "L".join(f"{frame.right(step):.1f} {frame.down(value):.1f}" for step, value in edge)
        yield f'<path fill="{colour}" fill-opacity="0.18" d="M{places}Z"/>'
        if all(a == b for a, b in zip(lower, upper, strict=True)):  # single points: the band has no width
            raw = "L".join(f"{frame.right(step):.1f} {frame.down(value):.1f}" for step, value in upper)
            yield f'<path fill="none" stroke="{colour}" stroke-opacity="0.3" d="M{raw}"/>'


def _finite(steps: Floats, values: Floats) -> Iterator[tuple[float, float]]:
    for step, value in zip(steps.tolist(), values.tolist(), strict=True):
        if np.isfinite(value):
            yield step, value
