"""A figure's lines as a still picture: what the reader sees until Plotly, 4.7 MB of script, is loaded.

Lines, axes and legend, placed as Plotly will place them. Not covered: any other trace, hovering, zoom, shapes.
"""

from __future__ import annotations

import html
import math
from base64 import b64encode
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.curves import Floats

SIZE = 2000
"""The picture's own units on both axes: finer than any screen's pixels, so that whole numbers will do."""
LEFT, RIGHT, TOP, BOTTOM = 62, 10, 34, 50
"""Pixels around the lines, for titles and ticks."""
DASHES = {"dash": "9 9", "dot": "3 5", "dashdot": "9 5 3 5", "longdash": "14 7"}
CSS = """.still { position: absolute; inset: 0 0 auto 0; font-size: 12px; z-index: 1; pointer-events: none; }
.still img { position: absolute; width: 100%; height: 100%; }
.still span { position: absolute; white-space: nowrap; }
.still b { display: inline-block; width: 22px; margin: 0 5px 4px 10px; }
[class*="st-key-chart-"] { position: relative; }
[class*="st-key-chart-"]:has(.main-svg) .still { display: none; }
[class*="st-key-chart-"]:has(.still) [data-testid="stSkeleton"] { visibility: hidden; }"""
"""Lies over the chart's place, is gone once Plotly has drawn. The page's container is named `chart-…`."""


def still(figure: go.Figure) -> str:
    """The lines of a figure as HTML, as high as the figure; empty without a line to draw."""
    lines = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines" and len(trace.x)]
    placed = [(trace, *_numbers(trace, figure.layout.yaxis.type == "log")) for trace in lines]
    if not any(np.isfinite(x + y).any() for _, x, y in placed):
        return ""
    across = _range([x for _, x, _ in placed], 0.0)
    up = _range([y for _, _, y in placed], 0.055)
    # As a picture: Streamlit takes SVG out of HTML.
    paths = "".join(_path(trace, x, y, across, up) for trace, x, y in placed)
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" preserveAspectRatio="none">'
        f"<style>path {{ fill: none; vector-effect: non-scaling-stroke }}</style>{paths}</svg>"
    )
    names = "".join(
        f'<b style="border-top:{trace.line.width or 2}px solid {trace.line.color}"></b>{_safe(trace.name)}'
        for trace in lines
        if trace.showlegend is not False and trace.name
    )
    return (
        f'<div class="still" aria-hidden="true" style="height:{figure.layout.height}px">'
        f'<span style="left:{LEFT}px;right:0;top:4px;height:24px;overflow:hidden">{names}</span>'
        f'<div style="position:absolute;left:{LEFT}px;right:{RIGHT}px;top:{TOP}px;bottom:{BOTTOM}px">'
        f'<img alt="" src="data:image/svg+xml;base64,{b64encode(picture.encode()).decode()}">'
        f"{_ticks(across, False, figure.layout.xaxis.title.text)}"
        f"{_ticks(up, True, figure.layout.yaxis.title.text, figure.layout.yaxis.type == 'log')}</div></div>"
    )


def _safe(text: object) -> str:
    # Names were escaped once for Plotly: unescaped first, no text is escaped twice and none is left as it came.
    return html.escape(html.unescape(str(text)))


def _numbers(trace: Any, logarithmic: bool) -> tuple[Floats, Floats]:
    x, y = np.asarray(trace.x, dtype=float), np.asarray(trace.y, dtype=float)
    if logarithmic:
        y = np.log10(np.where(y > 0, y, np.nan))
    return np.where(np.isfinite(x), x, np.nan), np.where(np.isfinite(y), y, np.nan)


def _range(rows: list[Floats], margin: float) -> tuple[float, float]:
    every = np.concatenate(rows)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    if low == high:
        return low - 1, high + 1
    return low - margin * (high - low), high + margin * (high - low)


def _path(trace: Any, x: Floats, y: Floats, across: tuple[float, float], up: tuple[float, float]) -> str:
    """One line; where a point is missing it is interrupted."""
    right = (x - across[0]) / (across[1] - across[0]) * SIZE
    down = (up[1] - y) / (up[1] - up[0]) * SIZE
    known = np.isfinite(right) & np.isfinite(down)
    places = np.rint(np.where(known, [right, down], 0)).astype(int).T.tolist()
    text, pen = [], "M"
    for (at, height), there in zip(places, known.tolist(), strict=True):
        if there:
            text.append(f"{pen}{at} {height}")
        pen = "L" if there else "M"
    # A path a stretch, as Plotly has it: where translucent ones cross they are darker.
    look = (
        f'stroke="{trace.line.color}" stroke-width="{trace.line.width or 2}"'
        f' stroke-dasharray="{DASHES.get(trace.line.dash or "", "")}"'
    )
    return "".join(f'<path {look} d="M{stretch}"/>' for stretch in "".join(text).split("M")[1:])


def _ticks(span: tuple[float, float], upward: bool, title: str, logarithmic: bool = False) -> str:
    """Round numbers along an axis, faint lines across, and the axis's title."""
    raw = (span[1] - span[0]) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.8)
    found = []
    for number in np.arange(math.ceil(span[0] / step), math.floor(span[1] / step) + 1):
        value = float(number * step)
        share = 100 * (value - span[0]) / (span[1] - span[0])
        name = f"{10**value:.3g}" if logarithmic else f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:.6g}"
        place = f"bottom:{share:.2f}%;right:100%;transform:translate(-6px,50%)"
        rule = f"left:0;right:0;bottom:{share:.2f}%;border-top"
        if not upward:
            place = f"left:{share:.2f}%;top:100%;transform:translate(-50%,4px)"
            rule = f"top:0;bottom:0;left:{share:.2f}%;border-left"
        found.append(f'<span style="{place}">{name}</span><span style="{rule}:1px solid rgba(128,128,128,.2)"></span>')
    place = "left:50%;top:100%;transform:translate(-50%,26px)"
    if upward:
        place = "left:-58px;top:50%;transform:translate(-50%,-50%) rotate(-90deg) translateY(8px)"
    return "".join(found) + f'<span style="{place};font-size:14px">{_safe(title)}</span>'
