"""The form of a new prompt set: a name, a file or typed lines, what was read of it and what was not."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import escaping
from dashboard.chat import prompts
from dashboard.chat.prompts import PromptSet
from dashboard.errors import NoPrompts
from dashboard.jobs import uploads
from dashboard.views import kept, prompting
from dashboard.widgets import drafts, page
from dashboard.widgets.selection import opened
from results import FileUnreadable, read_bytes

FILE, TYPED = "set-file", "set-typed"
"""Keys of the two fields that hold prompts."""
DROPPED = "set-dropped"
"""Key under which the visitor's dropped file is remembered: no browser gives one back after a reload."""
BAD_SHOWN = 5
"""Rows that cannot be read, as many as are listed."""


def show(*, own: bool) -> None:
    """The form, open as long as there is no set of one's own."""
    with st.expander("New set", icon=":material/playlist_add:", expanded=not own, **opened("new-set")):
        left, right = st.columns(2)
        name = drafts.field(left.text_input, "Name of the set", "My prompts", key="set-name", max_chars=80).strip()
        left.file_uploader(
            "Drop a file", list(prompts.ENDINGS), key=FILE, on_change=_keep_file,
            help="txt: a prompt a line. CSV, TSV, JSON Lines, JSON: a column prompt, question, input or instruction; "
            "whatever `bakeoff evaluate --benchmark FILE` reads of these. With a column of right answers the set "
            "can be measured by, too.",
        )  # fmt: skip
        if st.session_state.get(FILE) is None and (path := _remembered()):
            with left.container(horizontal=True, vertical_alignment="center"):
                st.caption(escaping.label(f"{path.name}, dropped before, is still here"))
                st.button("Take it out", icon=":material/close:", on_click=drafts.remember, args=(DROPPED, None))
        drafts.field(right.text_area, "Or type or paste them, one a line", "", key=TYPED, height=180)
        # Above what was read and never disabled: a button that moves or changes under a click loses it.
        st.button("Keep this set", icon=":material/save:", type="primary", on_click=_keep, args=(name,))
        _told()


def _keep_file() -> None:
    page.written(_dropped)


def _dropped() -> None:
    """Keep the file that was dropped, or forget the one that was taken out. Raises: BakeoffError, OSError."""
    file = st.session_state.get(FILE)
    kept_as = uploads.called(uploads.keep(kept.workspace(), file.name, file.getvalue())) if file else None
    drafts.remember(DROPPED, kept_as)


def _remembered() -> Path | None:
    """The file that was dropped before a reload, as it was kept."""
    return uploads.listed(kept.workspace()).get(str(drafts.remembered(DROPPED)))


def _given() -> tuple[str, str] | None:
    """The text and its file's name, empty for what was typed; None without any. Raises: NoPrompts, FileUnreadable."""
    file, typed = st.session_state.get(FILE), str(st.session_state.get(TYPED) or "")
    path = None if file else _remembered()
    if file is not None:
        name, content = file.name, file.getvalue()
    elif path is not None:
        name, content = path.name, read_bytes(path)
    else:
        return (typed, "") if typed.strip() else None
    try:
        return content.decode("utf-8-sig"), name
    except UnicodeDecodeError as error:
        raise NoPrompts(f"{name} is not UTF-8 text: save it as UTF-8") from error


def _told() -> None:
    """What was read, and what was not."""
    try:
        given = _given()
        found = prompts.read(*given) if given else None
    except (NoPrompts, FileUnreadable) as error:
        page.failed(error)
        return
    if found is None:
        return
    right = ", with right answers: it can be measured by" if found.right else ""
    st.caption(escaping.label(f"{len(found.prompts)} prompts read{right}. The first: {found.prompts[0][:200]}", 400))
    if found.bad:
        more = f" and {len(found.bad) - BAD_SHOWN} more" if len(found.bad) > BAD_SHOWN else ""
        told = f"{len(found.bad)} rows cannot be read and are left out: {'; '.join(found.bad[:BAD_SHOWN])}{more}"
        st.warning(escaping.label(told, 900), icon=":material/warning:")


def _keep(name: str) -> None:
    page.written(_kept, str(st.session_state.get("set-name") or name).strip())


def _kept(name: str) -> None:
    """Keep what is in the form. Raises: NoPrompts, OSError."""
    given = _given()
    if not given:
        raise NoPrompts("There is no prompt yet: drop a file, or type one")
    if not name:
        raise NoPrompts("The set has no name: give it one")
    if name in prompting.sets() and name not in prompting.shelf().sets():
        raise NoPrompts(f"Another set is called {name}: choose a different name")
    text, file = given
    found = prompts.read(text, file)
    source = (text, file.rpartition(".")[2].lower()) if found.right else ("", "")
    prompting.shelf().keep(PromptSet(name, found.prompts), *source)
    st.session_state["asked-set"] = name
    drafts.put(TYPED, "")
    drafts.remember(DROPPED, None)
