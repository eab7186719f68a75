"""The limits of a decision, typed or slid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import streamlit as st

from dashboard.widgets.selection import URL
from results import Limits
from results.records import DecisionRecord


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


def address(kept: DecisionRecord) -> dict[str, list[str]]:
    """What the address of the page says that asks a frozen decision's question."""
    asked = kept.limits
    measures = asked.get("measures") or [asked.get("benchmark")]
    found = {"about": asked.get("experiment"), "by": measures[0], "machine": asked.get("machine_id")}
    found["margin"] = f"{100 * asked['margin']:.4g}" if asked.get("margin") else None
    bounds = {one["metric"]: float(one["bound"]) for one in asked.get("limits") or ()}
    found |= {one.field: f"{bounds[one.metric] / one.unit:g}" for one in DIALS if one.metric in bounds}
    return {key: [str(value)] for key, value in found.items() if value}


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
