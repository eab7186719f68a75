"""Loss curves: overlay with raw kept faint, the crowd behind the chosen, groups as bands, divergence marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.layout import figure
from dashboard.escaping import chart_label
from dashboard.palette import COLOURS, CROWD, GREY, Style, translucent
from dashboard.views.curves import Curve, Floats, band, smooth, spread_out

SHOWN = 100
"""Lines of a crowd: more are a blot that takes a browser seconds. What all of them reached is in lowest and highest."""
MARKED = 20
"""Diverged runs that are named in the chart; all are in the list below it."""


@dataclass(frozen=True)
class Axis:
    """What curves are drawn along."""

    title: str = "Step"
    of: Callable[[Curve], Floats] = lambda curve: curve.steps
    """Where each step of a curve stands; NaN where that is not known."""


STEPS = Axis()


def loss_curves(
    curves: Sequence[Curve],
    names: Mapping[str, str],
    styles: Mapping[str, Style],
    *,
    metric: str,
    axis: Axis = STEPS,
    weight: float = 0.0,
    logarithmic: bool = False,
) -> go.Figure:
    """Runs overlaid, one line each; with smoothing, what was measured stays behind it, faint.

    names, styles: by run id. weight: smoothing in [0, 1).
    """
    made = figure(axis.title, metric)
    if logarithmic:
        made.update_yaxes(type="log")
    if len(curves) > CROWD:
        _crowd(made, curves, axis.of, weight)
    else:
        for curve in curves:
            _one(made, curve, axis.of(curve), names, styles, weight)
    _divergence(made, curves, names, styles, axis.of)
    return made


def _one(
    made: go.Figure, curve: Curve, x: Floats, names: Mapping[str, str], styles: Mapping[str, Style], weight: float
) -> None:
    style, name = styles.get(curve.run_id, Style(GREY)), chart_label(names.get(curve.run_id, curve.run_id))
    if weight > 0 or (curve.high > curve.low).any():
        # Each bucket's least and greatest value, joined: the raw curve at screen resolution, spikes and all.
        zigzag_x = np.repeat(x, 2).astype(np.float32)
        zigzag = np.column_stack([curve.low, curve.high]).ravel().astype(np.float32)
        made.add_scatter(
            x=zigzag_x,
            y=zigzag,
            mode="lines",
            showlegend=False,
            hoverinfo="skip",
            legendgroup=curve.run_id,
            line={"color": translucent(style.colour, 0.25), "width": 1},
        )
    made.add_scatter(
        x=x.astype(np.float32),
        y=smooth(curve.values, weight).astype(np.float32),
        mode="lines",
        name=name,
        legendgroup=curve.run_id,
        line={"color": style.colour, "width": 2, "dash": style.dash},
    )
    if found := curve.spikes:
        at = np.searchsorted(curve.steps, [step for step, _ in found])
        made.add_scatter(
            x=x[np.clip(at, 0, x.size - 1)],
            y=[value for _, value in found],
            mode="markers",
            showlegend=False,
            legendgroup=curve.run_id,
            name=f"{name}: spike",
            marker={"symbol": "triangle-up-open", "size": 10, "color": style.colour},
        )


def _crowd(made: go.Figure, curves: Sequence[Curve], place: Callable[[Curve], Floats], weight: float) -> None:
    moved = [_moved(curve, place(curve)) for curve in curves]
    shown = spread_out(moved, SHOWN)
    xs, ys = [], []
    gap = np.array([np.nan], dtype=np.float32)
    for curve in shown:
        xs += [curve.steps.astype(np.float32), gap]
        ys += [smooth(curve.values, weight).astype(np.float32), gap]
    made.add_scatter(
        x=np.concatenate(xs),
        y=np.concatenate(ys),
        mode="lines",
        name=f"{len(shown)} of {len(curves):,} runs",
        hoverinfo="skip",
        line={"color": translucent(COLOURS[0], 0.2), "width": 1},
    )
    grid, mean, low, high = band(moved)
    made.add_scatter(x=grid, y=mean, mode="lines", name="mean", line={"color": COLOURS[4], "width": 3})
    for edge, name in ((low, "lowest"), (high, "highest")):
        label = f"{name} of all {len(curves):,}"
        made.add_scatter(
            x=grid, y=edge, mode="lines", name=label, line={"color": COLOURS[4], "width": 1, "dash": "dot"}
        )


def _moved(curve: Curve, x: Floats) -> Curve:
    """The curve along another axis, where its place there is known."""
    known = np.isfinite(x)
    if x is curve.steps and known.all():
        return curve
    return replace(curve, steps=x[known], values=curve.values[known], low=curve.low[known], high=curve.high[known])


def _divergence(
    made: go.Figure,
    curves: Sequence[Curve],
    names: Mapping[str, str],
    styles: Mapping[str, Style],
    place: Callable[[Curve], Floats],
) -> None:
    for curve in [one for one in curves if one.broken.size][:MARKED]:
        colour = styles.get(curve.run_id, Style(GREY)).colour
        at = place(curve)[min(int(np.searchsorted(curve.steps, curve.broken[0])), max(curve.steps.size - 1, 0))]
        made.add_vline(
            x=float(at),
            line={"color": colour, "dash": "dot", "width": 2},
            annotation={
                "text": f"✕ {chart_label(names.get(curve.run_id, curve.run_id), 24)} not a number",
                "font": {"color": colour, "size": 11},
                "textangle": -90,
                "xanchor": "right",
                "yanchor": "top",
            },
        )


def grouped_losses(
    groups: Mapping[str, Sequence[Curve]], *, metric: str, weight: float, logarithmic: bool
) -> go.Figure:
    """One line and band a group of runs: the mean, and the spread between least and greatest."""
    made = figure("Step", metric)
    if logarithmic:
        made.update_yaxes(type="log")
    for position, (group, curves) in enumerate(groups.items()):
        grid, mean, low, high = band(curves)
        colour, name = COLOURS[position % len(COLOURS)], f"{chart_label(group)} ({len(curves)})"
        made.add_scatter(x=grid, y=high, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
        made.add_scatter(
            x=grid,
            y=low,
            mode="lines",
            line={"width": 0},
            fill="tonexty",
            fillcolor=translucent(colour, 0.18),
            showlegend=False,
            hoverinfo="skip",
        )
        made.add_scatter(x=grid, y=smooth(mean, weight), mode="lines", name=name, line={"color": colour, "width": 2.5})
    return made


def published_curve(rows: pd.DataFrame) -> go.Figure:
    """A study's own curve, raw and smoothed, in grey: nobody here measured it. rows: subject, metric, step, value."""
    made = figure("Step", f"{chart_label(rows['metric'].iloc[0])} (published)", height=340)
    values = rows["value"].to_numpy(float)
    made.add_scatter(x=rows["step"], y=values, mode="lines", name="as published", line={"color": "#BBBBBB", "width": 1})
    made.add_scatter(
        x=rows["step"], y=smooth(values, 0.8), mode="lines", name="smoothed", line={"color": GREY, "width": 2.5}
    )
    return made
