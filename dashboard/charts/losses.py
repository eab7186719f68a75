"""Loss curves: a panel a metric below each other, one crosshair through all, training and validation in one panel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import crowds
from dashboard.charts.layout import AXIS, figure
from dashboard.escaping import chart_label
from dashboard.palette import CROWD, GREY, Style, translucent
from dashboard.views.curves import Curve, Floats, smooth, smoothed

MARKED = 20
"""Diverged runs that are named in the chart; all are in the list below it."""
TOLD_TOGETHER = 12
"""Lines of a panel whose values are told in one box; of more, those under the pointer are told."""
FIRST_HEIGHT, NEXT_HEIGHT = 420, 240
"""Pixels of the first panel, which is the loss as a rule, and of each below it."""
GAP = 0.06
"""The share of the chart's height between two panels."""


@dataclass(frozen=True)
class Axis:
    """What curves are drawn along."""

    title: str = "Step"
    of: Callable[[Curve], Floats] = lambda curve: curve.steps
    """Where each step of a curve stands; NaN where that is not known."""


STEPS = Axis()


@dataclass(frozen=True)
class Panel:
    """One metric of several runs."""

    title: str
    """What the axis says: the metric with its unit."""
    curves: Sequence[Curve]
    validation: Sequence[Curve] = ()
    """The same on held-out rows; never smoothed, for it is measured a few times only."""


@dataclass(frozen=True)
class Together:
    """Runs drawn together: by run id, what each has in common with others."""

    kin: Mapping[str, str]
    mean: bool = False
    """Whether each group is one line, its mean, whatever the number of runs; else only a crowd is drawn together."""


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
    """One panel. metric: with its unit, for the axis."""
    return loss_panels([Panel(metric, curves)], names, styles, axis=axis, weight=weight, logarithmic=logarithmic)


def loss_panels(
    panels: Sequence[Panel],
    names: Mapping[str, str],
    styles: Mapping[str, Style],
    *,
    axis: Axis = STEPS,
    weight: float = 0.0,
    logarithmic: bool = False,
    together: Together | None = None,
) -> go.Figure:
    """Metrics below each other along one axis. With smoothing, what was measured stays behind it and in the hover.

    names, styles: by run id. weight: smoothing in [0, 1); curves of few points are never smoothed.
    """
    most = max((len(panel.curves) for panel in panels), default=0)
    crowded = most > CROWD or (together is not None and together.mean)
    shown = list(_apart(panels)) if crowded else list(panels)
    made = figure(axis.title, shown[0].title if shown else "", height=FIRST_HEIGHT + NEXT_HEIGHT * (len(shown) - 1))
    lines = 0
    for number, panel in enumerate(shown):
        drawn = {"yaxis": "y" if number == 0 else f"y{number + 1}", "showlegend": number == 0}
        if crowded:
            _together(made, panel, together or Together({}), axis, weight, drawn)
        else:
            _runs(made, panel, names, styles, axis, weight, drawn)
            lines = max(lines, len(panel.curves) + len(panel.validation))
    _stacked(made, shown, logarithmic, unified=not crowded and lines <= TOLD_TOGETHER)
    if shown:
        _divergence(made, shown[0].curves, names, styles, axis.of)
    return made


def _apart(panels: Sequence[Panel]) -> Iterator[Panel]:
    """Each kind of rows in a panel of its own: of many runs, lines of two kinds could not be told apart."""
    for panel in panels:
        yield Panel(panel.title, panel.curves)
        if panel.validation:
            yield Panel(f"Validation: {panel.title[0].lower()}{panel.title[1:]}", panel.validation)


def _together(
    made: go.Figure, panel: Panel, together: Together, axis: Axis, weight: float, drawn: Mapping[str, Any]
) -> None:
    groups: dict[str, list[Curve]] = {}
    for curve in panel.curves:
        groups.setdefault(together.kin.get(curve.run_id, ""), []).append(curve)
    order = {kin: at for at, kin in enumerate(dict.fromkeys(together.kin.values()))}
    for kin, curves in groups.items():
        if together.mean:
            crowds.group(made, kin, curves, order.get(kin, 0), weight, legendgroup=kin, **drawn)
        else:
            said = kin if len(groups) > 1 else ""
            crowds.crowd(made, said, curves, order.get(kin, 0), axis.of, legendgroup=kin, **drawn)


def _runs(
    made: go.Figure,
    panel: Panel,
    names: Mapping[str, str],
    styles: Mapping[str, Style],
    axis: Axis,
    weight: float,
    drawn: Mapping[str, Any],
) -> None:
    """A line a run, and one with points for its validation; the best of these is marked."""
    validated = {curve.run_id: curve for curve in panel.validation}
    best: list[tuple[float, float, str]] = []
    for curve in panel.curves:
        style, name = styles.get(curve.run_id, Style(GREY)), chart_label(names.get(curve.run_id, curve.run_id))
        _one(made, curve, axis.of(curve), name, style, weight, drawn)
        if (other := validated.pop(curve.run_id, None)) is not None:
            best += _validation(made, other, axis.of(other), name, style, drawn)
    for curve in validated.values():  # of runs that recorded no training loss
        style, name = styles.get(curve.run_id, Style(GREY)), chart_label(names.get(curve.run_id, curve.run_id))
        best += _validation(made, curve, axis.of(curve), name, style, drawn)
    for number, (x, y, colour) in enumerate(best):
        made.add_scatter(
            x=[x], y=[y], mode="markers", hoverinfo="skip", legendgroup="best",
            marker={"symbol": "star-open", "size": 13, "color": colour},
            **{**drawn, "name": "best on validation", "showlegend": bool(drawn["showlegend"]) and number == 0},
        )  # fmt: skip


