"""Measurements of quality are found again on any machine; latency is not. Answers without a sandbox wait for one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from evaluator import (
    evaluate_heldout,
    evaluate_humaneval,
    evaluate_stopping,
    recording,
    rescore_stored,
    sandbox_available,
)
from evaluator.sandbox.bubblewrap import sandbox_description
from results import Machine, Model, Outcome, Score, Store, Workspace, decide, digest, form_costs
from tests.evaluator.test_measurements import ROWS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not sandbox_available()[0], reason=f"no sandbox: {sandbox_available()[1]}"),
]

FEW = {"tasks": 3, "max_tokens": 12}


@pytest.fixture
def model(store: Store, base: Path) -> Model:
    return store.models.add(Model("base-1", "base", "base", "mini", "b" * 64, 1, str(base)))


def never(*_: object) -> None:
    raise AssertionError("it was measured again")


@pytest.mark.parametrize("measurement", ["humaneval", "stopping", "heldout"])
def test_a_measurement_of_another_machine_is_found(
    store: Store, workspace: Workspace, model: Model, measurement: str
) -> None:
    def measured(progress: object = None) -> object:
        if measurement == "heldout":
            return evaluate_heldout([model], ROWS, store, workspace, progress)  # type: ignore[arg-type]
        if measurement == "stopping":
            wanted = {"prompts": "study-d", "max_tokens": 4}
            return evaluate_stopping([model], store, workspace, wanted, progress)  # type: ignore[arg-type]
        return evaluate_humaneval([model], store, workspace, FEW, progress)  # type: ignore[arg-type]

    (first,) = measured()  # type: ignore[misc]
    far = Store(f"sqlite:///{workspace.path / 'far.db'}")
    far.models.add(model)
    far.machines.add(Machine("far", "a CPU", (), 2, 1, "", "Linux"))
    # as an earlier version stored it, the machine in its id
    old = digest([model.id, model.identity, measurement, dict(first.settings), first.subset, "far"])[:24]
    far.evaluations.begin(dataclasses.replace(first, id=old, machine_id="far"))
    far.evaluations.add_outcomes(old, store.evaluations.outcomes(first.id))
    done = far.evaluations.finish(old, first.scores)
    store = far
    assert measured(never) == [done] and [one.machine_id for one in far.evaluations.list()] == ["far"]
    assert old != first.id


def test_of_two_processes_that_measure_the_same_the_first_to_finish_has_the_say(store: Store, model: Model) -> None:
    wanted = recording.planned(model, "humaneval", {"tasks": 1}, "here")
    one, two = (recording.begun(wanted, store) for _ in range(2))
    assert one.id == two.id
    recording.add(store, one.id, [Outcome("T/0", 0, "passed")])
    done = recording.finish(store, one.id, [Score("pass@1", 1.0, None, None, 1)])
    recording.add(store, two.id, [Outcome("T/0", 0, "wrong")])
    assert recording.finish(store, two.id, [Score("pass@1", 0.0, None, None, 1)]) == done
    assert [outcome.verdict for outcome in store.evaluations.outcomes(one.id)] == ["passed"]


@pytest.fixture
def refusing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A PATH on which bubblewrap fails as it does where user namespaces are off."""
    place = tmp_path / "refusing"
    place.mkdir()
    (place / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (place / "bwrap").chmod(0o755)
    sandbox_description.cache_clear()
    return f"{place}:/usr/bin:/bin"


def test_without_a_sandbox_answers_are_stored_and_scored_later(
    store: Store, workspace: Workspace, model: Model, refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        here.setenv("PATH", refusing)
        (waiting,) = evaluate_humaneval([model], store, workspace, FEW)
        assert waiting.status == "unscored" and waiting.scores == () and "No permissions" in waiting.details["unscored"]
        assert "bakeoff evaluate base --benchmark humaneval --rescore" in waiting.reason
        answers = store.evaluations.outcomes(waiting.id)
        assert len(answers) == 3 and all(one.verdict is None and "answer" in one.details for one in answers)
        assert store.evaluations.scores() == [] and decide(store).best is None and form_costs(store) == []
        assert evaluate_humaneval([model], store, workspace, FEW, never) == [waiting]
        words = ["evaluate", "base", "--tasks", "3", "--max-tokens", "12", "--workspace", str(workspace.path)]
        said = CliRunner().invoke(app, words, catch_exceptions=False).stdout
        assert "base: answers stored, not scored" in " ".join(said.split())
        (row,) = json.loads(CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).stdout)
        assert row["status"] == "unscored" and row["value"] is None
    sandbox_description.cache_clear()
    (scored,) = rescore_stored([model], "humaneval", store)
    assert scored.id == waiting.id and scored.status == "finished" and "unscored" not in scored.details
    assert {score.metric for score in scored.scores} == {"pass@1"} and scored.details["limits"]["slowness"] >= 1
    after = store.evaluations.outcomes(scored.id)
    assert [one.details["answer"] for one in after] == [one.details["answer"] for one in answers]
    assert all(one.verdict not in (None, "error") for one in after)


def test_the_same_call_scores_them_where_there_is_a_sandbox(
    store: Store, workspace: Workspace, model: Model, refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        here.setenv("PATH", refusing)
        (waiting,) = evaluate_humaneval([model], store, workspace, FEW)
    sandbox_description.cache_clear()
    said: list[str] = []
    (scored,) = evaluate_humaneval([model], store, workspace, FEW, lambda what, *_: said.append(what))
    assert (scored.id, scored.status) == (waiting.id, "finished") and "answers to humaneval" not in said
    assert scored.details["batch"]["answers"] == 3 and "unscored" not in scored.details


def test_limits_are_calibrated_once_for_all_models(store: Store, workspace: Workspace, base: Path) -> None:
    said: list[str] = []
    for name in ("a", "b"):
        model = store.models.add(Model(f"{name}-1", name, "merged", "mini", name * 64, 1, str(base)))
        settings = {"tasks": 2, "max_tokens": 4}
        (one,) = evaluate_humaneval([model], store, workspace, settings, lambda what, *_: said.append(what))
        assert one.details["limits"]["cpu_limit_seconds"] >= 3
        said.append(name)
    assert "calibrating" not in said[said.index("a") :]


def test_what_its_maker_has_a_model_run_with_is_left_out_by_name(
    base: Path, store: Store, workspace: Workspace
) -> None:
    own = {"system": "Sing.", "temperature": 0.7}
    store.models.add(Model("sung-1", "sung", "base", "mini", "c" * 64, 1, str(base), details={"sampling": own}))
    plain = store.models.add(Model("base-1", "base", "base", "mini", "b" * 64, 1, str(base)))
    words = ["evaluate", "sung", "base", "--benchmark", "stopping", "--max-tokens", "4"]
    told = CliRunner().invoke(app, [*words, "--workspace", str(workspace.path)], catch_exceptions=False).stdout
    assert "sung: asked as every other model, without what its maker has it run with: system Sing., temperature" in told
    found = {one.model_id: one for one in store.evaluations.list()}
    assert found["sung-1"].details["makers_settings_left_out"] == own
    assert found["sung-1"].scores == found[plain.id].scores, "both are asked alike"
