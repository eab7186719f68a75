"""The trade-off as a picture: each model's quality with its interval against what it costs, with names and axes."""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from dashboard.charts.labels import LINE, Point, places
from dashboard.charts.printed.frame import TOP, WIDE, Frame
from dashboard.escaping import plain
from dashboard.palette import GREY, Style
from results.records import percent as per_cent

HEIGHT = 360.0
SHIPPED = ("ship", "highest score, a guess")


def printed(
    rows: pd.DataFrame, styles: Mapping[str, Style], x: str, *, percent: bool, width: float = WIDE, alt: str = ""
) -> str:
    """An `<svg>` of the points of the page's chart. rows: as for `tradeoff`. x: the axis's title, with its unit."""
    low, high = _range(rows)
    most = 1.08 * float(rows["x"].max()) or 1.0
    frame = Frame(width, HEIGHT, (0.0, most), (low, high))
    points = [
        Point(at / most, (height - low) / (high - low), plain(name, 28))
        for at, height, name in zip(rows["x"], rows["y"], rows["name"], strict=True)
    ]
    parts = list(frame.axes(x, partial(_said, percent)))
    for row, point, place in zip(rows.to_dict("records"), points, places(points, HEIGHT), strict=True):
        colour = styles.get(str(row["model_id"]), Style(GREY)).colour
        at, up = frame.right(row["x"]), frame.down(row["y"])
        faint = ' opacity="0.4"' if row["standing"] == "fails a limit" else ""
        ends = [end for end in (row["y_low"], row["y_high"]) if end is not None and np.isfinite(end)]
        if len(ends) == 2:
            bottom, top = (frame.down(end) for end in ends)
            parts.append(
                f'<line x1="{at:.1f}" y1="{top:.1f}" x2="{at:.1f}" y2="{bottom:.1f}" stroke="{colour}" '
                f'stroke-width="2"{faint}/>'
            )
        size = 9 if row["standing"] in SHIPPED else 5
        said = html.escape(f"{plain(row['name'])}: {_said(percent, row['y'], 1)} at {row['x']:.3g}")
        dot = f'<circle cx="{at:.1f}" cy="{up:.1f}" r="{size}" fill="{colour}"{faint}>'
        parts.append(f"{dot}<title>{said}</title></circle>")
        if place is not None:
            anchor, shift = ("start", 12) if place.right else ("end", -12)
            height = TOP + (1 - place.up) * HEIGHT + LINE / 4
            name = html.escape(point.name)
            parts.append(f'<text x="{at + shift:.1f}" y="{height:.1f}" text-anchor="{anchor}">{name}</text>')
    return frame.svg(parts, alt)


def _said(percent: bool, value: float, digits: int = 0) -> str:
    return per_cent(value, digits) if percent else f"{value:.3f}"


def _range(rows: pd.DataFrame) -> tuple[float, float]:
    every = np.concatenate([rows[name].astype(float).to_numpy() for name in ("y", "y_low", "y_high")])
    known = every[np.isfinite(every)]
    margin = 0.08 * float(known.max() - known.min()) or 0.05
    return float(known.min()) - margin, float(known.max()) + margin
