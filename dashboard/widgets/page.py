"""What every page shares: the failed state, links, table downloads."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st
from streamlit.errors import StreamlitPageNotFoundError

from dashboard import escaping
from results.errors import BakeoffError

TO = st.components.v2.component(
    "bakeoff.scroll",
    js="""export default ({ data }) => {
        const look = () => document.querySelector(`.st-key-${data}`)?.scrollIntoView({ block: 'start' })
        requestAnimationFrame(() => requestAnimationFrame(look))
    }""",
)
"""Nothing to see: brings a part of the page into sight."""


def scroll_to(key: str) -> None:
    """Bring the container of a key into sight, once it is drawn."""
    TO(data=key, key=f"scroll-{key}", height=1)


def failed(error: BakeoffError | OSError) -> None:
    """A failure in one sentence, as its message says it; no traceback."""
    st.error(escaping.label(str(error), 600), icon=":material/error:")


def link(to: str, label: str, icon: str | None = None, **query: str) -> None:
    """A link to another page, with what its address shall say; only its words where the page is run alone."""
    try:
        st.page_link(to, label=label, icon=icon, query_params=query or None)
    except StreamlitPageNotFoundError:
        st.caption(label)


def written(write: Callable[..., object], *arguments: object) -> bool:
    """Write something for a visitor. Whether it was; if not, `refusal` says why, since a callback cannot draw."""
    try:
        write(*arguments)
    except (BakeoffError, OSError) as error:
        said = str(error) if isinstance(error, BakeoffError) else f"{error.strerror or error}: {error.filename or ''}"
        st.session_state["refusal"] = f"That was not kept. {said}"
        return False
    return True


def refusal() -> None:
    """What could not be written at the last click, once; its place is there without it, so that nothing moves."""
    place = st.container()
    if said := st.session_state.pop("refusal", ""):
        place.error(escaping.label(said, 600), icon=":material/error:")


def download(make: Callable[[], pd.DataFrame], name: str) -> None:
    """A table as CSV, made when it is asked for, its cells safe to open in a spreadsheet."""
    st.download_button(
        "CSV",
        lambda: escaping.csv(make()),
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"csv-{name}",
    )


def download_answers(make: Callable[[], bytes], name: str) -> None:
    """Answers as JSON Lines, made when they are asked for."""
    st.download_button(
        "Answers as JSON Lines",
        make,
        file_name=f"{name}.jsonl",
        mime="application/jsonl",
        icon=":material/download:",
        on_click="ignore",
        key=f"answers-{name}",
        help="Every model's answer to every item with its verdict: bakeoff import takes them into another store",
    )
