"""Documents name files, settings, commands and names of the code that are there; the map of the house is lint's."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.names import ROOMS, ROOT, absent, document, quoted

DOCUMENTS = [
    "README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/dashboard.md", "docs/beyond_one_machine.md",
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))),
]  # fmt: skip
ELSEWHERE = {
    "README.md": {"./workspace"},
    "CONTRIBUTING.md": {"patch()"},
    "docs/dashboard.md": {"[auth]", "WORKSPACE/.streamlit/secrets.toml", "WORKSPACE/jobs/"},
    "docs/decisions/training.md": {"weights_only"},
}
"""Names in a document that are of other programs and formats."""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_document_names_is_there(name: str) -> None:
    named = quoted(document(name))
    assert named
    assert [token for token in named if token not in ELSEWHERE.get(name, ()) and absent(token)] == []


def storeys() -> dict[str, list[set[str]]]:
    """Room → its storeys from the top, as the map draws them."""
    drawn = document("docs/architecture.md").split("```text\n")[1].split("```")[0]
    found: dict[str, list[set[str]]] = {}
    for line in drawn.splitlines():
        if room := re.match(r"(\w+)/", line):
            found[room[1]] = []
        elif storey := re.match(r"  (\w+(?: · \w+)*)", line):
            found[list(found)[-1]].append(set(storey[1].split(" · ")))
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_draws_the_storeys_that_lint_holds(room: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [one["layers"] for one in contracts if one["name"].startswith(f"{room}, its storeys")]
    held = [{part.strip().removeprefix(f"{room}.") for part in re.split(r"[:|]", layer)} for layer in layers]
    assert storeys()[room] == held


def test_the_tree_in_the_readme_is_the_repository() -> None:
    tree = re.findall(r"^([\w]+)/ ", document("README.md").split("## Where things are")[1], re.MULTILINE)
    folders = {path.name for path in Path(ROOT).iterdir() if path.is_dir() and any(path.glob("[!.]*"))}
    assert set(tree) == {name for name in folders if name[0] not in "._" and name in _tracked()}


def _tracked() -> set[str]:
    return {*ROOMS, "experiments", "tests", "benchmarks", "docs"}
