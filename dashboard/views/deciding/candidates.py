"""A decision as rows: for the chart of quality against cost, and for the table of candidates. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from dashboard.views.deciding.verdict import Relaxation
from results import Decision, standing

AXES = {
    "": ("Seconds for an answer of 128 tokens (median)", 1.0, "", True),
    "ttft_seconds_p90": ("First token (p90), s", 1.0, "ttft_seconds_p90", True),
    "bytes": ("Files, GB", 1e9, "bytes", True),
    "peak_rss_bytes": ("Memory, GB", 1e9, "peak_rss_bytes", True),
}
"""What quality can be drawn against: title, unit, the limit's metric, whether that is an upper limit; by its key."""


NAMED = 6
"""So many that are not drawn are named."""
TIMES = ("", "ttft_seconds_p90")
"""Those of the axes that are times, which another tool may have measured elsewhere."""


def points(decision: Decision, along: str = "") -> pd.DataFrame:
    """Candidates as rows of the trade-off chart: only those with quality and the figure along x. along: of AXES."""
    scale = AXES[along][1]
    rows = []
    for one in decision.candidates:
        known = {figure.metric: figure.value for figure in one.figures}
        cost = one.answer_seconds if not along else known.get(along)
        if one.quality is not None and cost is not None and math.isfinite(cost):
            rows.append(
                {
                    "model_id": one.model_id,
                    "name": f"{one.model} (time imported)" if one.timed_elsewhere and along in TIMES else one.model,
                    "x": cost / scale,
                    "y": one.quality.value,
                    "y_low": one.quality.low,
                    "y_high": one.quality.high,
                    "on_front": one.on_front,
                    "standing": standing(decision, one.model_id),
                }
            )
    return pd.DataFrame(rows)


def undrawn(decision: Decision, along: str) -> str:
    """Who has a score and is not on the chart, for want of the figure along x; empty where nobody is."""
    drawn = points(decision, along)
    there = set(drawn["model_id"]) if len(drawn) else set()
    names = [one.model for one in decision.candidates if one.quality is not None and one.model_id not in there]
    few = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return f"Not drawn, for that figure of them is not known: {few}." if names else ""


def bound(decision: Decision, along: str) -> float | None:
    """The limit along an axis of the chart, in the axis's unit; None without one."""
    _, scale, metric, _ = AXES[along]
    return next((limit.bound / scale for limit in decision.limits if limit.metric == metric), None)


def table(decision: Decision, out: Sequence[Relaxation] = ()) -> pd.DataFrame:
    """Every candidate with its figures and what became of it; columns in which nothing is known are left out.

    out: who fails a limit, and what would let it in.
    """
    why = {one.model: one.reason for one in out}
    scale, unit = (1, "") if decision.metric == "bits_per_byte" else (100, ", %")
    quality = decision.metric.replace("_", " ") + unit
    found = pd.DataFrame(
        [
            {
                "Model": one.model,
                "Standing": standing(decision, one.model_id),
                f"Quality, {quality}": scale * one.quality.value if one.quality else None,
                "Low": scale * one.quality.low if one.quality and one.quality.low is not None else None,
                "High": scale * one.quality.high if one.quality and one.quality.high is not None else None,
                "128 tokens in, s": one.answer_seconds,
                "Times": "imported" if one.timed_elsewhere else None,
                "Files, GB": one.bytes / 1e9 if one.bytes else None,
                "Why": why.get(one.model) or " ".join(one.reasons) or None,
            }
            for one in decision.candidates
        ]
    )
    return found.replace([math.inf, -math.inf], None).dropna(axis=1, how="all").round(3)
