"""A figure as a still picture: what the reader sees until Plotly, 4.7 MB of script, is loaded.

Lines, points with their intervals and names, boxes; axes and legend; placed as Plotly will place them. Every point is
round. Not covered: other traces, panels below each other and names along x (no picture then), hovering, zoom, shapes.
"""

from __future__ import annotations

import html
import math
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.views.curves import Floats

SIZE = 2000
"""The picture's own units on both axes: finer than any screen's pixels, so that whole numbers will do."""
LEFT, RIGHT, TOP, BOTTOM = 62, 10, 34, 50
"""Pixels around the lines, for titles and ticks."""
LETTER = 6.2
"""Pixels of a letter in the names along y."""
DASHES = {"dash": "9 9", "dot": "3 5", "dashdot": "9 5 3 5", "longdash": "14 7"}
CSS = """.still { position: absolute; inset: 0 0 auto 0; font-size: 12px; z-index: 1; pointer-events: none; }
.still img { position: absolute; width: 100%; height: 100%; }
.still span { position: absolute; white-space: nowrap; }
.still b { display: inline-block; width: 22px; margin: 0 5px 4px 10px; }
[class*="st-key-chart-"] { position: relative; }
[class*="st-key-chart-"]:has(.main-svg) .still { display: none; }
[class*="st-key-chart-"]:has(.still) [data-testid="stSkeleton"] { visibility: hidden; }
.js-plotly-plot :is(.cartesianlayer, .legend, .colorbar, .g-xtitle, .g-ytitle) text:not(.heatmap-label *) {
  fill: currentColor !important }
@media (max-width: 640px) { .js-plotly-plot .modebar { display: none !important } }
.js-plotly-plot .main-svg { background: transparent !important }
.js-plotly-plot :is(.bglayer .bg, .legend .bg) { fill: transparent !important }"""
"""Lies over the chart's place, is gone once Plotly has drawn. The page's container is named `chart-…`.

Streamlit draws a chart's words in a grey of less contrast than WCAG asks for: they get the page's colour. When the
system turns dark while a browser is busy, a chart keeps the ground that it was drawn with: it has none, so the page's
is seen. On a phone Plotly's toolbar would lie on the legend, and fingers zoom without it.
"""


@dataclass(frozen=True)
class Stroke:
    """One path, in the axes' numbers; interrupted where a place is not finite."""

    x: Floats
    y: Floats
    colour: str
    width: float
    """Width in pixels."""
    dash: str = ""
    round: bool = False
    """Whether a stretch without length is a dot."""
    opacity: float = 1.0


class Axis:
    """What a trace's values are along one side: numbers, their logarithms, or names in order."""

    def __init__(self, given: Any, values: list[Any]) -> None:
        self.given = given
        self.logarithmic = given.type == "log"
        named = any(len(each) and isinstance(each[0], str) for each in values)
        names = [*(given.categoryarray if given.categoryarray is not None else ()), *(v for one in values for v in one)]
        self.places = {name: at for at, name in enumerate(dict.fromkeys(names))} if named else {}
        self.low, self.high = 0.0, 1.0

    def numbers(self, values: Any) -> Floats:
        """Values along this axis, NaN where there is no place for one."""
        if self.places:
            return np.array([self.places[value] for value in values], dtype=float)
        numbers = np.asarray(values, dtype=float)
        if self.logarithmic:
            numbers = np.log10(np.where(numbers > 0, numbers, np.nan))
        return np.where(np.isfinite(numbers), numbers, np.nan)

    def fit(self, rows: list[Floats], margin: float) -> None:
        """Span the figure's own range, else everything drawn and a margin."""
        if self.given.range is not None:
            self.low, self.high = self.given.range
            return
        every = np.concatenate(rows)
        low, high = float(np.nanmin(every)), float(np.nanmax(every))
        if zero := self.given.rangemode == "tozero" and low >= 0:
            low = 0.0
        if low == high:
            low, high = low - 1, high + 1
        self.low, self.high = low - (0 if zero else margin * (high - low)), high + margin * (high - low)

    def share(self, numbers: Any) -> Any:
        """Where on the axis, from 0 at its beginning to 1 at its end."""
        return (numbers - self.low) / (self.high - self.low)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """(share, text) of round numbers, or of every name."""
        if self.places:
            yield from ((self.share(at), _safe(name)) for name, at in self.places.items())
            return
        raw = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.8)
        for number in np.arange(math.ceil(self.low / step), math.floor(self.high / step) + 1):
            value = float(number * step)
            text = f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:.6g}"
            if self.logarithmic:
                text = f"{10**value:.3g}"
            yield self.share(value), text + (self.given.ticksuffix or "")


