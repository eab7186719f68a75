"""Latency: distributions, and seconds per answer split into the first token and the rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.layout import downwards, figure, looks
from dashboard.escaping import chart_label
from dashboard.palette import CROWD, GREY, Style, translucent


def distributions(requests: pd.DataFrame, styles: Mapping[str, Style], *, quantity: str, title: str) -> go.Figure:
    """A box and all its requests a model. requests: model_id, label, and `quantity` in seconds or tokens/s."""
    labels = list(dict.fromkeys(requests["label"]))
    made = figure(title, "", height=120 + 60 * len(labels), showlegend=False)
    drawn = looks(requests, styles).assign(label=requests["label"].map(chart_label))
    for colour, rows in drawn.groupby("colour", sort=False):
        made.add_box(
            x=rows[quantity],
            y=rows["label"],
            orientation="h",
            boxpoints="all",
            jitter=0.5,
            pointpos=0,
            marker={"color": colour, "size": 4, "opacity": 0.6},
            line={"color": colour},
            fillcolor=translucent(str(colour), 0.2),
            text=rows["item"].map(chart_label),
            name="",
        )
    downwards(made, [chart_label(label) for label in labels])
    made.update_xaxes(rangemode="tozero")
    return made


def split_seconds(requests: pd.DataFrame, styles: Mapping[str, Style]) -> go.Figure:
    """Median seconds per answer: to the first token (solid), and the rest (pale). One axis holds one machine.

    requests: model_id, label, ttft_seconds, total_seconds.
    """
    medians = (
        requests.groupby(["label", "model_id"], sort=False)[["ttft_seconds", "total_seconds"]].median().reset_index()
    )
    made = figure("Seconds per answer, median", "", height=120 + 44 * len(medians), barmode="stack")
    colours = [styles.get(model, Style(GREY)).colour for model in medians["model_id"]]
    labels = [chart_label(label) for label in medians["label"]]
    rest = (medians["total_seconds"] - medians["ttft_seconds"]).clip(lower=0)
    made.add_bar(
        y=labels, x=medians["ttft_seconds"], orientation="h", name="to the first token", marker={"color": colours}
    )
    made.add_bar(
        y=labels,
        x=rest,
        orientation="h",
        name="the rest",
        marker={"color": [translucent(colour, 0.35) for colour in colours], "line": {"color": colours, "width": 1}},
    )
    made.update_yaxes(autorange="reversed")
    return made


def by_prompt(requests: pd.DataFrame, styles: Mapping[str, Style], *, quantity: str, title: str) -> go.Figure:
    """Median of a quantity for each prompt, a line a model: where a model is slow, and on what.

    More models than CROWD have thin lines and no legend: pointing at one names it.
    """
    made = figure("Prompt", title, height=380)
    items = list(dict.fromkeys(requests["item"]))
    groups = requests.groupby(["label", "model_id", "item"], sort=False)
    medians = groups[quantity].median().unstack("item")[items].reset_index()
    drawn = looks(medians, styles)
    crowded = len(drawn) > CROWD
    for key, some in drawn.groupby("colour" if crowded else "label", sort=False):
        gaps = np.full((len(some), 1), np.nan)  # between two models of one trace
        first = some.iloc[0]
        made.add_scatter(
            x=[chart_label(item, 24) for item in [*items, items[-1]]] * len(some),
            y=np.hstack([some[items].to_numpy(float), gaps]).ravel(),
            text=np.repeat([chart_label(label) for label in some["label"]], len(items) + 1),
            mode="lines" if crowded else "lines+markers",
            name=chart_label(str(key)),
            showlegend=not crowded,
            line={
                "color": first["colour"],
                "dash": "solid" if crowded else first["dash"],
                "width": 1 if crowded else 2,
            },
            marker={"symbol": first["symbol"], "size": 9},
            hovertemplate="%{text}<br>%{x}: %{y}<extra></extra>",
        )
    made.update_xaxes(type="category")
    made.update_yaxes(rangemode="tozero")
    return made
