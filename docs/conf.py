"""The documents as a site: `make site`, then build/site/index.html. Loads nothing from elsewhere.

Nothing here is needed to read them: the navigation is made of the lists in docs/index.md, which are plain links.
"""

from __future__ import annotations

import re
from typing import Any

project = "Bakeoff"
author = "The Bakeoff developers"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "Bakeoff"
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 3
exclude_patterns = ["conf.py"]
highlight_language = "text"
suppress_warnings = ["misc.highlighting_failure"]

SECTION = re.compile(r"^## (.+)\n((?:(?!^## ).*\n)*)", re.MULTILINE)
LINK = re.compile(r"^- \[[^\]]+\]\(([^)]+)\.md\)", re.MULTILINE)


def with_navigation(_: object, name: str, source: list[str]) -> None:
    """Give the first page a table of contents a section, of the links that stand in it."""
    if name == "index":
        for caption, body in SECTION.findall(source[0] + "\n"):
            pages = "\n".join(LINK.findall(body))
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n"


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("source-read", with_navigation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
