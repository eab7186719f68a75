"""An answer that a process works out beside the page: that it is under way, why there is none, or the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard import escaping
from dashboard.jobs.looks import Look


def show(look: Look, doing: str, drawn: Callable[[Any], None], most: int, again: bool = False) -> None:
    """Redrawn until the answer is there, and then the page with it.

    most: characters that are shown of a refusal. again: whether it can be asked again then.
    """
    st.fragment(_show, run_every=1.0 if look.running else None)(look, look.running, doing, drawn, most, again)


def _show(look: Look, was_running: bool, doing: str, drawn: Callable[[Any], None], most: int, again: bool) -> None:
    if look.running:
        st.caption(f":material/hourglass_top: {doing} …")
        return
    if was_running:
        st.rerun()
    if (answer := look.answer) is not None:
        drawn(answer)
        return
    st.error(escaping.label(look.refusal, most), icon=":material/error:")
    if again and st.button("Look again", icon=":material/refresh:", key="look-again"):
        look.ask()
        st.rerun()
