"""Runs that are drawn together: a crowd as faint lines between its edges, a group as its mean and spread.

A mean is drawn only where somebody asked for groups, and only over runs of one base on the same rows: the mean of
losses by two tokenizers is nobody's loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from dashboard.escaping import chart_label
from dashboard.palette import COLOURS, GREY, translucent
from dashboard.views.curves import Curve, Floats, band, smoothed, spread_out

SHOWN = 100
"""Lines of a crowd: more are a blot that takes a browser seconds. What all of them reached is in lowest and highest."""


def colour(position: int) -> str:
    """The colour of the nth group; grey beyond those that can be told apart."""
    return COLOURS[position] if position < len(COLOURS) else GREY


def crowd(
    made: go.Figure, kin: str, curves: Sequence[Curve], position: int, place: Callable[[Curve], Floats], **drawn: object
) -> None:
    """Faint lines that stand for all, and the least and the greatest that any of them reached; no mean.

    kin: what these have in common. drawn: what every trace is given, e.g. its axes.
    """
    along = [moved(curve, place(curve)) for curve in curves]
    shown = spread_out(along, SHOWN)
    xs, ys = [], []
    gap = np.array([np.nan], dtype=np.float32)
    for curve in shown:
        xs += [curve.steps.astype(np.float32), gap]
        ys += [curve.values.astype(np.float32), gap]
    tone, said = colour(position), f" of {chart_label(kin, 40)}" if kin else ""
    count = f"{len(curves):,}" if len(shown) == len(curves) else f"{len(shown)} of {len(curves):,}"
    made.add_scatter(
        x=np.concatenate(xs), y=np.concatenate(ys), mode="lines", name=f"{count} runs{said}", hoverinfo="skip",
        line={"color": translucent(tone, 0.2), "width": 1}, **drawn,
    )  # fmt: skip
    grid, _, low, high = band(along)
    for edge, name in ((low, "lowest"), (high, "highest")):
        made.add_scatter(
            x=grid, y=edge, mode="lines", name=f"{name} of all {len(curves):,}{said}",
            line={"color": tone, "width": 1.5, "dash": "dot"}, **drawn,
        )  # fmt: skip


def group(made: go.Figure, name: str, curves: Sequence[Curve], position: int, weight: float, **drawn: object) -> None:
    """One line, the mean, in the band between the least and the greatest."""
    grid, mean, low, high = band(curves)
    tone, title = colour(position), f"{chart_label(name)} ({len(curves)})"
    edge = {"x": grid, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", **drawn, "showlegend": False}
    made.add_scatter(y=high, **edge)
    made.add_scatter(y=low, fill="tonexty", fillcolor=translucent(tone, 0.18), **edge)
    made.add_scatter(
        x=grid, y=smoothed(mean, weight), mode="lines", name=title, line={"color": tone, "width": 2.5}, **drawn
    )


def moved(curve: Curve, x: Floats) -> Curve:
    """The curve along another axis, where its place there is known."""
    known = np.isfinite(x)
    if x is curve.steps and known.all():
        return curve
    return replace(curve, steps=x[known], values=curve.values[known], low=curve.low[known], high=curve.high[known])
