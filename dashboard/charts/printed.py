"""The trade-off as a picture for paper and mail: SVG with intervals, names and axes; loads nothing, runs nothing."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from dashboard.charts.labels import LINE, Point, places
from dashboard.escaping import plain
from dashboard.palette import GREY, Style

WIDTH, HEIGHT = 760.0, 360.0
"""The plot inside the margins, in the picture's own units."""
LEFT, TOP, BOTTOM = 60.0, 12.0, 46.0
SHIPPED = ("ship", "highest score, a guess")


def printed(rows: pd.DataFrame, styles: Mapping[str, Style], x: str, *, percent: bool) -> str:
    """An `<svg>` of the points of the page's chart. rows: as for `tradeoff`. x: the axis's title, with its unit."""
    low, high = _range(rows)
    most = 1.08 * float(rows["x"].max()) or 1.0
    points = [
        Point(at / most, (height - low) / (high - low), plain(name, 28))
        for at, height, name in zip(rows["x"], rows["y"], rows["name"], strict=True)
    ]
    parts = list(_axes(low, high, most, x, percent))
    for row, point, place in zip(rows.to_dict("records"), points, places(points, HEIGHT), strict=True):
        colour = styles.get(str(row["model_id"]), Style(GREY)).colour
        at, up = LEFT + point.across * WIDTH, TOP + (1 - point.up) * HEIGHT
        faint = ' opacity="0.4"' if row["standing"] == "fails a limit" else ""
        ends = [end for end in (row["y_low"], row["y_high"]) if end is not None and np.isfinite(end)]
        if len(ends) == 2:
            top, bottom = (TOP + (1 - (end - low) / (high - low)) * HEIGHT for end in (ends[1], ends[0]))
            line = f'<line x1="{at:.1f}" y1="{top:.1f}" x2="{at:.1f}" y2="{bottom:.1f}" stroke="{colour}"{faint}/>'
            parts.append(line)
        size = 9 if row["standing"] in SHIPPED else 5
        parts.append(f'<circle cx="{at:.1f}" cy="{up:.1f}" r="{size}" fill="{colour}"{faint}/>')
        if place is not None:
            anchor, shift = ("start", 12) if place.right else ("end", -12)
            height = TOP + (1 - place.up) * HEIGHT + LINE / 4
            said = html.escape(point.name)
            parts.append(f'<text x="{at + shift:.1f}" y="{height:.1f}" text-anchor="{anchor}">{said}</text>')
    box = f"0 0 {LEFT + WIDTH + 10:.0f} {TOP + HEIGHT + BOTTOM:.0f}"
    style = "<style>text { font: 12px system-ui, sans-serif; fill: #1a1a1a; }</style>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img">{style}{"".join(parts)}</svg>'


def _range(rows: pd.DataFrame) -> tuple[float, float]:
    every = np.concatenate([rows[name].astype(float).to_numpy() for name in ("y", "y_low", "y_high")])
    known = every[np.isfinite(every)]
    margin = 0.08 * float(known.max() - known.min()) or 0.05
    return float(known.min()) - margin, float(known.max()) + margin


def _axes(low: float, high: float, most: float, x: str, percent: bool) -> Iterator[str]:
    """Five lines a side with their numbers, and the title along x."""
    for share in np.linspace(0, 1, 5):
        value, up = low + share * (high - low), TOP + (1 - share) * HEIGHT
        said = f"{100 * value:.0f} %" if percent else f"{value:.3f}"
        yield f'<line x1="{LEFT}" y1="{up:.1f}" x2="{LEFT + WIDTH}" y2="{up:.1f}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{up + 4:.1f}" text-anchor="end">{said}</text>'
        at = LEFT + share * WIDTH
        yield f'<text x="{at:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{share * most:.3g}</text>'
    yield f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle">{html.escape(x)}</text>'
