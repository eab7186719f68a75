"""The store's collections, on SQLite and PostgreSQL by the same tests."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from results import (
    DecisionRecord,
    Evaluation,
    Immutable,
    Machine,
    Model,
    NotFound,
    Outcome,
    Point,
    PublishedResult,
    Report,
    Run,
    Score,
    Store,
    StoreError,
    Vote,
)

EVALUATION = Evaluation("e1", "demo-12345678", "humaneval", {"temperature": 0.0}, "m1", details={"load": 0.5})


def test_a_run_goes_from_planned_to_finished(store: Store, run: Run) -> None:
    assert run.status == "running"
    assert run.total_steps == 100
    assert run.started_at is not None
    assert run.started_at.tzinfo is not None
    store.curves.append(run.id, [Point("loss", step, 1 / step) for step in range(1, 11)])
    store.curves.append(run.id, [Point("validation_loss", 5, 0.5), Point("validation_loss", 10, 0.7)])
    store.runs.finish(run.id, "finished")
    (summary,) = store.runs.list()
    assert (summary.steps, summary.last_loss, summary.best_validation_loss, summary.best_step) == (10, 0.1, 0.5, 5)
    assert summary.run.status == "finished"
    assert summary.run.config == {"lora": {"rank": 8}, "seeds": [1, 2]}
    assert summary.updated_at is not None


def test_a_stopped_run_starts_again_and_keeps_its_beginning(store: Store, run: Run) -> None:
    store.runs.finish(run.id, "stopped", "interrupted")
    store.runs.add(dataclasses.replace(run, status="planned", machine_id=None))
    assert store.runs.get(run.id).status == "stopped"
    store.runs.start(run.id, "other-machine", None)
    again = store.runs.get(run.id)
    assert (again.status, again.reason, again.finished_at, again.total_steps) == ("running", "", None, 100)
    assert again.started_at == run.started_at
    assert again.machine_id == "other-machine"


def test_a_finished_run_is_never_modified_but_for_what_people_note(store: Store, run: Run) -> None:
    store.curves.append(run.id, [Point("loss", 1, 2.0)])
    store.runs.finish(run.id, "finished")
    store.runs.finish(run.id, "finished")
    store.runs.add(run)
    for change in (
        lambda: store.runs.start(run.id, None, None),
        lambda: store.runs.finish(run.id, "failed", "no"),
        lambda: store.runs.add(dataclasses.replace(run, config={"lora": {"rank": 9}})),
        lambda: store.runs.add(run, [Point("loss", 1, 3.0)]),
        lambda: store.curves.append(run.id, [Point("loss", 1, 2.5)]),
        lambda: store.curves.append(run.id, [Point("loss", 2, 2.0)]),
        lambda: store.curves.append(run.id, [Point("fresh", 1, 2.0)]),
        lambda: store.curves.truncate(run.id, 0),
    ):
        with pytest.raises(Immutable, match="run-1"):
            change()
    store.curves.append(run.id, [Point("loss", 1, 2.0)])  # the same again is no change
    store.curves.truncate(run.id, 1)
    assert store.curves.metrics(run.id) == ["loss"]
    assert store.curves.read(run.id, "loss")[1].tolist() == [2.0]
    edited = store.runs.edit(run.id, name="best", tags=["a", "b"], notes="keep", archived=True)
    assert store.runs.get(run.id) == edited
    assert (edited.name, edited.tags, edited.notes, edited.archived) == ("best", ("a", "b"), "keep", True)
    assert store.runs.find("best").id == run.id


def test_what_people_noted_survives_a_resume(store: Store, run: Run) -> None:
    store.runs.edit(run.id, notes="watch this one", tags=["x"])
    store.runs.add(dataclasses.replace(run, status="planned"))
    assert store.runs.get(run.id).notes == "watch this one"
    assert store.runs.get(run.id).tags == ("x",)


def test_a_whole_run_comes_with_its_points_at_once_or_not_at_all(store: Store, run: Run) -> None:
    imported = dataclasses.replace(run, id="imported", status="finished", origin="imported", source="log.json")
    points = [Point("loss", step, 1.0) for step in range(3000)]
    with pytest.raises(StoreError):
        store.runs.add(imported, [*points, Point("x" * 5000, 1, 1.0)])
    with pytest.raises(NotFound):
        store.runs.get("imported")
    for _ in range(2):
        store.runs.add(imported, points)
    assert len(store.curves.read("imported", "loss")[0]) == 3000
    assert store.runs.get("imported") == dataclasses.replace(imported)


def test_runs_are_found_by_id_then_by_the_newest_of_a_name(store: Store, run: Run) -> None:
    store.runs.add(dataclasses.replace(run, id="run-2"))
    assert store.runs.find("run-1").id == "run-1"
    assert store.runs.find("rank8").id == "run-2"
    store.runs.edit("run-2", archived=True)
    assert store.runs.find("rank8").id == "run-1"
    with pytest.raises(NotFound, match=r"'nope'.*'rank8'.*bakeoff runs"):
        store.runs.find("nope")
    for missing in (lambda: store.runs.get("nope"), lambda: store.runs.finish("nope", "failed")):
        with pytest.raises(NotFound, match="nope"):
            missing()


def test_a_model_registered_again_replaces_its_record(store: Store, model: Model) -> None:
    moved = store.models.add(dataclasses.replace(model, path="elsewhere", details={"license": "apache-2.0"}))
    assert store.models.list() == [dataclasses.replace(moved, created_at=model.created_at)]
    assert store.models.get(model.id).path == "elsewhere"
    assert store.models.find("demo").id == store.models.find(model.id).id == model.id
    with pytest.raises(NotFound, match=r"'x'.*'demo'.*bakeoff models"):
        store.models.find("x")


def test_a_name_belongs_to_the_model_added_last_and_the_older_keeps_its_scores(store: Store, model: Model) -> None:
    store.evaluations.begin(EVALUATION)
    store.evaluations.finish("e1", [Score("pass@1", 0.5, 0.4, 0.6, 164)])
    newer = store.models.add(dataclasses.replace(model, id="demo-2", identity="b" * 64))
    assert store.models.find("demo") == newer
    older = store.models.get(model.id)
    assert (older.name, older.archived) == ("demo@aaaaaaaa", True)
    assert [row.model for row in store.evaluations.scores()] == ["demo@aaaaaaaa"]
    store.models.add(dataclasses.replace(model, id="demo-3", identity="b" * 64))
    store.models.add(dataclasses.replace(model, id="demo-4", identity="b" * 64))
    assert sorted(each.name for each in store.models.list()) == [
        "demo",
        "demo@aaaaaaaa",
        "demo@bbbbbbbb",
        "demo@demo-3",
    ]


def test_an_evaluation_resumes_finishes_and_then_stays(store: Store, model: Model) -> None:
    begun = store.evaluations.begin(EVALUATION)
    assert begun.status == "running"
    store.evaluations.add_outcomes(
        "e1", [Outcome("t/2", 0, "passed", 0.1, {"answer": "x"}), Outcome("t/1", 0, "wrong")]
    )
    store.evaluations.fail("e1", "the disk was full")
    assert store.evaluations.get("e1").reason == "the disk was full"
    assert store.evaluations.begin(EVALUATION).status == "running"
    replaced = [Outcome("t/1", 0, "passed"), Outcome("t/1", 1, "timed_out", math.nan), Outcome("t/1", 1, "wrong")]
    for _ in range(2):
        store.evaluations.add_outcomes("e1", replaced)
    outcomes = store.evaluations.outcomes("e1")
    assert [(o.item, o.sample, o.verdict) for o in outcomes] == [
        ("t/2", 0, "passed"), ("t/1", 0, "passed"), ("t/1", 1, "wrong"),
    ]  # fmt: skip
    scores = (Score("pass@1", 0.5, 0.1, None, 2), Score("loss", math.inf, None, None, 2))
    for _ in range(2):
        finished = store.evaluations.finish("e1", scores, {"threads": 2})
    assert finished.scores == scores
    assert finished.details == {"load": 0.5, "threads": 2}
    assert store.evaluations.list(model_id=model.id, benchmark="humaneval") == [finished]
    assert store.evaluations.list(benchmark="latency") == []
    assert store.evaluations.begin(EVALUATION) == finished
    store.evaluations.add_outcomes("e1", replaced[-1:])
    for change in (
        lambda: store.evaluations.finish("e1", scores[:1]),
        lambda: store.evaluations.add_outcomes("e1", [Outcome("t/1", 0, "wrong")]),
        lambda: store.evaluations.add_outcomes("e1", [Outcome("t/3", 0, "wrong")]),
        lambda: store.evaluations.fail("e1", "no"),
    ):
        with pytest.raises(Immutable, match="e1"):
            change()
    (first, _) = store.evaluations.scores()
    assert (first.model, first.metric, first.low, first.high, first.machine_id) == ("demo", "pass@1", 0.1, None, "m1")
    assert store.evaluations.begin(EVALUATION, replace=True).status == "running"
    assert store.evaluations.outcomes("e1") == []
    assert store.evaluations.scores() == []


def test_an_evaluation_without_verdicts_is_set_aside_and_resumed(store: Store, model: Model) -> None:
    store.evaluations.begin(Evaluation("e", model.id, "humaneval", {}, "m", details={"load": 1}))
    store.evaluations.add_outcomes("e", [Outcome("T/0", details={"answer": "x"})])
    aside = store.evaluations.set_aside("e", "no sandbox", {"unscored": "no sandbox"})
    assert (aside.status, aside.reason, aside.scores) == ("unscored", "no sandbox", ())
    assert store.evaluations.get("e") == aside and aside.details == {"load": 1, "unscored": "no sandbox"}
    assert store.evaluations.scores() == []
    assert store.evaluations.begin(Evaluation("e", model.id, "humaneval", {}, "elsewhere")).status == "running"
    assert [one.item for one in store.evaluations.outcomes("e")] == ["T/0"]
    store.evaluations.finish("e", [])
    with pytest.raises(Immutable):
        store.evaluations.set_aside("e", "again")
    with pytest.raises(NotFound):
        store.evaluations.set_aside("nowhere", "no such")


def test_an_evaluation_needs_its_model(store: Store) -> None:
    with pytest.raises(NotFound, match="demo-12345678"):
        store.evaluations.begin(EVALUATION)
    with pytest.raises(NotFound, match="e1"):
        store.evaluations.add_outcomes("e1", [Outcome("t/1")])


def test_the_small_collections_keep_what_they_are_given(store: Store) -> None:
    machine = Machine("m1", "Xeon", ("avx2", "fma"), 2, 2**34, "", "Linux", {"torch": "2"})
    store.machines.add(machine)
    store.machines.add(machine)
    assert store.machines.list() == [machine] == [store.machines.get("m1")]
    with pytest.raises(NotFound):
        store.machines.get("m2")
    elsewhere = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    vote = Vote("v1", "prompt", "a", "b", "x", "y", "tie", details={"k": [1]}, created_at=elsewhere)
    store.votes.add(vote)
    store.votes.add(dataclasses.replace(vote, winner="a"))
    assert store.votes.list() == [dataclasses.replace(vote, winner="a", created_at=elsewhere.astimezone(UTC))]
    published = [PublishedResult("study", name, "loss", value=value) for name, value in (("b", 1.0), ("a", -math.inf))]
    store.published.add(published)
    store.published.add(published)
    assert store.published.list() == published
    store.reports.put(Report("run-1", "data", {"rows": 1}))
    store.reports.put(Report("run-1", "data", {"rows": 2}))
    report = store.reports.get("run-1", "data")
    assert report is not None
    assert report.payload == {"rows": 2}
    assert store.reports.list(kind="data") == [report]
    assert store.reports.list(kind="sweep") == []
    assert store.reports.get("run-1", "sweep") is None
    decision = store.decisions.add(DecisionRecord("d1", "m", {"bytes": 5}, {"why": "cheap"}))
    assert store.decisions.add(DecisionRecord("d1", "m", {"bytes": 5}, {"why": "cheap"})) == decision
    assert store.decisions.list() == [decision] == [store.decisions.get("d1")]
    with pytest.raises(Immutable, match="d1"):
        store.decisions.add(DecisionRecord("d1", "m", {"bytes": 6}, {}))
    with pytest.raises(NotFound, match=r"d2.*'d1'"):
        store.decisions.get("d2")


def test_a_store_says_what_is_in_it_and_hides_its_password(store: Store, model: Model) -> None:
    info = store.info()
    assert info["rows"]["models"] == 1
    assert info["rows"]["runs"] == 0
    assert info["spooled_files"] == 0
    with pytest.raises(StoreError) as refused:
        Store("postgresql://me:geheim@127.0.0.1:1/none", spool=Path("unused"))
    assert "geheim" not in str(refused.value)
    assert "127.0.0.1" in str(refused.value)


@pytest.mark.parametrize(
    "url", ["mysql://host/db", "sqlite://", "sqlite:///:memory:", "not a url", "", "sqlite:////proc/x/y.db"]
)
def test_a_url_that_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(StoreError):
        Store(url)
