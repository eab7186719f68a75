"""Text from models, data and run names, made inert: it runs nothing, fetches nothing, links nowhere.

Streamlit's labels and captions read Markdown, with images, links, LaTeX and colour directives; its charts read a little
HTML; a spreadsheet reads formulas. Every text that Bakeoff did not write passes through here before it is shown.
"""

from __future__ import annotations

import html
import re
from csv import QUOTE_NONNUMERIC
from typing import NamedTuple

import pandas as pd

from results import neutral

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>$:&@=])")
ADDRESS = re.compile(r"(?<=[a-zA-Z]):(?=//)|(?<=www)\.|(?<=WWW)\.|(?<=\w)@(?=[\w-]+\.)")
JOINER = "\u2060"
"""Word joiner: invisible, of no width. The renderer links bare addresses even where every character is escaped."""
FENCE = re.compile(r"^[ \t]{0,3}(```+|~~~+)[ \t]*([A-Za-z0-9_+-]*)[^\n]*$", re.MULTILINE)
DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What turns the direction of the text around it, so that it reads as it is not."""
MARKS = re.compile("([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{8})"
                   "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")  # fmt: skip
"""More marks on one letter than any language has: they would cover the page above it."""
MOST_PARTS = 60
"""Stretches of prose and code of one answer; each is an element of the page. What is beyond is shown as prose."""
SHOWN_CHARACTERS = 40_000
"""So much of an answer is shown: enough to read, too little to hang a browser. The rest can be downloaded."""


class Part(NamedTuple):
    """A stretch of an answer: prose, or code in a named language."""

    code: bool
    body: str
    language: str


def label(text: str, limit: int = 120) -> str:
    """A foreign text as one line of Markdown that reads as itself: every special character is escaped."""
    line = plain(text, limit)
    line = ADDRESS.sub(lambda found: JOINER + found.group() + JOINER, line)
    return MARKDOWN.sub(r"\\\1", line)


def plain(text: object, limit: int = 120) -> str:
    """A foreign text as one line for what shows text as text: a script's `textContent`, a table's cell."""
    line = upright(" ".join(str(text).split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def chart_label(text: str, limit: int = 60) -> str:
    """A foreign text for Plotly, which reads a few HTML tags and, between dollar signs, LaTeX."""
    line = plain(text, limit)
    return html.escape(line, quote=False).replace("$", "&#36;")


def upright(text: str) -> str:
    """A foreign text that stays in its line and direction: overrides as escapes, at most eight marks on a letter."""
    return MARKS.sub(
        lambda found: f"{found[1]}(+{len(found[0]) - 8} marks)",
        DIRECTION.sub(lambda found: f"\\u{ord(found[0]):04x}", text),
    )


def parts(text: str, limit: int = SHOWN_CHARACTERS) -> list[Part]:
    """An answer split at its code fences; an unclosed fence (a stream in progress) runs to the end."""
    text = upright(text[:limit].replace("\x00", "\ufffd"))
    found: list[Part] = []
    position, inside, language = 0, "", ""
    for fence in FENCE.finditer(text):
        if len(found) >= MOST_PARTS and not inside:
            break
        mark = fence.group(1)
        if inside and (mark[0] != inside[0] or len(mark) < len(inside) or fence.group(2)):
            continue  # a fence inside another's code
        body = text[position : fence.start()].strip("\n")
        if body.strip():
            found.append(Part(bool(inside), body, language))
        inside, language = ("", "") if inside else (mark, fence.group(2).lower())
        position = fence.end()
    rest = text[position:].strip("\n")
    if rest.strip():
        found.append(Part(bool(inside), rest, language))
    return found


def csv(frame: pd.DataFrame) -> bytes:
    """A table as CSV (UTF-8, with the mark that Excel wants), its cells and headings neutralised."""
    safe = frame.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = safe[column].map(neutral)
    safe.columns = [str(neutral(str(name))) for name in safe.columns]
    # Every text in quotes: pandas leaves a lone carriage return bare, which would begin a row.
    return safe.to_csv(index=False, quoting=QUOTE_NONNUMERIC).encode("utf-8-sig", "replace")
