"""Links of the documents: to files and headings that are there. Addresses on the web are not asked."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.names import ROOT, document

LINK = re.compile(r"\]\(([^)\s]+)\)")


def broken(name: str) -> list[str]:
    """A document's links that lead nowhere."""
    return [link for link in links(document(name)) if _leads_nowhere(name, link)]


def links(text: str) -> list[str]:
    """The targets of all links and pictures outside of code."""
    return LINK.findall(re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL))


def headings(text: str) -> set[str]:
    """What a link can name behind `#`, as GitHub makes it of headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        found.add(next(one for one in (anchor, *(f"{anchor}-{n}" for n in range(1, 99))) if one not in found))
    return found


def _leads_nowhere(name: str, link: str) -> bool:
    if re.match(r"https?://[\w.-]+\.\w+(/|$)|mailto:", link):
        return False
    path, _, anchor = link.partition("#")
    target = (ROOT / name).parent / path if path else ROOT / name
    if not target.resolve().is_relative_to(ROOT) or not target.exists():
        return True
    return bool(anchor) and anchor not in headings(Path(target).read_text(encoding="utf-8"))
