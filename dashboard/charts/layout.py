"""What all figures share: margins, fonts, hover, axis titles. Colours of the page's theme come from Streamlit."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go


def figure(x: str, y: str, height: int = 420, **layout: Any) -> go.Figure:
    """An empty figure with units on its axes. `x`, `y`: axis titles."""
    made = go.Figure()
    made.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        xaxis={"title": {"text": x}, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        hovermode="closest",
        hoverlabel={"namelength": 40},
        uirevision="kept",  # a refresh keeps the reader's zoom
    )
    made.update_layout(**layout)
    return made


CONFIG = {"displaylogo": False, "toImageButtonOptions": {"format": "png", "scale": 2}}
"""Plotly's own button saves the chart as PNG."""