def still(figure: go.Figure) -> str:
    """A figure as HTML, as high as the figure; empty without anything to draw, or where a trace is not covered."""
    traces = [trace for trace in figure.data if trace.x is not None and len(trace.x)]
    across = Axis(figure.layout.xaxis, [trace.x for trace in traces])
    up = Axis(figure.layout.yaxis, [trace.y for trace in traces])
    panels = {getattr(trace, "yaxis", None) or "y" for trace in traces}
    if across.places or len(panels) > 1 or any(trace.type not in ("scatter", "box") for trace in traces):
        return ""
    strokes = [stroke for trace in traces for stroke in _strokes(trace, across, up)]
    if not any(np.isfinite(stroke.x + stroke.y).any() for stroke in strokes):
        return ""
    across.fit([stroke.x for stroke in strokes], 0.055 if any(stroke.round for stroke in strokes) else 0.0)
    up.fit([stroke.y for stroke in strokes], 0.055)
    # As a picture: Streamlit takes SVG out of HTML.
    paths = "".join(_path(stroke, across, up) for stroke in strokes)
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" preserveAspectRatio="none">'
        f"<style>path {{ fill: none; vector-effect: non-scaling-stroke }}</style>{paths}</svg>"
    )
    names = "".join(
        f'<b style="border-top:{trace.line.width or 2}px solid {trace.line.color or trace.marker.color}"></b>'
        + _safe(trace.name)
        for trace in traces
        if trace.showlegend is not False and trace.name and figure.layout.showlegend is not False
    )
    left = max(LEFT, 24 + LETTER * max((len(html.unescape(name)) for name in up.places), default=0))
    return (
        f'<div class="still" aria-hidden="true" style="height:{figure.layout.height}px">'
        f'<span style="left:{LEFT}px;right:0;top:4px;height:24px;overflow:hidden">{names}</span>'
        f'<div style="position:absolute;left:min({left:.0f}px,45%);right:{RIGHT}px;top:{TOP}px;bottom:{BOTTOM}px">'
        f'<img alt="" src="data:image/svg+xml;base64,{b64encode(picture.encode()).decode()}">'
        f"{_ticks(across, upward=False)}{_ticks(up, upward=True)}"
        f"{''.join(_words(trace, across, up) for trace in traces)}</div></div>"
    )


def _safe(text: object) -> str:
    # Names were escaped once for Plotly: unescaped first, no text is escaped twice and none is left as it came.
    return html.escape(html.unescape(str(text)))


def _strokes(trace: Any, across: Axis, up: Axis) -> Iterator[Stroke]:
    """What one trace draws, the lowest first."""
    x, y = across.numbers(trace.x), up.numbers(trace.y)
    colour, opacity = trace.marker.color, trace.opacity or 1.0
    if trace.type == "box":
        for place in np.unique(y):
            yield Stroke(*_box(x[y == place], float(place)), trace.line.color, 2)
    elif "lines" in trace.mode:
        joined = (np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]) if trace.line.shape == "hv" else (x, y)
        if trace.line.width != 0:  # an edge of a band
            yield Stroke(*joined, trace.line.color, trace.line.width or 2, DASHES.get(trace.line.dash or "", ""))
    if trace.type == "scatter" and trace.error_x.array is not None:
        ends = _stretch(x - trace.error_x.arrayminus, x + trace.error_x.array)
        yield Stroke(ends, _stretch(y, y), trace.error_x.color, trace.error_x.thickness, opacity=opacity)
    if trace.type == "scatter" and trace.error_y.array is not None:
        ends = _stretch(y - trace.error_y.arrayminus, y + trace.error_y.array)
        yield Stroke(_stretch(x, x), ends, trace.error_y.color, trace.error_y.thickness, opacity=opacity)
    if trace.type == "box" or "markers" in trace.mode:
        sizes = np.broadcast_to(6 if trace.marker.size is None else trace.marker.size, x.shape)
        for size in np.unique(sizes):
            dots = _stretch(x[sizes == size], x[sizes == size]), _stretch(y[sizes == size], y[sizes == size])
            faint = opacity * (trace.marker.opacity or 1.0)
            yield Stroke(*dots, colour, float(size), round=True, opacity=faint)


