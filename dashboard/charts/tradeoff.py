"""Quality against cost: who is on the front, who is tied with the best, who fails a limit."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.layout import figure
from dashboard.inert import chart_label
from dashboard.palette import GREY, Style

NAMED = 20
"""More models than this: names of the front and the recommended alone, the others' when they are pointed at."""


def tradeoff(rows: pd.DataFrame, styles: Mapping[str, Style], *, x: str, y: str, percent: bool) -> go.Figure:
    """A point a model with its intervals; the front joined.

    rows: model_id, name, x, y, y_low, y_high, on_front, standing.
    """
    made = figure(x, y, height=460)
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
    middle = rows["x"].max() / 2  # the axis begins at zero
    for row in rows.sort_values("x").to_dict("records"):
        style = styles.get(row["model_id"], Style(GREY))
        faint = row["standing"] == "fails a limit"
        ringed = row["standing"] in ("recommended", "tied with the best")
        named = len(rows) <= NAMED or row["on_front"] or row["standing"] == "recommended"
        made.add_scatter(
            x=[row["x"]],
            y=[row["y"]],
            mode="markers+text" if named else "markers",
            name=chart_label(row["name"]),
            text=[f"\u2002{chart_label(row['name'], 28)}\u2002"],
            textposition="middle left" if row["x"] > middle else "middle right",  # beside its interval, not across
            opacity=0.35 if faint else 1.0,
            showlegend=False,
            error_y=_interval(row["y"], row["y_low"], row["y_high"], style.colour),
            marker={
                "color": style.colour,
                "symbol": style.symbol,
                "size": 18 if row["standing"] == "recommended" else 12,
                "line": {"color": style.colour, "width": 3 if ringed else 1},
            },
            hovertemplate=f"%{{text}}<br>{row['standing']}<extra></extra>",
        )
    if percent:
        made.update_yaxes(tickformat=".0%")
    made.update_xaxes(rangemode="tozero")
    return made


def _interval(value: float, low: float | None, high: float | None, colour: str) -> dict[str, object] | None:
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value],
        "arrayminus": [value - low],
        "color": colour,
        "thickness": 1.5,
    }


def ranking(rows: pd.DataFrame, styles: Mapping[str, Style]) -> go.Figure:
    """Strength by votes with its interval, best first. rows: model_id, name, strength, low, high, votes."""
    made = figure("Chance to win against the average", "", height=120 + 36 * len(rows))
    for row in rows.to_dict("records"):
        style = styles.get(row["model_id"], Style(GREY))
        made.add_scatter(
            x=[row["strength"]],
            y=[chart_label(row["name"])],
            mode="markers",
            showlegend=False,
            error_x=_interval(row["strength"], row["low"], row["high"], style.colour),
            marker={"color": style.colour, "symbol": style.symbol, "size": 12},
        )
    made.update_xaxes(range=[0, 1], tickformat=".0%")
    made.update_yaxes(autorange="reversed")
    return made
