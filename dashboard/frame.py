"""What every page shares: the login gate, the empty and failed states, table downloads."""

from __future__ import annotations

import difflib
import html
import time
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import charts, data, inert, jobs, palette
from results.errors import BakeoffError

HEAD_START_SECONDS = 0.3
"""Between a visitor's first still picture and its chart: come together, as a rule the browser shows neither until
Plotly is loaded."""
SIDES = 9
"""Answers side by side: of more models the reader says whose."""


def admitted() -> bool:
    """Whether this visitor may see pages: always, unless `[auth]` is configured and nobody is logged in."""
    try:
        configured = "auth" in st.secrets
    except FileNotFoundError:
        configured = False
    if not configured or st.user.get("is_logged_in"):
        return True
    st.title("Bakeoff")
    st.write("This dashboard is for its team.")
    st.button("Log in", icon=":material/login:", on_click=st.login)
    return False


def way_out() -> None:
    """Who is logged in, and the button that ends it; nothing without a login."""
    if st.user.get("is_logged_in"):
        st.sidebar.caption(inert.label(visitor()))
        st.sidebar.button("Log out", icon=":material/logout:", on_click=st.logout)


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


def chart(figure: go.Figure, key: str, alt: str) -> None:
    """A chart; at a visitor's first look a still picture stands in its place until Plotly has drawn it."""
    with st.container(key=f"chart-{key}", gap=None):
        picture = "" if st.session_state.get(f"{key}-seen") else charts.still(figure)
        st.session_state[f"{key}-seen"] = True
        if picture:
            st.html(picture)
            if not st.session_state.get("pictured"):
                time.sleep(HEAD_START_SECONDS)
            st.session_state["pictured"] = True
        else:
            st.empty()  # the chart keeps its place on the page, and so is not built anew
        st.plotly_chart(figure, config=charts.CONFIG, key=key, alt=alt)


def visitor() -> str:
    """Who is logged in, as votes record it; empty without a login."""
    return str(st.user.get("email") or st.user.get("name") or "") if st.user.get("is_logged_in") else ""


def model_name(name: str) -> None:
    """A model's name behind a dot of its colour."""
    ids = {known: model for model, known in data.model_names().items()}
    style = data.styles().get(ids.get(name, ""), palette.Style(palette.GREY))
    st.html(f'<span style="color:{style.colour}" aria-hidden="true">●</span> <strong>{html.escape(name)}</strong>')


def model_text(text: str, folded: bool = False) -> None:
    """A model's words, inert: prose as plain text, code with its highlighting. folded: a long one scrolls in a box."""
    with st.container(height=360 if folded and (len(text) > 800 or text.count("\n") > 16) else "content", border=False):
        for each in inert.parts(text):
            part(st, each)
        if len(text) > inert.SHOWN_CHARACTERS:
            st.caption(f"{len(text) - inert.SHOWN_CHARACTERS:,} more characters are not shown.")


def part(place: Any, shown: inert.Part) -> None:
    """One part of a model's words, in a place of the page or in `st`, the present one."""
    if shown.code:
        place.code(shown.body, language=shown.language or None, wrap_lines=True)
    else:
        place.text(shown.body)


def jobs_list(kind: str) -> None:
    """The jobs of a kind with their logs; while one runs they refresh themselves."""
    live = any(job.running for job in jobs.find(data.workspace(), kind))
    st.fragment(_jobs, run_every=1.0 if live else None)(kind, live)


def _jobs(kind: str, was_live: bool) -> None:
    found = jobs.find(data.workspace(), kind)[:10]
    if was_live and not any(job.running for job in found):
        st.rerun()
    for position, job in enumerate(found):
        with st.expander(inert.label(f"{job.title}: {job.state()}"), expanded=position == 0):
            st.code(job.log() or "Nothing said yet.", language=None, wrap_lines=True, height=240)
            if job.running:
                st.button("Stop", key=f"stop-{job.name}", icon=":material/stop:", on_click=job.stop)
            elif job.exit_status != 0 and st.button("Resume", key=f"go-{job.name}", icon=":material/play_arrow:"):
                job.start()
                st.rerun()


def answers(found: Mapping[str, Mapping[str, object]]) -> None:
    """One task's prompt, then what each model answered, side by side: verdict, words, code, output of the test."""
    prompt = next((str(row["prompt"]) for row in found.values() if row.get("prompt")), "")
    if prompt:
        st.code(prompt, language="python", wrap_lines=True)
    side_by_side(found)


def side_by_side(found: Mapping[str, Mapping[str, object]]) -> None:
    """Answers of several models to one prompt, two or three in a row, and the difference of two."""
    every = names = list(found)
    if len(every) > SIDES:
        names = st.multiselect("Answers of", every, every[:SIDES], key="sides", max_selections=SIDES)
    across = 2 if len(names) in (2, 4) else 3
    for start in range(0, len(names), across):
        for column, name in zip(st.columns(across), names[start : start + across], strict=False):
            with column:
                _answer(name, found[name])
    if len(every) > 1:
        with st.expander("Difference between two answers", icon=":material/difference:"):
            left, right = st.columns(2)
            a = left.selectbox("From", every, key="diff-a")
            b = right.selectbox("To", every, index=1, key="diff-b")
            difference(
                str(found[a].get("code") or found[a].get("answer") or ""),
                str(found[b].get("code") or found[b].get("answer") or ""),
            )


def _answer(name: str, row: Mapping[str, object]) -> None:
    model_name(name)
    if not row:
        st.caption("Not answered.")
        return
    verdict = str(row.get("verdict") or "")
    if verdict == "passed":
        st.badge("passed", color="green", icon=":material/check:")
    elif verdict:
        st.badge(verdict.replace("_", " "), color="gray" if verdict == "error" else "orange", icon=":material/close:")
    model_text(str(row.get("answer") or ""), folded=True)
    if row.get("message"):
        st.caption("Output of the test")
        st.code(str(row["message"])[:4000], language=None, wrap_lines=True)


def difference(a: str, b: str) -> None:
    """Two texts as a line diff, inert."""
    lines = difflib.unified_diff(a.splitlines(), b.splitlines(), "from", "to", lineterm="", n=3)
    st.code("\n".join(lines) or "The two are the same.", language="diff")
