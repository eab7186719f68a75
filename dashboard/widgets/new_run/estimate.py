"""What a new run would take, training and measuring, before anything is spent."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import escaping
from dashboard.jobs import looks
from dashboard.jobs.looks import Look
from dashboard.views import kept
from dashboard.views.new_run import estimate
from dashboard.widgets.new_run import awaited


def planned(text: str) -> Look:
    """The plan of an experiment file, whether or not it was asked for yet. Raises: BakeoffError, OSError."""
    return looks.look(kept.workspace(), "plan", text, "--workspace", str(kept.workspace().path))


def show(look: Look) -> None:
    """The plan, once it was asked for; redrawn until it is there."""
    if look.asked:
        awaited.show(look, "Planning: rows are filtered and counted, this machine's pace is measured", _plan, 900)


def _plan(plan: dict[str, Any]) -> None:
    st.markdown(f"**{escaping.label(estimate.headline(plan), 300)}**")
    for problem in plan["problems"]:
        st.error(escaping.label(problem, 600), icon=":material/error:")
    for warning in plan["warnings"]:
        st.warning(escaping.label(warning, 600), icon=":material/warning:")
    for line in (*estimate.rows(plan), *plan["models"], *plan["tests"]):
        st.markdown("- " + escaping.label(line, 400))
    left, right = st.columns(2)
    left.dataframe(estimate.times(plan), hide_index=True, placeholder="–", alt="Time by place")
    right.dataframe(estimate.needs(plan), hide_index=True, placeholder="–", alt="Memory by place")
