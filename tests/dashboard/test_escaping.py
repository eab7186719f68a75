"""Foreign text stays text: in Markdown, in charts, in code fences, in CSV."""

from __future__ import annotations

import csv
import io
import re

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dashboard import escaping
from results.export import begins_formula
from tests.dashboard.stores import HOSTILE

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def kinds(text: str) -> set[str]:
    """Kinds of tokens, blocks and inline, that a Markdown renderer sees in a text."""
    tokens = READER.parse(text)
    return {token.type for token in tokens} | {child.type for token in tokens for child in token.children or []}


@given(st.text())
def test_a_label_is_nothing_but_text(text: str) -> None:
    assert kinds(escaping.label(text)) <= {"paragraph_open", "paragraph_close", "inline", "text"}


def test_without_escaping_the_renderer_would_see_more() -> None:
    assert {"image", "html_inline"} <= kinds("x " + " ".join(HOSTILE.split()))


@given(st.text(alphabet=st.sampled_from("htps:/w.a@b c"), max_size=40))
def test_a_label_holds_no_address_that_could_be_linked(text: str) -> None:
    label = escaping.label(f"http://{text} www.{text} a@b.c").replace("\\", "")
    assert not re.search(r"https?://|www\.|\w@\w+\.\w", label, re.IGNORECASE)


@given(st.text())
def test_a_chart_label_has_no_tag_and_no_formula(text: str) -> None:
    shown = escaping.chart_label(text)
    assert "<" not in shown
    assert "$" not in shown


def test_prose_and_code_are_told_apart() -> None:
    parts = escaping.parts("Before\n```python\nx = 1\n```\nAfter")
    assert [(part.code, part.body, part.language) for part in parts] == [
        (False, "Before", ""),
        (True, "x = 1", "python"),
        (False, "After", ""),
    ]


def test_an_open_fence_runs_to_the_end() -> None:
    assert escaping.parts("```\nx = 1\ny")[-1] == escaping.Part(True, "x = 1\ny", "")


@given(st.text())
def test_parts_lose_no_word(text: str) -> None:
    shown = " ".join(part.body for part in escaping.parts(text))
    for word in escaping.upright(text.replace("\x00", "\ufffd")).split():
        if "`" not in word and "~" not in word and "```" not in text and "~~~" not in text:
            assert word in shown


def test_a_huge_answer_is_cut() -> None:
    assert sum(len(part.body) for part in escaping.parts("x" * 5_000_000)) <= escaping.SHOWN_CHARACTERS


def test_an_answer_stays_in_its_place_and_direction() -> None:
    (shown,) = escaping.parts("e" + "\u0301" * 1_000_000)
    assert shown.body.count("\u0301") == 8 and "marks)" in shown.body
    (code,) = escaping.parts("```python\nif admin:\u202e\u2066 # no\n```")
    assert code.body == "if admin:\\u202e\\u2066 # no" and escaping.label("a\u202eb") == r"a\\u202eb"
    assert escaping.parts("Tiếng Việt, עברית\u200f")[0].body == "Tiếng Việt, עברית\u200f"


def test_an_answer_of_nothing_but_fences_is_few_elements() -> None:
    found = escaping.parts("```mermaid\na\n```\n" * 5_000)
    assert len(found) == escaping.MOST_PARTS + 1 and not found[-1].code and found[-1].body.startswith("```mermaid")


@given(st.lists(st.text(min_size=1), min_size=1))
def test_no_cell_of_a_csv_begins_a_formula(values: list[str]) -> None:
    frame = pd.DataFrame({"=name": values, "number": [-1.5] * len(values)})
    rows = list(csv.reader(io.StringIO(escaping.csv(frame).decode("utf-8-sig", "replace"), newline="")))
    assert rows[0][0] == "'=name"
    for row in rows[1:]:
        assert not begins_formula(row[0])
        assert float(row[1]) == -1.5
