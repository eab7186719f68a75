"""Latency: distributions, and seconds per answer split into the first token and the rest."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.layout import figure
from dashboard.inert import chart_label
from dashboard.palette import GREY, Style, translucent


def distributions(requests: pd.DataFrame, styles: Mapping[str, Style], *, quantity: str, title: str) -> go.Figure:
    """A box and all its requests a model. requests: model_id, label, and `quantity` in seconds or tokens/s."""
    labels = list(dict.fromkeys(requests["label"]))
    made = figure(title, "", height=120 + 60 * len(labels), showlegend=False)
    for label in labels:
        rows = requests[requests["label"] == label]
        style = styles.get(rows["model_id"].iloc[0], Style(GREY))
        made.add_box(
            x=rows[quantity],
            y=[chart_label(label)] * len(rows),
            orientation="h",
            boxpoints="all",
            jitter=0.5,
            pointpos=0,
            marker={"color": style.colour, "size": 4, "opacity": 0.6},
            line={"color": style.colour},
            fillcolor=translucent(style.colour, 0.2),
            text=rows["item"].map(chart_label),
            name=chart_label(label),
        )
    made.update_yaxes(autorange="reversed")
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
    """Median of a quantity for each prompt, a line a model: where a model is slow, and on what."""
    made = figure("Prompt", title, height=380)
    for label, rows in requests.groupby("label", sort=False):
        style = styles.get(rows["model_id"].iloc[0], Style(GREY))
        medians = rows.groupby("item", sort=False)[quantity].median()
        made.add_scatter(
            x=[chart_label(item, 24) for item in medians.index],
            y=medians,
            mode="lines+markers",
            name=chart_label(str(label)),
            line={"color": style.colour, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 9},
        )
    made.update_xaxes(type="category")
    made.update_yaxes(rangemode="tozero")
    return made
