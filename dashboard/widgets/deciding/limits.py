"""The limits of a decision, typed or slid, and the decision as rows for its chart and table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard.views.deciding.verdict import Relaxation
from dashboard.widgets.selection import URL
from results import Decision, Limits, standing


@dataclass(frozen=True)
class Dial:
    """One limit's field and slider."""

    field: str
    """The field of `results.Limits` that it sets, and its name in the address."""
    metric: str
    """The score it bounds; `bytes` is the model's own size."""
    label: str
    unit: float
    """What one of the field's units is in the metric's."""
    at_most: bool = True


DIALS = (
    Dial("ttft_seconds_p90", "ttft_seconds_p90", "First token ≤ (p90), s", 1.0),
    Dial("tokens_per_second", "tokens_per_second_p50", "Speed ≥, tokens/s", 1.0, at_most=False),
    Dial("peak_rss_bytes", "peak_rss_bytes", "Memory ≤, GB", 1e9),
    Dial("bytes", "bytes", "Files ≤, GB", 1e9),
)


def dials(values: dict[str, list[float]]) -> Limits:
    """A field and a slider a limit; any value can be typed, also one that nothing measured comes near.

    values: figures by metric, over which the sliders reach. An empty field is no limit.
    """
    limits: dict[str, float] = {}
    for dial, column in zip(DIALS, st.columns(len(DIALS)), strict=True):
        known = sorted({value / dial.unit for value in values.get(dial.metric, []) if math.isfinite(value)})
        with column:
            typed = st.number_input(
                dial.label, 0.0, None, None, _step(known), format="%.4g", key=dial.field, bind=URL,
                placeholder="no limit" if known else "no limit, not measured",
            )  # fmt: skip
            if len(known) > 1:
                _slide(dial, known, typed)
        if typed is not None:
            limits[dial.field] = typed * dial.unit
    get = limits.get
    return Limits(get("ttft_seconds_p90"), get("tokens_per_second"), get("peak_rss_bytes"), get("bytes"))


def _step(known: list[float]) -> float:
    spread = known[-1] - known[0] if len(known) > 1 else (known[0] if known else 1.0)
    return float(10.0 ** math.floor(math.log10(max(spread, 1e-9)) - 1))


def _slide(dial: Dial, known: list[float], typed: float | None) -> None:
    """The slider below a field: what it is moved to is typed into the field; at its loose end the field is empty."""
    step = _step(known)
    digits = max(0, -math.floor(math.log10(step)))
    ends = [*known, *([typed] if typed is not None else [])]
    low, high = math.floor(min(ends) / step) * step, math.ceil(max(ends) / step) * step
    low, high = round(low, digits), round(high, digits)
    loose = high if dial.at_most else low
    key = f"{dial.field}-slid"
    st.session_state[key] = min(high, max(low, round(loose if typed is None else typed, digits)))

    def moved() -> None:
        slid = st.session_state[key]
        st.session_state[dial.field] = None if slid == loose and typed is None else slid

    st.slider(
        dial.label, low, high, step=step, format=f"%.{digits}f", key=key, on_change=moved,
        label_visibility="collapsed",
    )  # fmt: skip


AXES = {
    "": ("Seconds for an answer of 128 tokens (median)", 1.0, "", True),
    "ttft_seconds_p90": ("First token (p90), s", 1.0, "ttft_seconds_p90", True),
    "bytes": ("Files, GB", 1e9, "bytes", True),
    "peak_rss_bytes": ("Memory, GB", 1e9, "peak_rss_bytes", True),
}
"""What quality can be drawn against: title, unit, the limit's metric, whether that is an upper limit; by its key."""


def candidates(decision: Decision, along: str = "") -> pd.DataFrame:
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
                    "name": one.model,
                    "x": cost / scale,
                    "y": one.quality.value,
                    "y_low": one.quality.low,
                    "y_high": one.quality.high,
                    "on_front": one.on_front,
                    "standing": standing(decision, one.model_id),
                }
            )
    return pd.DataFrame(rows)


def bound(decision: Decision, along: str) -> float | None:
    """The limit along an axis of the chart, in the axis's unit; None without one."""
    _, scale, metric, _ = AXES[along]
    return next((limit.bound / scale for limit in decision.limits if limit.metric == metric), None)


def table(decision: Decision, out: Sequence[Relaxation] = ()) -> pd.DataFrame:
    """Every candidate with its figures and what became of it; columns in which nothing is known are left out.

    out: who fails a limit, and what would let it in.
    """
    why = {one.model: one.reason for one in out}
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
                "Why": why.get(one.model) or " ".join(one.reasons) or None,
            }
            for one in decision.candidates
        ]
    )
    return found.replace([math.inf, -math.inf], None).dropna(axis=1, how="all").round(3)
