"""Quality against cost: who is on the front, how each stands to the best, who fails a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.labels import Point, places
from dashboard.charts.layout import PER_CENT, downwards, figure, interval, looks, per_cent
from dashboard.escaping import chart_label
from dashboard.palette import Style

NAMED = 20
"""More models than this: names of the front and what ships alone, the others' when they are pointed at."""

SHIPPED = ("ship", "highest score, a guess")
"""How the model that the verdict names stands; it is drawn largest."""


HEIGHT, INNER = 460, 376
"""Pixels of the chart, and of the plot inside it."""


@dataclass(frozen=True)
class Axes:
    """What the trade-off is drawn along."""

    x: str
    y: str
    """Titles, with units."""
    percent: bool
    """Whether quality is a share, shown as per cent; else less of it is better."""
    bound: float | None = None
    """The limit along x, in x's unit; what does not meet it is shaded."""
    at_most: bool = True


def tradeoff(rows: pd.DataFrame, styles: Mapping[str, Style], axes: Axes) -> go.Figure:
    """A point a model with its intervals; the front joined, the limit's wrong side shaded; a legend of what is drawn.

    rows: model_id, name, x, y, y_low, y_high, on_front, standing.
    """
    rows = per_cent(rows, "y", "y_low", "y_high") if axes.percent else rows
    made = figure(axes.x, axes.y, height=HEIGHT)
    _legend(made, rows)
    front = rows[rows["on_front"]].sort_values("x")
    if len(front) > 1:
        made.add_scatter(
            x=front["x"],
            y=front["y"],
            mode="lines",
            name="front: nobody is better at both",
            line={"color": "#808080", "width": 1, "dash": "dot", "shape": "hv"},
            hoverinfo="skip",
        )
    drawn = looks(rows, styles).assign(
        label=rows["name"].map(chart_label),
        faint=rows["standing"] == "fails a limit",
        size=[18 if standing in SHIPPED else 12 for standing in rows["standing"]],
        ring=[3 if standing in (*SHIPPED, "as good", "not told apart") else 1 for standing in rows["standing"]],
    )
    for (colour, faint), some in drawn.groupby(["colour", "faint"], sort=False):
        made.add_scatter(
            x=some["x"],
            y=some["y"],
            mode="markers",
            opacity=0.35 if faint else 1.0,
            showlegend=False,
            error_y=interval(some["y"], some["y_low"], some["y_high"], str(colour)),
            marker={
                "color": colour,
                "symbol": some["symbol"],
                "size": some["size"],
                "opacity": 1.0,  # where sizes differ Plotly's is 0.7, which here would say: fails a limit
                "line": {"color": colour, "width": some["ring"]},
            },
            customdata=some[["label", "standing"]],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        )
    ends = _ends(rows)
    made.update_yaxes(range=ends[1], **(PER_CENT if axes.percent else {}))
    made.update_xaxes(range=ends[0])
    _names(made, rows, ends)
    if axes.bound is not None:
        edges = (axes.bound, max(ends[0][1], axes.bound)) if axes.at_most else (0.0, axes.bound)
        made.add_vrect(*edges, fillcolor="#808080", opacity=0.15, line_width=0)
        made.update_xaxes(range=[0.0, max(ends[0][1], 1.05 * axes.bound)])
    return made


def _legend(made: go.Figure, rows: pd.DataFrame) -> None:
    """What size and paleness say, where any point has them; each sign drawn without a place."""
    standings = set(rows["standing"])
    signs = (
        ("to be shipped" if "ship" in standings else "highest score, a guess", standings & set(SHIPPED), 18, 1.0),
        ("fails a limit", standings & {"fails a limit"}, 12, 0.35),
        ("others", standings - {*SHIPPED, "fails a limit"}, 12, 1.0),
    )
    for name, there, size, opacity in signs:
        if there and (there != standings or name != "others"):
            made.add_scatter(
                x=[None], y=[None], mode="markers", name=name, opacity=opacity, hoverinfo="skip",
                marker={"color": "#808080", "size": size, "opacity": 1.0},
            )  # fmt: skip


def _ends(rows: pd.DataFrame) -> tuple[list[float], list[float]]:
    """The ranges of both axes: from zero along x; along y all intervals, with a margin."""
    ends = [rows[name].astype(float).replace([np.inf, -np.inf], np.nan) for name in ("y", "y_low", "y_high")]
    low, high = min(one.min() for one in ends), max(one.max() for one in ends)
    margin = 0.08 * (high - low) or 0.05 * max(1.0, high)
    return [0.0, 1.08 * float(rows["x"].max()) or 1.0], [float(low - margin), float(high + margin)]


def _names(made: go.Figure, rows: pd.DataFrame, ends: tuple[list[float], list[float]]) -> None:
    """The names beside their points, none over another; those of what ships and of the front first."""
    (left, right), (bottom, top) = ends
    shipped = rows["standing"].isin(SHIPPED)
    order = rows.assign(first=~shipped, then=~rows["on_front"]).sort_values(["first", "then"], kind="stable")
    named = order[(shipped | rows["on_front"] | (len(rows) <= NAMED)).loc[order.index]]
    points = [
        Point((x - left) / (right - left), (y - bottom) / (top - bottom), chart_label(name, 28))
        for x, y, name in zip(named["x"], named["y"], named["name"], strict=True)
    ]
    for right_side in (True, False):
        found = [
            (x, bottom + place.up * (top - bottom), point.name)
            for x, point, place in zip(named["x"], points, places(points, INNER), strict=True)
            if place is not None and place.right == right_side
        ]
        if found:
            made.add_scatter(
                x=[x for x, _, _ in found],
                y=[y for _, y, _ in found],
                text=[f"\u2002{name}\u2002" for _, _, name in found],
                mode="text",
                textposition="middle right" if right_side else "middle left",
                showlegend=False,
                hoverinfo="skip",
            )


def ranking(rows: pd.DataFrame, styles: Mapping[str, Style]) -> go.Figure:
    """Strength by votes with its interval, best first. rows: model_id, name, strength, low, high, votes."""
    made = figure("Win rate against the average opponent", "", height=120 + 36 * len(rows))
    drawn = looks(per_cent(rows, "strength", "low", "high"), styles).assign(label=rows["name"].map(chart_label))
    for colour, some in drawn.groupby("colour", sort=False):
        made.add_scatter(
            x=some["strength"],
            y=some["label"],
            mode="markers",
            showlegend=False,
            error_x=interval(some["strength"], some["low"], some["high"], str(colour)),
            marker={"color": colour, "symbol": some["symbol"], "size": 12},
            hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
        )
    made.update_xaxes(range=[0, 100], **PER_CENT)
    downwards(made, list(drawn["label"]))
    return made