def _one(
    made: go.Figure, curve: Curve, x: Floats, name: str, style: Style, weight: float, drawn: Mapping[str, Any]
) -> None:
    line = smoothed(curve.values, weight)
    is_smoothed, ranged = line is not curve.values, bool((curve.high > curve.low).any())
    if is_smoothed or ranged:
        # Each bucket's least and greatest value, joined: the raw curve at screen resolution, spikes and all.
        made.add_scatter(
            x=np.repeat(x, 2).astype(np.float32),
            y=np.column_stack([curve.low, curve.high]).ravel().astype(np.float32),
            mode="lines",
            hoverinfo="skip",
            legendgroup=curve.run_id,
            line={"color": translucent(style.colour, 0.25), "width": 1},
            **{**drawn, "showlegend": False},
        )
    raw = np.column_stack([curve.low, curve.high]) if ranged else curve.values
    told = "%{customdata[0]:.4g} to %{customdata[1]:.4g}" if ranged else "%{customdata:.4g}"
    made.add_scatter(
        x=x.astype(np.float32),
        y=line.astype(np.float32),
        customdata=raw.astype(np.float32) if is_smoothed or ranged else None,
        mode="lines",
        name=name,
        legendgroup=curve.run_id,
        line={"color": style.colour, "width": 2, "dash": style.dash},
        hovertemplate=(
            f"{name}: smoothed %{{y:.4g}}, raw {told}<extra></extra>" if is_smoothed
            else f"{name}: {told if ranged else '%{y:.4g}'}<extra></extra>"
        ),
        **drawn,
    )  # fmt: skip
    if found := curve.spikes:
        at = np.searchsorted(curve.steps, [step for step, _ in found])
        made.add_scatter(
            x=x[np.clip(at, 0, x.size - 1)],
            y=[value for _, value in found],
            mode="markers",
            legendgroup=curve.run_id,
            name=f"{name}: spike",
            marker={"symbol": "triangle-up-open", "size": 10, "color": style.colour},
            hovertemplate=f"{name}: spike to %{{y:.4g}}<extra></extra>",
            **{**drawn, "showlegend": False},
        )


def _validation(
    made: go.Figure, curve: Curve, x: Floats, name: str, style: Style, drawn: Mapping[str, Any]
) -> list[tuple[float, float, str]]:
    """Its points, joined by thin dashes; (x, y, colour) of the least, where more than one was measured."""
    made.add_scatter(
        x=x.astype(np.float32), y=curve.values.astype(np.float32), mode="lines+markers", name=f"{name}: validation",
        legendgroup=curve.run_id, line={"color": style.colour, "width": 1.5, "dash": "dot"},
        marker={"color": style.colour, "size": 7, "symbol": "diamond"},
        hovertemplate=f"{name}: validation %{{y:.4g}}<extra></extra>", **{**drawn, "showlegend": False},
    )  # fmt: skip
    known = np.isfinite(curve.values) & np.isfinite(x)
    if known.sum() < 2:
        return []
    at = int(np.argmin(np.where(known, curve.values, np.inf)))
    return [(float(x[at]), float(curve.values[at]), style.colour)]


def _stacked(made: go.Figure, panels: Sequence[Panel], logarithmic: bool, *, unified: bool) -> None:
    """The panels' axes: one along x, below them all, and one for each metric; one crosshair through all."""
    shares = np.array([FIRST_HEIGHT] + [NEXT_HEIGHT] * (len(panels) - 1), dtype=float)
    shares = shares / shares.sum() * (1 - GAP * (len(panels) - 1))
    top = 1.0
    for number, (panel, share) in enumerate(zip(panels, shares, strict=True)):
        name = "yaxis" if number == 0 else f"yaxis{number + 1}"
        made.update_layout({
            name: {
                "title": {"text": panel.title}, **AXIS, "anchor": "x",
                "domain": [max(0.0, top - float(share)), top], "type": "log" if logarithmic else "linear",
            }
        })  # fmt: skip
        top -= float(share) + GAP
    made.update_layout(hovermode="x unified" if unified else "closest", hoversubplots="axis")
    made.update_xaxes(
        anchor="y" if len(panels) < 2 else f"y{len(panels)}", showspikes=True, spikemode="across", spikesnap="cursor",
        spikethickness=1, spikedash="dot", spikecolor=GREY,
        unifiedhovertitle={"text": f"{made.layout.xaxis.title.text} %{{x}}"},
    )  # fmt: skip


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


def published_curve(rows: pd.DataFrame) -> go.Figure:
    """A study's own curve, raw and smoothed, in grey: nobody here measured it. rows: subject, metric, step, value."""
    made = figure("Step", f"{chart_label(rows['metric'].iloc[0])} (published)", height=340)
    values = rows["value"].to_numpy(float)
    made.add_scatter(x=rows["step"], y=values, mode="lines", name="as published", line={"color": "#BBBBBB", "width": 1})
    made.add_scatter(
        x=rows["step"], y=smooth(values, 0.8), mode="lines", name="smoothed", line={"color": GREY, "width": 2.5}
    )
    return made
