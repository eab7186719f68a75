"""What the pages remember of the store: until it is written, and for each function and argument apart."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import results
from dashboard.views import data, kept, settings, voting
from results import Run, RunSummary, Vote, Workspace
from tests.dashboard import stores


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A small store of the test's own, which the pages read."""
    monkeypatch.delenv("BAKEOFF_DATABASE_URL", raising=False)
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(tmp_path / "workspace"))
    return stores.small(tmp_path / "workspace")


def test_what_nobody_wrote_is_read_once_and_what_was_written_is_seen(workspace: Workspace) -> None:
    kept.store().votes.list()  # opening it writes: SQLite's log appears beside it
    read = []

    @kept.until_written(4)
    def votes(judge: str) -> int:
        read.append(judge)
        return len([vote for vote in kept.store().votes.list() if vote.judge == judge])

    before = votes("")
    assert votes("") == before and votes("somebody") == 0
    assert read == ["", "somebody"]
    models = [model.id for model in data.models()]
    voting.add(Vote("new", "Why?", models[0], models[1], "so", "thus", "a"))
    assert votes("") == before + 1
    assert read == ["", "somebody", ""]


DYING = """
import sys
from results import Run, Workspace
store = Workspace(sys.argv[1]).store()
store.runs.add(Run("dying", "dying", "demo", "m", {}, seed=0))
store.runs.start("dying")
print("at work", flush=True)
sys.stdin.read()
"""


def test_a_process_that_dies_writes_nothing_and_is_seen(workspace: Workspace) -> None:
    command = [sys.executable, "-c", DYING, str(workspace.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"at work\n"
        assert {row.run.id: row.run.status for row in data.runs()}["dying"] == "running"
        process.kill()
        until = time.monotonic() + 120
        while {row.run.id: row.run.status for row in data.runs()}["dying"] != "stopped":
            assert time.monotonic() < until, "still shown as running"
            time.sleep(0.05)


def test_a_copy_is_each_callers_own_and_what_is_shared_is_one_object(workspace: Workspace) -> None:
    assert voting.votes() is not voting.votes()
    assert data.runs() is data.runs()
    assert all(isinstance(row, RunSummary) for row in data.runs())


@pytest.mark.slow
def test_functions_that_are_kept_alike_are_never_taken_for_each_other(workspace: Workspace) -> None:
    with workspace.store() as store:
        assert voting.votes() == store.votes.list()
        assert data.every_model() == store.models.list()
        assert data.every_score() == store.evaluations.scores()
        assert data.evaluations("latency") == store.evaluations.list(benchmark="latency")
        assert data.evaluations("humaneval") == store.evaluations.list(benchmark="humaneval")


def test_only_settings_that_differ_are_shown_and_an_absent_one_is_a_dash() -> None:
    runs = {
        "a": Run("a", "one", "sweep", "base", {"lora": {"rank": 8}, "training": {"steps": 5}}, seed=0),
        "b": Run("b", "two", "sweep", "base", {"lora": {"rank": 8, "dropout": 0.1}, "training": {"steps": 5}}, seed=1),
    }
    assert settings.differing(runs) == {"lora.dropout": {"a": "–", "b": "0.1"}, "seed": {"a": "0", "b": "1"}}
    assert settings.line({"threads": 2, "max_tokens": 64, "prompts": ["short", "long"], "seconds": 60.0}) == (
        "max tokens 64, prompts short and long, seconds 60, threads 2"
    )


def test_a_judgement_stays_while_what_it_rests_on_does(workspace: Workspace) -> None:
    store, question = kept.store(), results.Question()
    before = data.decision(question)
    run = store.runs.list()[0].run
    store.votes.add(Vote("unrelated", "Why?", data.models()[0].id, data.models()[1].id, "so", "thus", "a"))
    store.runs.edit(run.id, notes="looks good")
    assert data.decision(question) is before
    stores.write_heldout(store, store.models.add(stores.model("new", "gguf-q4_0", None, 5)), 0.5)
    after = data.decision(question)
    assert after is not before and any(one.model == "new" for one in after.candidates)
    store.runs.edit(run.id, archived=True)
    assert len(data.decision(question).candidates) < len(after.candidates)
