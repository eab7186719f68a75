"""A model's prose as it is meant to be read: its Markdown as a few harmless tags, its code letter by letter.

Nothing in it links, loads or runs: there are no links, images or HTML, and every tag is one of ours without attributes.
What looks like code outside of a fence is shown as it stands: Markdown would take its indentation and underscores.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

CODE = re.compile(
    r"^( {2,}|\t)?(def|class|import|from|return|raise|if|elif|else|for|while|with|try|except|print|assert|async|await|"
    r"const|let|var|function|public|private|static|struct|fn|use|package|SELECT|INSERT|UPDATE)\b.*[:;{})\]=\"']\s*$"
    r"|^\s*(from \S+ )?import \S+\s*$|^ {2,}return\b|__\w+__|^\s*@\w+|^\s*#include\b|;\s*$|^\s*[})\]]+;?\s*$",
    re.MULTILINE,
)
"""A line that is likelier code than prose."""
WORD = re.compile(r"\s+|\w+|[^\w\s]")
WORDS = 6_000
"""Words of two texts up to which they are compared word by word; beyond, the comparison would take seconds."""


def readable(text: str) -> str | None:
    """The HTML of a stretch of prose; None for what is to be shown as it stands."""
    return None if CODE.search(text) else _rendered(text)


@lru_cache(maxsize=512)
def _rendered(text: str) -> str:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    reader.disable(["link", "image", "autolink", "html_inline", "html_block", "reference", "code"])
    tokens = reader.parse(text)
    _level(tokens)
    return f'<div class="prose">{reader.renderer.render(tokens, reader.options, {})}</div>'


def _level(tokens: list[Token]) -> None:
    """A model's headings are bold lines: the page's outline is the page's own. Numbers of lists stay as they are."""
    for position, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = "p"
            if token.type == "heading_open":
                inside = tokens[position + 1].children or []
                inside.insert(0, Token("strong_open", "strong", 1))
                inside.append(Token("strong_close", "strong", -1))


def marked(text: str, other: str) -> str | None:
    """Two texts as one, in HTML: what only the first has struck out, what only the second has underlined.

    None for texts too long to be compared by words.
    """
    import difflib

    before, after = WORD.findall(text), WORD.findall(other)
    if len(before) + len(after) > WORDS:
        return None
    pieces = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what == "equal":
            pieces.append(html.escape("".join(before[a:b])))
            continue
        gone, come = html.escape("".join(before[a:b])), html.escape("".join(after[c:d]))
        pieces.append((f"<del>{gone}</del>" if gone else "") + (f"<ins>{come}</ins>" if come else ""))
    return f'<div class="word-difference">{"".join(pieces)}</div>'
