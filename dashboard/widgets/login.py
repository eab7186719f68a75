"""The login gate: who may see pages, and who is looking."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec

import streamlit as st

from dashboard import escaping
from results import needs

COOKIE = "bakeoff_visitor"
"""Tells one browser from another where nobody logs in (`dashboard.app_server`)."""


def admitted() -> bool:
    """Whether this visitor may see pages: always, unless `[auth]` is configured and nobody is logged in."""
    try:
        configured = "auth" in st.secrets
    except FileNotFoundError:
        configured = False
    if not configured or st.user.get("is_logged_in"):
        return True
    st.title("Bakeoff")
    if find_spec("authlib") is None:
        st.error(f"Nobody can log in: {needs('authlib')}")
        return False
    st.write("Log in to see this dashboard.")
    st.button("Log in", icon=":material/login:", on_click=st.login)
    return False


def way_out() -> None:
    """Who is logged in, and the button that ends it; nothing without a login."""
    if st.user.get("is_logged_in"):
        st.sidebar.caption(escaping.label(visitor()))
        st.sidebar.button("Log out", icon=":material/logout:", on_click=st.logout)


def person() -> str:
    """Whose conversations these are: who is logged in, else this browser's. Empty where neither is known."""
    browser = str(st.context.cookies.get(COOKIE, ""))
    return visitor() or (f"browser {hashlib.sha256(browser.encode()).hexdigest()[:24]}" if browser else "")


def visitor() -> str:
    """Who is logged in, as votes record it; empty without a login."""
    return str(st.user.get("email") or st.user.get("name") or "") if st.user.get("is_logged_in") else ""
