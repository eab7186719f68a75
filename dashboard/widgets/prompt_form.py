"""The form of a new prompt set: a name, a file or typed lines, what was read of it and what was not."""

from __future__ import annotations

import streamlit as st

from dashboard import escaping
from dashboard.chat import prompts
from dashboard.chat.prompts import PromptSet, Reading
from dashboard.errors import NoPrompts
from dashboard.views import prompting
from dashboard.widgets import drafts, page
from dashboard.widgets.selection import opened

BAD_SHOWN = 5
"""Rows that cannot be read, as many as are listed."""


def show(*, own: bool) -> None:
    """The form, open as long as there is no set of one's own."""
    with st.expander("New set", icon=":material/playlist_add:", expanded=not own, **opened("new-set")):
        left, right = st.columns(2)
        name = drafts.field(left.text_input, "Name of the set", "My prompts", key="set-name", max_chars=80).strip()
        file = left.file_uploader(
            "Drop a file", list(prompts.ENDINGS),
            help="txt: a prompt a line. CSV, TSV, JSON Lines, JSON: a column prompt, question, input or instruction; "
            "whatever `bakeoff evaluate --benchmark FILE` reads of these. With a column of right answers the set "
            "can be measured by, too.",
        )  # fmt: skip
        typed = drafts.field(right.text_area, "Or type or paste them, one a line", "", key="set-typed", height=180)
        if file is None and not (typed or "").strip():
            st.button("Keep this set", icon=":material/save:", disabled=True, key="keep-nothing")
            return
        _read(name, file.getvalue() if file else typed.encode("utf-8", "replace"), file.name if file else "")


def _read(name: str, content: bytes, file: str) -> None:
    """What was read, and the button that keeps it."""
    try:
        text = content.decode("utf-8-sig")
        found = prompts.read(text, file)
    except UnicodeDecodeError:
        st.error(escaping.label(f"{file} is not UTF-8 text: save it as UTF-8", 400), icon=":material/error:")
        return
    except NoPrompts as error:
        page.failed(error)
        return
    right = ", with right answers: it can be measured by" if found.right else ""
    st.caption(escaping.label(f"{len(found.prompts)} prompts read{right}. The first: {found.prompts[0][:200]}", 400))
    if found.bad:
        more = f" and {len(found.bad) - BAD_SHOWN} more" if len(found.bad) > BAD_SHOWN else ""
        told = f"{len(found.bad)} rows cannot be read and are left out: {'; '.join(found.bad[:BAD_SHOWN])}{more}"
        st.warning(escaping.label(told, 900), icon=":material/warning:")
    reserved = name in prompting.sets() and name not in prompting.shelf().sets()
    if reserved:
        st.caption("Another set has that name: choose a different one.")
    st.button(
        "Keep this set", icon=":material/save:", type="primary", on_click=_keep, args=(name, found, text, file),
        disabled=not name or reserved,
    )  # fmt: skip


def _keep(name: str, found: Reading, text: str, file: str) -> None:
    made = PromptSet(name, found.prompts)
    source = (text, file.rpartition(".")[2].lower()) if found.right else ("", "")
    if page.written(prompting.shelf().keep, made, *source):
        st.session_state["asked-set"] = name
        drafts.put("set-typed", "")