def _stretch(first: Floats, second: Floats) -> Floats:
    """Line pieces: from each first to its second, then a gap."""
    return np.column_stack([first, second, np.full(len(first), np.nan)]).ravel()


def _box(values: Floats, place: float) -> tuple[Floats, Floats]:
    """The lines of a lying box: the quartiles as Plotly takes them, whiskers to the last value within 1.5 boxes."""
    low, middle, high = np.percentile(values, [25, 50, 75], method="hazen")
    inner = values[(values >= low - 1.5 * (high - low)) & (values <= high + 1.5 * (high - low))]
    x = [low, low, high, high, low, np.nan, middle, middle, np.nan, inner.min(), low, np.nan, high, inner.max()]
    y = [-1, 1, 1, -1, -1, 0, -1, 1, 0, 0, 0, 0, 0, 0]
    return np.array(x), np.array(y) * 0.245 + place


def _path(stroke: Stroke, across: Axis, up: Axis) -> str:
    """One line; where a point is missing it is interrupted."""
    right, down = across.share(stroke.x) * SIZE, (1 - up.share(stroke.y)) * SIZE
    known = np.isfinite(right) & np.isfinite(down)
    places = np.rint(np.where(known, [right, down], 0)).astype(int).T.tolist()
    text, pen = [], "M"
    for (at, height), there in zip(places, known.tolist(), strict=True):
        if there:
            text.append(f"{pen}{at} {height}")
        pen = "L" if there else "M"
    look = f'stroke="{stroke.colour}" stroke-width="{stroke.width}" stroke-dasharray="{stroke.dash}"'
    if stroke.round or stroke.opacity < 1:
        cap = "round" if stroke.round else "butt"
        return f'<path {look} stroke-linecap="{cap}" opacity="{stroke.opacity}" d="{"".join(text)}"/>'
    # A path a stretch, as Plotly has it: where translucent ones cross they are darker.
    return "".join(f'<path {look} d="M{stretch}"/>' for stretch in "".join(text).split("M")[1:])


def _words(trace: Any, across: Axis, up: Axis) -> str:
    """The names beside the points of a trace."""
    if trace.type != "scatter" or "text" not in trace.mode:
        return ""
    found = []
    sides = np.broadcast_to(trace.textposition, len(trace.x))
    for x, y, text, side in zip(across.numbers(trace.x), up.numbers(trace.y), trace.text, sides, strict=True):
        if text and np.isfinite(x + y):
            place = f"left:{100 * across.share(x):.2f}%;bottom:{100 * up.share(y):.2f}%"
            shift = "calc(-100% - 9px)" if "left" in side else "9px"
            found.append(f'<span style="{place};transform:translate({shift},50%)">{_safe(text)}</span>')
    return "".join(found)


def _ticks(axis: Axis, *, upward: bool) -> str:
    """Numbers or names along an axis, faint lines across, and the axis's title."""
    found = []
    for share, name in axis.ticks():
        place = f"bottom:{100 * share:.2f}%;right:100%;transform:translate(-6px,50%)"
        rule = f"left:0;right:0;bottom:{100 * share:.2f}%;border-top"
        if not upward:
            place = f"left:{100 * share:.2f}%;top:100%;transform:translate(-50%,4px)"
            rule = f"top:0;bottom:0;left:{100 * share:.2f}%;border-left"
        found.append(f'<span style="{place}">{name}</span><span style="{rule}:1px solid rgba(128,128,128,.2)"></span>')
    place = "left:50%;top:100%;transform:translate(-50%,26px)"
    if upward:
        place = "left:-58px;top:50%;transform:translate(-50%,-50%) rotate(-90deg) translateY(8px)"
    return "".join(found) + f'<span style="{place};font-size:14px">{_safe(axis.given.title.text)}</span>'
