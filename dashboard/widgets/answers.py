"""Models' words on a page, always inert: one answer, several side by side, the difference of two."""

from __future__ import annotations

import difflib
import html
from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard import escaping, palette
from dashboard.chat import prose
from dashboard.views import data
from dashboard.widgets.addressed import URL, opened

SIDES = 9
"""Answers side by side: of more models the reader says whose."""


CSS = """
.prose p, .prose ul, .prose ol, .prose table, .prose blockquote { margin: 0 0 0.6rem; }
.prose, .word-difference { overflow-wrap: anywhere; }
.prose pre { white-space: pre-wrap; }
.prose table { display: block; overflow-x: auto; border-collapse: collapse; }
.prose th, .prose td { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: 0.2rem 0.5rem; }
.prose blockquote { border-left: 3px solid color-mix(in srgb, currentColor 25%, transparent); padding-left: 0.8rem; }
.word-difference { white-space: pre-wrap; }
.word-difference del { background: color-mix(in srgb, #d55e00 25%, transparent); }
.word-difference ins { background: color-mix(in srgb, #009e73 25%, transparent); }
[data-testid="stLayoutWrapper"]:has(> [class*="st-key-head-"]) {
  position: sticky; top: 0; z-index: 2; padding: 0.5rem 0 0.2rem;
  background: Canvas;
}
@media (max-width: 640px) { [data-testid="stLayoutWrapper"]:has(> [class*="st-key-head-"]) { top: 3.75rem; } }
"""
"""How models' words are set, and that the name of who says them stays in sight."""


def model_name(name: str) -> None:
    """A model's name behind a dot of its colour."""
    style = data.styles().get(data.model_ids().get(name, ""), palette.Style(palette.GREY))
    st.html(f'<span style="color:{style.colour}" aria-hidden="true">●</span> <strong>{html.escape(name)}</strong>')


def model_text(text: str, folded: bool = False) -> None:
    """A model's words, inert: prose as plain text, code with its highlighting. folded: a long one scrolls in a box."""
    with st.container(height=360 if folded and (len(text) > 800 or text.count("\n") > 16) else "content", border=False):
        for each in escaping.parts(text):
            part(st, each)
        if len(text) > escaping.SHOWN_CHARACTERS:
            st.caption(f"{len(text) - escaping.SHOWN_CHARACTERS:,} more characters are not shown.")


def part(place: Any, shown: escaping.Part) -> None:
    """One part of a model's words, in a place of the page or in `st`, the present one."""
    if shown.code:
        place.code(shown.body, language=shown.language or None, wrap_lines=True)
    elif (readable := prose.readable(shown.body)) is not None:
        place.html(readable)
    else:
        place.text(shown.body)


def side_by_side(found: Mapping[str, Mapping[str, object]]) -> None:
    """Answers of several models to one prompt, two or three in a row, and the difference of two."""
    every = names = list(found)
    if len(every) > SIDES:
        names = st.multiselect("Answers of", every, every[:SIDES], key="sides", bind=URL, max_selections=SIDES)
    across = 2 if len(names) in (2, 4) else 3
    for start in range(0, len(names), across):
        for column, name in zip(st.columns(across), names[start : start + across], strict=False):
            with column:
                answer(name, found[name])
    if len(every) > 1:
        with st.expander("Difference between two answers", icon=":material/difference:", **opened("differ")):
            left, right = st.columns(2)
            a = left.selectbox("From", every, key="diff-a", bind=URL)
            b = right.selectbox("To", every, index=1, key="diff-b", bind=URL)
            difference(
                str(found[a].get("code") or found[a].get("answer") or ""),
                str(found[b].get("code") or found[b].get("answer") or ""),
            )


def answer(name: str, row: Mapping[str, object]) -> None:
    """One model's answer: verdict, words, what did not hold."""
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
    if row.get("how"):
        st.caption(str(row["how"]))
    if row.get("message"):
        st.caption("What did not hold")
        st.code(str(row["message"])[:4000], language=None, wrap_lines=True)


def difference(a: str, b: str) -> None:
    """Two texts as one by words, what went struck out and what came underlined; long ones by lines. Inert."""
    if a == b:
        st.caption("The two are the same.")
        return
    if (marked := prose.marked(escaping.upright(a), escaping.upright(b))) is not None:
        st.html(marked)
        return
    lines = difflib.unified_diff(a.splitlines(), b.splitlines(), "from", "to", lineterm="", n=3)
    st.code("\n".join(lines), language="diff")
