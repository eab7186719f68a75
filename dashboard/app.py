"""The app's script: the gate, the navigation, the page. Run for each visitor by app_server.py."""

from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import charts
from dashboard.widgets import frame, login, page
from results.errors import BakeoffError

FOLDER = Path(__file__).parent
PAGES = FOLDER / "app_pages"
# A file of our own: Streamlit fetches a `:material/…:` page icon from a font server on the internet.
st.set_page_config(page_title="Bakeoff", page_icon=FOLDER / "icon.png", layout="wide")

# Streamlit's colour for these parts of code has less contrast than WCAG asks for, and no theme option reaches it.
st.html(
    "<style>.token.atrule, .token.operator, .token.entity, .token.number, .token.boolean, .token.decorator"
    f" {{ color: inherit !important; }} {charts.CSS}"
    # White on the dark theme's accent is hard to read, and Streamlit has no option for what stands on it.
    "@media (prefers-color-scheme: dark) { :is([data-tag], [data-testid=stBaseButton-primary]:enabled),"
    " :is([data-tag], [data-testid=stBaseButton-primary]:enabled) * { color: #14151A !important; } }"
    ".stMain h2 { font-size: 1.4rem; }"
    "@media (min-width: 700px) { .stMainBlockContainer { padding-left: 2.5rem; padding-right: 2.5rem; } }</style>"
)


DECIDES = frozenset(("by", "margin", "machine", "ttft_seconds_p90", "tokens_per_second", "peak_rss_bytes", "bytes"))
"""What the address of a decision says: until Home was the first page, such a link had no page's name in it."""


def listed(name: str, title: str, icon: str, **more: Any) -> Any:
    """One page of `app_pages/`."""
    return st.Page(PAGES / f"{name}.py", title=title, icon=f":material/{icon}:", **more)


if not login.admitted():
    st.stop()

# One list, without sections: Streamlit's sections put headings into the list, which screen readers stumble over.
HOME = listed("home", "Home", "home", default=True)
DECIDE = listed("decide", "Decide", "verified")
chosen = st.navigation(
    [
        HOME,
        DECIDE,
        listed("scores", "Scores", "leaderboard"),
        listed("latency", "Latency", "timer"),
        listed("loss_curves", "Loss curves", "show_chart"),
        listed("chat", "Chat", "forum"),
        listed("arena", "Arena", "swords"),
        listed("new_run", "New run", "rocket_launch"),
        # Reached from other pages, and by their old addresses.
        listed("humaneval", "Scores", "leaderboard", visibility="hidden"),
        listed("runs", "Runs", "table_rows", visibility="hidden"),
        listed("prompt_sets", "Prompt sets", "checklist", visibility="hidden"),
        listed("studies", "Studies", "menu_book", visibility="hidden"),
        listed("add_models", "Add models", "library_add", visibility="hidden"),
    ],
    expanded=True,
)
login.way_out()
try:
    frame.sidebar()
    if chosen is HOME and DECIDES.intersection(st.query_params):
        st.switch_page(DECIDE, query_params=dict(st.query_params))
    chosen.run()
except (BakeoffError, OSError) as error:  # a store or folder that may only be read, for example
    page.failed(error)
