"""What stands around every page: whose workspace this is, which question is asked, whether models can answer."""

from __future__ import annotations

import streamlit as st

from dashboard import escaping
from dashboard.chat import health, revival
from dashboard.views import kept
from results import EVERYTHING

STATES = {
    "up": (":material/check_circle:", "Models answer"),
    "starting": (":material/hourglass_top:", "Model server: looking"),
    "down": (":material/error:", "Model server is down"),
}
"""How each state of the model server is shown: by icon and in words."""
QUESTIONS = {"": "newest experiment", EVERYTHING: "all models"}
"""What a question that names no experiment is called."""
FIRST_SECONDS, LOOK_SECONDS = 1.0, 10.0
"""How often the server is looked at, until it was seen and afterwards."""


def sidebar() -> None:
    """The sidebar below the pages."""
    with st.sidebar:
        folder = kept.workspace().path
        asked = str(st.session_state.get("about", st.query_params.get("about")) or "")
        st.caption(
            f"Workspace **{escaping.label(folder.name, 60)}**  \n"
            f"Question **{escaping.label(QUESTIONS.get(asked, asked), 60)}**",
            help=escaping.label(str(folder), 300),
        )
        first = health.state() == "starting"
        st.fragment(_server, run_every=FIRST_SECONDS if first else LOOK_SECONDS)(first)


def _server(first: bool) -> None:
    state = health.state()
    if first and state != "starting":
        st.rerun()
    icon, words = STATES[state]
    st.caption(f"{icon} {words}")
    if state == "down" and revival.possible():
        st.button("Start it again", icon=":material/restart_alt:", on_click=revival.ring)
