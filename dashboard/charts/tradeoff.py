"""Quality against cost: who is on the front, how each stands to the best, who fails a limit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.layout import downwards, figure, interval, looks
from dashboard.escaping import chart_label
from dashboard.palette import Style

NAMED = 20
"""More models than this: names of the front and what ships alone, the others' when they are pointed at."""

SHIPPED = ("ship", "highest score, a guess")
"""How the model that the verdict names stands; it is drawn largest."""


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
    names = rows["name"].map(chart_label)
    named = (rows["on_front"] | (rows["standing"].isin(SHIPPED)) | (len(rows) <= NAMED)).to_numpy(bool)
    drawn = looks(rows, styles).assign(
        label=names,
        beside=np.where(named, [f"\u2002{chart_label(name, 28)}\u2002" for name in rows["name"]], ""),
        side=["middle left" if x > middle else "middle right" for x in rows["x"]],  # beside its interval, not across
        faint=rows["standing"] == "fails a limit",
        size=[18 if standing in SHIPPED else 12 for standing in rows["standing"]],
        ring=[3 if standing in (*SHIPPED, "as good", "not told apart") else 1 for standing in rows["standing"]],
    )
    for (colour, faint), some in drawn.groupby(["colour", "faint"], sort=False):
        made.add_scatter(
            x=some["x"],
            y=some["y"],
            mode="markers+text" if some["beside"].any() else "markers",
            text=some["beside"],
            textposition=some["side"],
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
    if percent:
        made.update_yaxes(tickformat=".0%")
    made.update_xaxes(rangemode="tozero")
    return made


def ranking(rows: pd.DataFrame, styles: Mapping[str, Style]) -> go.Figure:
    """Strength by votes with its interval, best first. rows: model_id, name, strength, low, high, votes."""
    made = figure("Win rate against the average opponent", "", height=120 + 36 * len(rows))
    drawn = looks(rows, styles).assign(label=rows["name"].map(chart_label))
    for colour, some in drawn.groupby("colour", sort=False):
        made.add_scatter(
            x=some["strength"],
            y=some["label"],
            mode="markers",
            showlegend=False,
            error_x=interval(some["strength"], some["low"], some["high"], str(colour)),
            marker={"color": colour, "symbol": some["symbol"], "size": 12},
            hovertemplate="%{y}: %{x}<extra></extra>",
        )
    made.update_xaxes(range=[0, 1], tickformat=".0%")
    downwards(made, list(drawn["label"]))
    return made
