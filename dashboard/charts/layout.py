"""What all figures share: margins, fonts, hover, axis titles. Colours of the page's theme come from Streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.palette import GREY, Style

LINES = "rgba(128, 128, 128, 0.28)"
AXIS = {"automargin": True, "gridcolor": LINES, "zerolinecolor": LINES}
"""What every axis has: lines that are faint in light and in dark, where the theme's own are as bright as the curves."""


def figure(x: str, y: str, height: int = 420, **layout: Any) -> go.Figure:
    """An empty figure with units on its axes. `x`, `y`: axis titles."""
    made = go.Figure()
    made.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        xaxis={"title": {"text": x}, **AXIS},
        yaxis={"title": {"text": y}, **AXIS},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        hovermode="closest",
        hoverlabel={"namelength": 40},
        uirevision="kept",  # a refresh keeps the reader's zoom
    )
    made.update_layout(**layout)
    return made


def looks(rows: pd.DataFrame, styles: Mapping[str, Style]) -> pd.DataFrame:
    """The rows with the colour, dash and symbol of their model; model_id is one of their columns.

    For charts of a trace a colour: of a trace a model, a hundred models take a browser seconds.
    """
    found = [styles.get(model, Style(GREY)) for model in rows["model_id"]]
    return rows.assign(
        colour=[style.colour for style in found],
        dash=[style.dash for style in found],
        symbol=[style.symbol for style in found],
    )


def downwards(made: go.Figure, names: Sequence[str]) -> None:
    """The y axis as a list of names, the first on top, whatever the order of the traces."""
    order = list(dict.fromkeys(names))
    made.update_yaxes(type="category", categoryorder="array", categoryarray=order, range=[len(order) - 0.5, -0.5])


PER_CENT = {"ticksuffix": " %"}
"""What an axis of shares has beside numbers of 100 (`per_cent`): Plotly's own format of shares leaves the space out."""


def per_cent(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The rows with columns of shares of 1 as numbers of 100, to be drawn along an axis with PER_CENT."""
    return rows.assign(**{name: 100 * rows[name].astype(float) for name in columns})


def interval(value: pd.Series, low: pd.Series, high: pd.Series, colour: str) -> dict[str, object]:
    """Error bars from the ends of intervals; a point without one has none, nor has a side without a bound."""
    sides = ((side.astype(float)).replace([np.inf, -np.inf], np.nan) for side in (value - low, high - value))
    below, above = (side.fillna(0.0).to_numpy() for side in sides)
    ends = {"array": above, "arrayminus": below}
    return {"type": "data", "symmetric": False, **ends, "color": colour, "thickness": 2}


CONFIG = {"displaylogo": False, "toImageButtonOptions": {"format": "png", "scale": 2}}
"""Plotly's own button saves the chart as PNG."""
