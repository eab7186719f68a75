"""The app's entry: the gate, the navigation, the page. Started by `bakeoff dashboard`."""

from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import frame
from results.errors import BakeoffError

st.set_page_config(page_title="Bakeoff", page_icon=":material/leaderboard:", layout="wide")

PAGES = Path(__file__).parent / "app_pages"


def page(name: str, title: str, icon: str, default: bool = False) -> Any:
    """One page of `app_pages/`."""
    return st.Page(PAGES / f"{name}.py", title=title, icon=f":material/{icon}:", default=default)


if not frame.admitted():
    st.stop()

chosen = st.navigation(
    {
        "Decide": [page("decide", "Decide", "verified", default=True)],
        "Measured": [
            page("runs", "Runs", "table_rows"),
            page("loss_curves", "Loss curves", "show_chart"),
            page("latency", "Latency", "timer"),
            page("humaneval", "HumanEval", "code"),
            page("studies", "Studies", "menu_book"),
        ],
        "Read and vote": [
            page("chat", "Chat", "forum"),
            page("arena", "Arena", "swords"),
            page("prompt_sets", "Prompt sets", "checklist"),
        ],
        "Make": [page("new_run", "New run", "rocket_launch")],
    }
)
try:
    chosen.run()
except BakeoffError as error:
    frame.failed(error)
