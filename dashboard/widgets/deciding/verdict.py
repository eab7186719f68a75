"""The verdict card on top of Decide: the verdict by colour, icon and word, why, how sure, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dashboard import escaping
from dashboard.views import data
from dashboard.views.deciding import verdict
from dashboard.widgets import actions
from results import Decision

BOXES: dict[str, tuple[Callable[..., Any], str]] = {
    "ship": (st.success, ":material/verified:"),
    "tie": (st.info, ":material/balance:"),
    "only one": (st.info, ":material/looks_one:"),
    "not enough data": (st.warning, ":material/hourglass_empty:"),
    "nobody": (st.error, ":material/block:"),
}
"""How each verdict is shown: by colour, by icon and in words."""


def card(decision: Decision) -> None:
    """The verdict and its facts."""
    box, icon = BOXES[decision.kind]
    machine = data.machines().get(decision.machine_id or "", "").rpartition(" (")[0]
    facts = verdict.facts(decision, machine)
    lines = "".join(f"\n- **{escaping.label(word)}**: {escaping.label(fact, 400)}" for word, fact in facts)
    box(f"## {escaping.label(verdict.title(decision), 200)}\n{lines}", icon=icon)


def nexts(decision: Decision) -> None:
    """What would settle it, as buttons."""
    for number, one in enumerate(verdict.nexts(decision, data.evaluations())):
        label = escaping.label(one.label, 120)
        if one.command:
            actions.button(st, label, one.command, one.label.partition(" (")[0], key=f"next-{number}")
        else:
            st.button(label, key=f"next-{number}", icon=":material/tune:", on_click=_ask, args=(one,))


def _ask(one: verdict.Next) -> None:
    if one.margin is not None:
        st.session_state["margin"] = round(one.margin, 3)
    if one.by:
        st.session_state["by"] = one.by


FIELDS = {
    "ttft_seconds_p90": "ttft_seconds_p90", "tokens_per_second_p50": "tokens_per_second",
    "peak_rss_bytes": "peak_rss_bytes", "bytes": "bytes",
}  # fmt: skip
"""The page's field of each limit, by the metric that it bounds."""


def relaxing(found: Sequence[verdict.Relaxation], most: int = 4) -> None:
    """Who is out and what would let it in, each with the button that does."""
    for number, one in enumerate(found[:most]):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/block: Out: {escaping.label(one.sentence, 300)}", width="content")
            if not one.unknown and all(step.limit.metric in FIELDS for step in one.steps):
                name = escaping.label(one.model, 60)
                st.button(
                    "Relax", key=f"relax-{number}", type="tertiary", icon=":material/tune:", on_click=_relax,
                    args=(one,), help=f"So that {name} qualifies",
                )  # fmt: skip
    if len(found) > most:
        st.caption(f"{len(found) - most} more fail a limit: they are in the table.")


def _relax(one: verdict.Relaxation) -> None:
    for step in one.steps:
        st.session_state[FIELDS[step.limit.metric]] = step.needed
