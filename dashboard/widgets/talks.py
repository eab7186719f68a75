"""The visitor's conversations: which one the page shows, the list beside it, its name, its end."""

from __future__ import annotations

import streamlit as st

from dashboard import escaping
from dashboard.chat.conversation import Conversation
from dashboard.chat.shelf import FOLDER, Shelf, Title
from dashboard.views import kept
from dashboard.widgets import drafts, login, page
from dashboard.widgets.selection import URL

LISTED = 12
"""Conversations in the list; the others are found by more clicks."""


def shelf() -> Shelf:
    """The workspace's conversations."""
    return Shelf(kept.workspace().path / FOLDER)


def present() -> Conversation:
    """The conversation that the address names, else the one at hand, else a new one."""
    talk: Conversation | None = st.session_state.get("conversation")
    named = st.query_params.get("chat", "")
    if named and (talk is None or talk.id != named):
        found = shelf().find(named, login.person())
        if found is None:
            st.info("There is no such conversation here, or it is another visitor's.", icon=":material/inbox:")
            del st.query_params["chat"]
        else:
            talk = found
            drafts.put("system", talk.system)
    if talk is None:
        talk = shelf().new(login.person())
    st.session_state["conversation"] = talk
    if talk.turns:
        st.query_params["chat"] = talk.id
    return talk


def listing(talk: Conversation) -> None:
    """The list in the sidebar."""
    with st.sidebar, st.container(key="talks"):
        st.button("New conversation", icon=":material/add_comment:", on_click=_new, width="stretch")
        found = shelf().titles(login.person())
        every = len(found) <= LISTED or st.toggle(f"All {len(found)} conversations", key="talks-all", bind=URL)
        for one in found if every else found[:LISTED]:
            st.button(
                escaping.label(one.title, 60) or "…",
                key=f"talk-{one.id}",
                type="secondary" if one.id == talk.id else "tertiary",
                on_click=_open,
                args=(one,),
                width="stretch",
            )


def about(talk: Conversation) -> None:
    """Its name and its end, in a popover; that it cannot be kept, where that is so."""
    if talk.unkept:
        st.warning(escaping.label(f"This conversation is not kept: {talk.unkept}", 400), icon=":material/save:")
    with st.popover("Conversation", icon=":material/edit_note:"):
        title = st.text_input("Name", talk.name, max_chars=80, key=f"title-{talk.id}").strip()
        if title != talk.name:
            talk.title = title
            shelf().keep(talk)
            st.rerun()
        st.button("Delete this conversation", icon=":material/delete:", on_click=_remove, args=(talk,))


def _new() -> None:
    st.session_state.pop("conversation", None)
    drafts.put("system", "")
    st.query_params.pop("chat", None)


def _open(one: Title) -> None:
    talk = shelf().find(one.id, login.person())
    if talk is None:  # deleted meanwhile, in another tab
        return
    st.session_state["conversation"] = talk
    drafts.put("system", talk.system)
    st.query_params["chat"] = talk.id
    if talk.models:
        st.session_state["panes"] = len(talk.models)
    for number, model in enumerate(talk.models, 1):
        st.session_state[f"model{number}"] = model


def _remove(talk: Conversation) -> None:
    if page.written(shelf().remove, talk.id, login.person()):
        _new()
