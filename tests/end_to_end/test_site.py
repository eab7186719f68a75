"""The site is built of the documents without a warning, and its navigation leads to each of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import DOCUMENTS
from tests.docs.names import ROOT, document

BUILDER = shutil.which("sphinx-build") or shutil.which(ROOT / "build" / "site-tools" / "bin" / "sphinx-build")


@pytest.mark.slow
@pytest.mark.skipif(BUILDER is None, reason="no sphinx-build: make site installs it")
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(BUILDER), "-q", "-W", "--keep-going", "-b", "html", ROOT / "docs", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    first = (tmp_path / "index.html").read_text()
    pages = [name.removeprefix("docs/").replace(".md", ".html") for name in DOCUMENTS if name.startswith("docs/")]
    assert [page for page in pages if page != "index.html" and f'href="{page}"' not in first] == []
    assert [word for word in ("Tutorial", "How-to", "Reference", "Explanation") if f">{word}</span>" not in first] == []
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'<(?:script|img|link|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]+"', text) == [], page.name


def test_the_sections_of_the_first_page_are_those_of_the_navigation() -> None:
    assert re.findall(r"^## (.+)$", document("docs/index.md"), re.MULTILINE) == [
        "Tutorial", "How-to", "Reference", "Explanation",
    ]  # fmt: skip
