"""Commands that only read make nothing, in a mistyped workspace least of all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.main import VERBS, app
from results import Workspace
from results.errors import NotFound

READERS = {
    "models": "", "runs": "", "status": "", "rename": "a b", "scores": "", "compare": "a b", "decide": "",
    "judge": "a b --name c", "score": "evaluation", "export": "table.csv", "push": "a ada/a --dry-run",
    "publish": "--output page", "doctor": "--engines a", "store": "info",
}  # fmt: skip
"""Verb -> words after it, with which it reads what is there."""

OTHER_READERS = ("store upgrade", "store export copy.db", "store upload", "store download a")

FIRST = {
    "plan": "experiments/demo.yaml", "import": "experiments --dry-run", "add": "{model} --dry-run",
    "decide": "--study B", "evaluate": "--benchmark {tests} --dry-run",
}  # fmt: skip
"""Verb -> words with which it is asked before there is a store; it answers, and makes none."""

MAKERS = {"demo", "data", "run", "train", "latency", "serve", "dashboard"}
"""Verbs that may begin a workspace, or need none."""


def test_of_every_verb_it_is_known_whether_it_may_begin_a_workspace() -> None:
    assert {verb.rstrip("_") for _, verbs in VERBS.values() for verb in verbs} == {*READERS, *FIRST, *MAKERS}


@pytest.mark.parametrize("words", [*(f"{verb} {more}" for verb, more in READERS.items()), *OTHER_READERS])
@pytest.mark.parametrize("made", [False, True], ids=["no folder", "a folder without a store"])
def test_reading_in_a_mistyped_workspace_names_it_and_makes_nothing(words: str, made: bool, tmp_path: Path) -> None:
    place = tmp_path / "typo"
    if made:
        place.mkdir()
    ended = CliRunner().invoke(app, words.split(), env={"BAKEOFF_WORKSPACE": str(place)})
    assert isinstance(ended.exception, NotFound), ended.output
    assert str(place) in str(ended.exception) and "--workspace" in str(ended.exception)
    assert place.exists() == made and not list(place.glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("verb", FIRST)
def test_what_is_asked_before_the_first_run_is_answered_and_makes_no_store(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    from trainer import miniature

    (tests := tmp_path / "tests.jsonl").write_text(json.dumps({"input": "1 + 1?", "target": "2"}))
    miniature("llama", tmp_path / "model")
    words = [verb, *FIRST[verb].format(tests=tests, model=tmp_path / "model").split()]
    ended = CliRunner().invoke(app, words, env={"BAKEOFF_WORKSPACE": str(tmp_path / "new")})
    assert not isinstance(ended.exception, Exception), ended.exception
    assert ended.output.strip()
    assert not list((tmp_path / "new").glob("results.db*"))


def test_a_store_elsewhere_that_is_not_there_is_not_made_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_DATABASE_URL", f"sqlite:///{tmp_path}/typo.db")
    with pytest.raises(NotFound, match=r"typo\.db"):
        Workspace(tmp_path).existing()
    with Workspace(tmp_path).passing_store() as store:
        assert store.runs.list() == []
    assert not list(tmp_path.iterdir())
