"""A published page as a browser reads its source: elements with their attributes, texts, blocks of data."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class Source(HTMLParser):
    """`Source(html)` has the elements in order, the text, and what script and style elements hold."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.held: list[tuple[str, dict[str, str | None], str]] = []
        self.said: list[str] = []
        self._inside: tuple[str, dict[str, str | None]] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.held.append((*self._inside, data))
        else:
            self.said.append(data)

    @property
    def text(self) -> str:
        """All that is said, on one line."""
        return " ".join(" ".join(self.said).split())

    @property
    def answers(self) -> Any:
        """The block of answers."""
        return json.loads(next(text for _, attributes, text in self.held if attributes.get("id") == "answers-data"))

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements and the names of their attributes: what no text may change."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]
