"""What every page shares: the login gate, the empty and failed states, table downloads."""

from __future__ import annotations

import difflib
import html
from collections.abc import Callable, Mapping

import pandas as pd
import streamlit as st

from dashboard import data, inert, palette
from results.errors import BakeoffError


def admitted() -> bool:
    """Whether this visitor may see pages: always, unless `[auth]` is configured and nobody is logged in."""
    try:
        configured = "auth" in st.secrets
    except FileNotFoundError:
        configured = False
    if not configured or st.user.is_logged_in:
        return True
    st.title("Bakeoff")
    st.write("This dashboard is for its team.")
    st.button("Log in", icon=":material/login:", on_click=st.login)
    return False


def empty(what: str, command: str) -> None:
    """An empty state: what is missing, and the command that makes it. Ends the page."""
    st.info(what, icon=":material/inbox:")
    st.code(command, language="bash")
    st.stop()


def failed(error: BakeoffError) -> None:
    """A failure in one sentence, as its message says it; no traceback."""
    st.error(inert.label(str(error), 600), icon=":material/error:")


def download(make: Callable[[], pd.DataFrame], name: str) -> None:
    """A table as CSV, made when it is asked for, its cells safe to open in a spreadsheet."""
    st.download_button(
        "CSV",
        lambda: inert.csv(make()),
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"csv-{name}",
    )


def visitor() -> str:
    """Who is logged in, as votes record it; empty without a login."""
    return str(st.user.get("email") or st.user.get("name") or "") if st.user.get("is_logged_in") else ""


def model_name(name: str) -> None:
    """A model's name behind a dot of its colour."""
    ids = {known: model for model, known in data.model_names().items()}
    style = data.styles().get(ids.get(name, ""), palette.Style(palette.GREY))
    st.html(f'<span style="color:{style.colour}" aria-hidden="true">●</span> <strong>{html.escape(name)}</strong>')


def model_text(text: str, height: int | None = None) -> None:
    """A model's words, inert: prose as plain text, code with its highlighting."""
    with st.container(height=height or "content", border=False):
        for part in inert.parts(text):
            if part.code:
                st.code(part.body, language=part.language or None, wrap_lines=True)
            else:
                st.text(part.body)
        if len(text) > inert.SHOWN_CHARACTERS:
            st.caption(f"{len(text) - inert.SHOWN_CHARACTERS:,} more characters are not shown.")


def answers(found: Mapping[str, Mapping[str, object]]) -> None:
    """One task's prompt, then what each model answered, side by side: verdict, words, code, output of the test."""
    prompt = next((str(row["prompt"]) for row in found.values() if row.get("prompt")), "")
    if prompt:
        st.code(prompt, language="python", wrap_lines=True)
    names = list(found)
    for start in range(0, len(names), 3):
        for column, name in zip(st.columns(3), names[start : start + 3], strict=False):
            with column:
                _answer(name, found[name])
    if len(names) > 1:
        with st.expander("Difference between two answers", icon=":material/difference:"):
            left, right = st.columns(2)
            a = left.selectbox("From", names, key="diff-a")
            b = right.selectbox("To", names, index=1, key="diff-b")
            difference(
                str(found[a].get("code") or found[a].get("answer") or ""),
                str(found[b].get("code") or found[b].get("answer") or ""),
            )


def _answer(name: str, row: Mapping[str, object]) -> None:
    st.markdown(f"**{inert.label(name)}**")
    if not row:
        st.caption("Not answered.")
        return
    verdict = str(row.get("verdict") or "no verdict")
    if verdict == "passed":
        st.badge("passed", color="green", icon=":material/check:")
    else:
        st.badge(verdict.replace("_", " "), color="gray" if verdict == "error" else "orange", icon=":material/close:")
    model_text(str(row.get("answer") or ""), height=300)
    if row.get("message"):
        st.caption("Output of the test")
        st.code(str(row["message"])[:4000], language=None, wrap_lines=True)


def difference(a: str, b: str) -> None:
    """Two texts as a line diff, inert."""
    lines = difflib.unified_diff(a.splitlines(), b.splitlines(), "from", "to", lineterm="", n=3)
    st.code("\n".join(lines) or "The two are the same.", language="diff")
