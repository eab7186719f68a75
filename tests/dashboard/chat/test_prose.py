"""Prose is read as Markdown without a link, an image or a tag of its own; code stays letter by letter."""

from __future__ import annotations

import re

import pytest

from dashboard.chat.prose import WORDS, marked, readable


def test_prose_has_its_lists_emphasis_tables_and_lines() -> None:
    read = readable("# Steps\nFirst **this**,\nthen `that`.\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    assert read is not None
    for part in ("<strong>Steps</strong>", "<strong>this</strong>,<br />", "<code>that</code>", "<ol>", "<td>1</td>"):
        assert part in read, read
    assert not re.search("<h[1-6]", read), "the outline of the page is the page's own"


@pytest.mark.parametrize(
    "hostile",
    [
        "![x](http://127.0.0.1:9/p.png)",
        "[x](javascript:window.hacked=1)",
        "<img src=x onerror=window.hacked=1>",
        "<http://127.0.0.1:9/>",
        "[x]: http://127.0.0.1:9/\n\n[x]",
        "<style>body { display: none }</style>",
        "a <b onclick=alert(1)>b</b>",
        "| <svg onload=x> | b |\n|---|---|\n| [a](http://127.0.0.1:9) | ![](//127.0.0.1:9) |",
    ],
)
def test_no_tag_has_an_attribute_and_nothing_is_lost(hostile: str) -> None:
    read = readable(hostile)
    assert read is not None
    tags = re.findall(r"<[^>]*>", read.removeprefix('<div class="prose">'))
    assert all(re.fullmatch(r"</?[a-z]+( /)?>", tag) for tag in tags), tags
    assert not {"a", "img", "svg", "style", "b"} & {tag.strip("</> ") for tag in tags}
    shown = re.sub(r"<[^>]*>", "", read)
    assert ("127.0.0.1:9" in shown) == ("127.0.0.1:9" in hostile)


@pytest.mark.parametrize(
    "code",
    [
        "def add(a, b):\n    return a + b",
        "import os\nprint(os.getcwd())",
        "if __name__ == '__main__':\n    main()",
        "    return a + b",
        "for (int i = 0; i < 3; i++) {\n}",
        "SELECT a\nFROM b;",
    ],
)
def test_code_outside_of_a_fence_is_shown_as_it_stands(code: str) -> None:
    assert readable(code) is None


@pytest.mark.parametrize(
    "prose", ["For example:\n\n- one\n  - two", "If you return it, we refund you.", "* while it lasts", "Use the key."]
)
def test_prose_with_words_of_code_is_prose(prose: str) -> None:
    assert readable(prose) is not None


def test_two_texts_are_compared_by_words_and_lose_none() -> None:
    read = marked("The sky is <blue>.", "The sky was very <blue>.")
    assert read is not None and "<del>is</del>" in read and "&lt;blue&gt;" in read.replace("</ins>", "")
    without = re.sub("<del>.*?</del>", "", read)
    assert re.sub("<[^>]*>", "", without) == "The sky was very &lt;blue&gt;."
    assert marked("a " * WORDS, "b " * WORDS) is None
