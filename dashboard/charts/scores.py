"""Scores with their intervals, and tasks against models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.layout import PER_CENT, downwards, figure, interval, looks, per_cent
from dashboard.escaping import chart_label
from dashboard.palette import Style

VERDICTS = (
    "passed", "wrong", "no_answer", "timed_out", "truncated", "no_code", "syntax_error", "memory", "forbidden", "error",
)  # fmt: skip
_SHADES = ("#009E73", "#D55E00", "#F0E442", "#E69F00", "#CC79A7", "#882255", "#999933", "#56B4E9", "#0072B2", "#808080")


def scores_with_intervals(
    rows: pd.DataFrame,
    styles: Mapping[str, Style],
    *,
    title: str,
    percent: bool = False,
    published: pd.DataFrame | None = None,
) -> go.Figure:
    """A point and its 95 % interval a row. rows: model_id, label, value, low, high. published: label, value."""
    if percent:
        rows = per_cent(rows, "value", "low", "high")
        published = None if published is None else per_cent(published, "value")
    made = figure(title, "", height=120 + 34 * (len(rows) + (0 if published is None else len(published))))
    drawn = looks(rows, styles).assign(label=rows["label"].map(chart_label))
    names = list(drawn["label"])
    for colour, some in drawn.groupby("colour", sort=False):
        made.add_scatter(
            x=some["value"],
            y=some["label"],
            error_x=interval(some["value"], some["low"], some["high"], str(colour)),
            mode="markers",
            showlegend=False,
            marker={"color": colour, "symbol": some["symbol"], "size": 12},
            hovertemplate="%{y}: %{x:.1f} %<extra></extra>" if percent else "%{y}: %{x}<extra></extra>",
        )
    if published is not None and len(published):
        others = [f"{chart_label(name)} (published)" for name in published["label"]]
        names += others
        made.add_scatter(
            x=published["value"],
            y=others,
            mode="markers",
            name="published by others",
            marker={"symbol": "x", "size": 10, "color": "#808080"},
        )
    downwards(made, names)
    if percent:
        made.update_xaxes(rangemode="tozero", **PER_CENT)
    return made


def score_list(
    rows: pd.DataFrame,
    styles: Mapping[str, Style],
    *,
    title: str,
    percent: bool,
    published: pd.DataFrame | None = None,
) -> go.Figure:
    """A point, its 95 % interval and the number behind it a row. rows: model_id, label, value, low, high, text, n."""
    made = scores_with_intervals(rows, styles, title=title, percent=percent, published=published)
    rows = per_cent(rows, "value", "low", "high") if percent else rows
    ends = rows["high"].astype(float).where(np.isfinite(rows["high"].astype(float)), rows["value"])
    made.add_scatter(
        x=ends,
        y=rows["label"].map(chart_label),
        text=[f" {text}" for text in rows["text"]],
        mode="text",
        textposition="middle right",
        showlegend=False,
        cliponaxis=False,
        hoverinfo="skip",
    )
    most, least = float(ends.max()), float(rows["value"].min())
    if percent:
        ticks = list(range(0, 101, 20))  # the room for numbers is no score above 100 %
        made.update_xaxes(range=[0, most * 1.45 or 100], tickvals=ticks, ticktext=[f"{one} %" for one in ticks])
    else:
        made.update_xaxes(range=[least - (most - least) * 0.3, most + (most - least) * 0.6] if most > least else None)
    return made


def win_matrix(ahead: pd.DataFrame, said: pd.DataFrame) -> go.Figure:
    """Items that the row's model wins against the column's. ahead: wins minus losses; said: both in words."""
    names = [chart_label(name, 24) for name in ahead.index]
    short = list(range(1, len(names) + 1))  # columns by number: names below a matrix would stand on their heads
    most = max(1.0, float(ahead.abs().to_numpy().max(initial=0)))
    made = figure("", "", height=120 + 34 * len(names))
    made.add_heatmap(
        z=ahead.to_numpy(),
        x=[f"{place}" for place in short],
        y=[f"{place} {name}" for place, name in zip(short, names, strict=True)],
        text=said.to_numpy(),
        texttemplate="%{text}",
        textfont={"color": "#111111"},
        customdata=np.array([[(row, column) for column in names] for row in names]),
        hovertemplate="%{customdata[0]} against %{customdata[1]}<br>%{text}<extra></extra>",
        colorscale=[[0, "#D55E00"], [0.5, "#B8B8B8"], [1, "#56B4E9"]],
        zmin=-most,
        zmax=most,
        xgap=2,
        ygap=2,
        showscale=False,
    )
    made.update_xaxes(type="category", side="top")
    made.update_yaxes(autorange="reversed", type="category")
    return made


def task_matrix(verdicts: pd.DataFrame) -> go.Figure:
    """Tasks across, models down, a colour a verdict. verdicts: index models, columns tasks, values verdicts."""
    codes = {verdict: at for at, verdict in enumerate(VERDICTS)}
    z = verdicts.map(lambda verdict: codes.get(verdict)).astype(float)
    steps = len(VERDICTS)
    scale = [[edge / steps, shade] for at, shade in enumerate(_SHADES) for edge in (at, at + 1)]
    suites = {str(task).rpartition("/")[0] for task in verdicts.columns}
    suite = suites.pop() if len(suites) == 1 else ""  # `HumanEval/12` of one benchmark is 12
    names = [str(task).removeprefix(f"{suite}/") for task in verdicts.columns]
    made = figure(chart_label(f"{suite} task") if suite else "Task", "", height=160 + 30 * len(verdicts))
    made.add_heatmap(
        z=z.to_numpy(),
        x=[chart_label(name) for name in names],
        y=[chart_label(name) for name in verdicts.index],
        customdata=verdicts.fillna("not run").to_numpy(),
        hovertemplate="%{y}<br>task %{x}: %{customdata}<extra></extra>",
        colorscale=scale,
        zmin=-0.5,
        zmax=steps - 0.5,
        xgap=1,
        ygap=2,
        colorbar={"tickvals": list(range(steps)), "ticktext": [verdict.replace("_", " ") for verdict in VERDICTS]},
    )
    made.update_xaxes(showticklabels=len(verdicts.columns) <= 40, type="category")
    made.update_yaxes(autorange="reversed", type="category")
    return made


def effects(rows: pd.DataFrame, *, setting: str, metric: str) -> go.Figure:
    """A sweep's effect: every run a dot over its setting's value, the means joined. rows: value, result, name."""
    made = figure(chart_label(setting), metric, height=320)
    values: Sequence[str] = list(dict.fromkeys(rows["value"]))
    made.add_scatter(
        x=rows["value"],
        y=rows["result"],
        mode="markers",
        name="runs",
        text=[chart_label(name) for name in rows["name"]],
        marker={"color": "#56B4E9", "size": 9},
        hovertemplate="%{text}: %{y:.4f}<extra></extra>",
    )
    means = [rows.loc[rows["value"] == value, "result"].mean() for value in values]
    made.add_scatter(x=values, y=means, mode="lines+markers", name="mean", line={"color": "#0072B2", "width": 2})
    made.update_xaxes(type="category")
    return made
