"""The scoreboard's table: bars with intervals, buttons that measure, rows that open. Sorted and filled by the server.

Streamlit's own table draws no interval and no button, and is one picture to a screen reader; this is a table of HTML,
whose script sets every text as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

Told = Callable[[str], None]
HERE = Path(__file__).parent
TABLE = st.components.v2.component(
    "bakeoff.board",
    html='<div class="board" tabindex="0" role="region" aria-label="Scoreboard"></div>',
    css=(HERE / "board.css").read_text(encoding="utf-8"),
    js=(HERE / "board.js").read_text(encoding="utf-8"),
    isolate_styles=False,  # its texts are the page's, and it is drawn in the page's fonts
)


KEY = "board"


def show(payload: Mapping[str, Any], on_open: Told, on_sort: Told, on_measure: Callable[[str, str], None]) -> None:
    """Draw what `views.board.payload` made.

    Each is told what was clicked, before the page is drawn anew: a row's id; a column's key; both. They come from the
    browser, so they are to be looked up before they are used.
    """

    def clicked(event: str) -> Any:
        return getattr(st.session_state.get(KEY), event, None)

    def measured() -> None:
        pair = clicked("measure")
        if isinstance(pair, list) and len(pair) == 2:
            on_measure(str(pair[0]), str(pair[1]))

    TABLE(
        key=KEY,
        data=dict(payload),
        on_open_change=lambda: on_open(str(clicked("open") or "")),
        on_sort_change=lambda: on_sort(str(clicked("sort") or "")),
        on_measure_change=measured,
    )
