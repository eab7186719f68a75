"""The limits of a decision as sliders over what the store holds, and the decision as rows for its chart and table."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard.widgets.selection import URL
from results import Decision, Limits, standing


@dataclass(frozen=True)
class Dial:
    """One limit's slider."""

    field: str
    """The field of `results.Limits` that it sets."""
    metric: str
    """The score it bounds; `bytes` is the model's own size."""
    label: str
    unit: float
    """What one of the slider's units is in the metric's."""
    at_most: bool = True


DIALS = (
    Dial("ttft_seconds_p90", "ttft_seconds_p90", "First token at most (p90), s", 1.0),
    Dial("tokens_per_second", "tokens_per_second_p50", "Speed at least, tokens/s", 1.0, at_most=False),
    Dial("peak_rss_bytes", "peak_rss_bytes", "Memory at most, GB", 1e9),
    Dial("bytes", "bytes", "Files at most, GB", 1e9),
)


def sliders(values: dict[str, list[float]]) -> Limits:
    """One slider a limit, from the least to the greatest figure in the store; at its loose end it is no limit.

    values: figures by metric.
    """
    limits: dict[str, float] = {}
    for dial, column in zip(DIALS, st.columns(len(DIALS)), strict=True):
        known = sorted({value / dial.unit for value in values.get(dial.metric, []) if math.isfinite(value)})
        with column:
            if len(known) < 2:
                st.caption(f"{dial.label}: {'only ' + format(known[0], '.3g') if known else 'not measured'}")
                continue
            step = 10.0 ** math.floor(math.log10(max(known[-1] - known[0], 1e-9)) - 1)
            low, high = math.floor(known[0] / step) * step, math.ceil(known[-1] / step) * step
            digits = max(0, -math.floor(math.log10(step)))
            low, high = round(low, digits), round(high, digits)
            loose = high if dial.at_most else low
            chosen = st.slider(
                dial.label, low, high, loose, step, format=f"%.{digits}f", key=dial.field, bind=URL,
                help="At the end of its range a slider sets no limit.",
            )  # fmt: skip
            if chosen != loose:
                limits[dial.field] = chosen * dial.unit
    get = limits.get
    return Limits(get("ttft_seconds_p90"), get("tokens_per_second"), get("peak_rss_bytes"), get("bytes"))


def candidates(decision: Decision) -> pd.DataFrame:
    """Candidates as rows of the trade-off chart: only those with quality and speed."""
    rows = [
        {
            "model_id": one.model_id,
            "name": one.model,
            "x": one.answer_seconds,
            "y": one.quality.value,
            "y_low": one.quality.low,
            "y_high": one.quality.high,
            "on_front": one.on_front,
            "standing": standing(decision, one.model_id),
        }
        for one in decision.candidates
        if one.quality is not None and one.answer_seconds is not None
    ]
    return pd.DataFrame(rows)


def table(decision: Decision) -> pd.DataFrame:
    """Every candidate with its figures and what became of it; columns in which nothing is known are left out."""
    quality = "pass@1" if decision.metric == "pass@1" else decision.metric.replace("_", " ")
    found = pd.DataFrame(
        [
            {
                "Model": one.model,
                "Standing": standing(decision, one.model_id),
                f"Quality, {quality}": one.quality.value if one.quality else None,
                "Low": one.quality.low if one.quality else None,
                "High": one.quality.high if one.quality else None,
                "128 tokens in, s": one.answer_seconds,
                "Files, GB": one.bytes / 1e9 if one.bytes else None,
                "Why": " ".join(one.reasons) or None,
            }
            for one in decision.candidates
        ]
    )
    return found.replace([math.inf, -math.inf], None).dropna(axis=1, how="all").round(3)
