"""`bakeoff publish`: what it prints, what it refuses in one line, and that nothing is written then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bakeoff.main import app
from results import Workspace
from tests.dashboard import stores

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return stores.small(tmp_path / "workspace")


def publish(place: Workspace, folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["publish", *words, "--workspace", str(place.path), "--output", str(folder)])


def test_it_says_what_it_wrote_and_what_is_not_on_the_page(place: Workspace, tmp_path: Path) -> None:
    told = publish(place, tmp_path / "page", "--by", "heldout")
    assert told.exit_code == 0
    assert told.stdout.startswith(f"{tmp_path / 'page' / 'index.html'}: 0.0")
    assert "not on the page: No matrix of items" in told.stderr


def test_published_again_nothing_has_changed(place: Workspace, tmp_path: Path) -> None:
    told = json.loads(publish(place, tmp_path / "page", "--json").stdout)
    assert told["page"] == str(tmp_path / "page" / "index.html") and told["allowed"] == []
    sizes = {one["name"]: one["bytes"] for one in told["files"]}
    first = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()}
    assert {name: len(content) for name, content in first.items()} == sizes
    publish(place, tmp_path / "page")
    assert {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()} == first


def test_the_question_is_asked_as_decide_asks_it(place: Workspace, tmp_path: Path) -> None:
    words = ("demo-rank8", "tiny-base", "--by", "heldout", "--max-size", "0.27")
    publish(place, tmp_path / "page", *words)
    (data,) = (tmp_path / "page").glob("decision-*.json")
    asked = CliRunner().invoke(app, ["decide", *words, "--json", "--workspace", str(place.path)])
    assert json.loads(data.read_text()) == json.loads(asked.stdout)


@pytest.mark.slow
def test_a_path_in_an_answer_is_refused_by_name_and_place_until_it_is_allowed(place: Workspace, tmp_path: Path) -> None:
    with place.store() as store:
        theirs = stores.model("leaky", "adapter", None, 1)
        store.models.add(theirs)
        stores.write_humaneval(store, theirs, 0.5, text="open('/home/ada/keys.txt')")
    words = ["publish", "--workspace", str(place.path), "--output", str(tmp_path / "p")]
    told = subprocess.run(
        [sys.executable, "-m", "bakeoff", *words], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert told.returncode == 2 and told.stdout == ""
    assert told.stderr.count("\n") == 1 and "a private path, /home/ada/keys.txt, in" in told.stderr
    assert "leaky" in told.stderr and "--allow '/home/ada/keys.txt'" in told.stderr
    assert not (tmp_path / "p").exists()
    allowed = publish(place, tmp_path / "p", "--allow", "/home/ada", "--json")
    assert allowed.exit_code == 0
    assert [one["word"] for one in json.loads(allowed.stdout)["allowed"]] == ["/home/ada/keys.txt"]
    assert "allowed: a private path, /home/ada/keys.txt" in allowed.stderr
