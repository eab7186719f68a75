"""The app's script: the gate, the navigation, the page. Run for each visitor by app_server.py."""

from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import charts
from dashboard.widgets import login, page
from results.errors import BakeoffError

FOLDER = Path(__file__).parent
PAGES = FOLDER / "app_pages"
# A file of our own: Streamlit fetches a `:material/…:` page icon from a font server on the internet.
st.set_page_config(page_title="Bakeoff", page_icon=FOLDER / "icon.png", layout="wide")

# Streamlit's colour for these parts of code has less contrast than WCAG asks for, and no theme option reaches it.
st.html(
    "<style>.token.atrule, .token.operator, .token.entity, .token.number, .token.boolean, .token.decorator"
    f" {{ color: inherit !important; }} {charts.CSS}</style>"
)


def listed(name: str, title: str, icon: str, default: bool = False) -> Any:
    """One page of `app_pages/`."""
    return st.Page(PAGES / f"{name}.py", title=title, icon=f":material/{icon}:", default=default)


if not login.admitted():
    st.stop()

# One list, without sections: Streamlit's sections put headings into the list, which screen readers stumble over.
chosen = st.navigation(
    [
        listed("decide", "Decide", "verified", default=True),
        listed("runs", "Runs", "table_rows"),
        listed("loss_curves", "Loss curves", "show_chart"),
        listed("latency", "Latency", "timer"),
        listed("humaneval", "HumanEval", "code"),
        listed("chat", "Chat", "forum"),
        listed("arena", "Arena", "swords"),
        listed("prompt_sets", "Prompt sets", "checklist"),
        listed("studies", "Studies", "menu_book"),
        listed("add_models", "Add models", "library_add"),
        listed("new_run", "New run", "rocket_launch"),
    ],
    expanded=True,
)
login.way_out()
try:
    chosen.run()
except BakeoffError as error:
    page.failed(error)
