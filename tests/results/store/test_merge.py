"""Two machines' stores become one; nothing is doubled, nothing of the first is changed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from results import (
    DecisionRecord,
    Evaluation,
    Machine,
    Model,
    Outcome,
    Point,
    PublishedResult,
    Report,
    Run,
    Score,
    Store,
    Vote,
    merge,
)


@pytest.fixture
def other(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Store]:
    """Another machine's store, with one of everything."""
    (tmp_path / "other.db").write_bytes(migrated_sqlite.read_bytes())
    with Store(f"sqlite:///{tmp_path / 'other.db'}") as store:
        fill(store, "gpu")
        yield store


def fill(store: Store, name: str) -> None:
    store.machines.add(Machine(name, "cpu", (), 1, 1, "", "Linux"))
    store.runs.add(Run(f"run-{name}", name, "e", "b", {}, 0, tags=(name,)))
    store.runs.start(f"run-{name}", name, 3000)
    points = [Point("loss", step, math.nan if step == 7 else 1.0) for step in range(3000)]
    store.curves.append(f"run-{name}", [*points, Point("validation_loss", 10, 0.5)])
    store.runs.finish(f"run-{name}", "finished")
    store.models.add(Model(f"m-{name}", name, "adapter", "b", f"{name}-identity", 1, "p", f"run-{name}"))
    store.evaluations.begin(Evaluation(f"e-{name}", f"m-{name}", "humaneval", {"n": 1}, name))
    store.evaluations.add_outcomes(f"e-{name}", [Outcome("b", 0, "passed", math.nan), Outcome("a", 0, "wrong")])
    store.evaluations.finish(f"e-{name}", [Score("pass@1", 0.5, 0.1, 0.9, 2)], {"load": 1.0})
    store.votes.add(Vote(f"v-{name}", "p", "a", "b", "x", "y", "a"))
    store.published.add([PublishedResult("study", name, "loss", value=1.0)])
    store.reports.put(Report(f"run-{name}", "data", {"rows": 1}))
    store.decisions.add(DecisionRecord(f"d-{name}", f"m-{name}", {}, {}))


def everything(store: Store) -> list[str]:
    """All of a store as text (NaN equals itself there)."""
    runs = store.runs.list()
    curves = [
        (each.run.id, metric, *(array.tolist() for array in store.curves.read(each.run.id, metric)))
        for each in runs
        for metric in store.curves.metrics(each.run.id)
    ]
    evaluations = [(each, store.evaluations.outcomes(each.id)) for each in store.evaluations.list()]
    records = [
        [dataclasses.replace(each, updated_at=None) for each in runs],
        curves,
        evaluations,
        store.machines.list(),
    ]
    records += [store.models.list(), store.votes.list(), store.published.list(), store.decisions.list()]
    return sorted(repr(record) for group in (*records, store.reports.list()) for record in group)


def test_two_stores_become_one_and_merging_again_takes_nothing(store: Store, other: Store) -> None:
    fill(store, "cpu")
    both = sorted(everything(store) + everything(other))
    report = merge(store, other)
    assert everything(store) == both
    assert set(report.taken.values()) == {1}
    assert set(report.present.values()) == {0}
    assert report.differences == []
    again = merge(store, other)
    assert everything(store) == both
    assert set(again.taken.values()) == {0}
    assert again.differences == []
    assert store.curves.overview(["run-gpu"], "loss", 10)["run-gpu"].marks.tolist() == [7]


def test_a_copy_into_an_empty_store_is_the_same_store(store: Store, other: Store) -> None:
    merge(store, other)
    assert everything(store) == everything(other)


def test_a_run_that_got_further_there_is_taken_and_one_that_did_not_stays(store: Store, other: Store) -> None:
    store.runs.add(Run("run-gpu", "gpu", "e", "b", {}, 0))
    store.curves.append("run-gpu", [Point("loss", step, 1.0) for step in range(5)])
    merge(store, other)
    assert store.runs.get("run-gpu").status == "finished"
    assert len(store.curves.read("run-gpu", "loss")[0]) == 3000
    report = merge(other, store)
    assert (report.taken["runs"], report.present["runs"], report.differences) == (0, 1, [])


def test_a_run_finished_differently_in_both_stays_and_is_said(store: Store, other: Store) -> None:
    store.runs.add(Run("run-gpu", "gpu", "e", "b", {}, 0))
    store.curves.append("run-gpu", [Point("loss", 0, 9.0)])
    store.runs.finish("run-gpu", "finished")
    before = everything(store)
    report = merge(store, other)
    assert "run-gpu" in report.differences[0]
    assert report.present["runs"] == 1
    assert [line for line in everything(store) if line in before] == before


def test_another_model_of_the_same_name_is_taken_under_its_own(store: Store, other: Store) -> None:
    store.models.add(Model("m-here", "gpu", "adapter", "b", "another-identity", 1, "p"))
    report = merge(store, other)
    assert store.models.find("gpu").id == "m-here"
    assert store.models.get("m-gpu").name == "gpu@gpu-iden"
    assert "gpu@gpu-iden" in report.differences[0]
    assert merge(store, other).differences == []


def test_the_newer_report_holds(store: Store, other: Store) -> None:
    store.reports.put(Report("run-gpu", "data", {"rows": 2}))
    merge(store, other)
    report = store.reports.get("run-gpu", "data")
    assert report is not None
    assert report.payload == {"rows": 2}
    merge(other, store)
    newer = other.reports.get("run-gpu", "data")
    assert newer is not None
    assert newer.payload == {"rows": 2}


def test_two_imports_that_had_one_id_are_two(store: Store, other: Store) -> None:
    """A Bakeoff of before called runs after their beginning, and evaluations after verdicts without the answers."""
    for place, text, loss in ((store, "return 0", 2.0), (other, "return 1", 1.5)):
        run = Run("out-1234", "out", "imported", "b", {}, 0, status="stopped", origin="imported")
        place.runs.add(run, [Point("loss", 1, 3.0), Point("loss", 2, loss)])
        place.reports.put(Report("out-1234", "import", {"loss": loss}))
        place.models.add(Model("samples-1", "samples", "remote", "samples", "samples-identity", 0, ""))
        place.machines.add(Machine("far", "cpu", (), 1, 1, "", "Linux"))
        place.evaluations.begin(Evaluation("e", "samples-1", "humaneval", {}, "far", origin="imported"))
        place.evaluations.add_outcomes("e", [Outcome("HumanEval/0", 0, "passed", details={"answer": text})])
        place.evaluations.finish("e", [Score("pass@1", 1.0, 0.1, 1.0, 1)])
    report = merge(store, other)
    assert sorted(each.last_loss for each in store.runs.list() if each.run.name == "out") == [1.5, 2.0]
    found = [one.id for one in store.evaluations.list() if one.model_id == "samples-1"]
    assert {store.evaluations.outcomes(one)[0].details["answer"] for one in found} == {"return 0", "return 1"}
    assert len(report.differences) == 2 and len(store.reports.list("import")) == 2
    before = everything(store)
    assert merge(store, other).taken["runs"] == 0 and everything(store) == before


def test_a_measurement_that_came_out_otherwise_there_is_named(store: Store, other: Store) -> None:
    fill(store, "gpu")
    evaluation = store.evaluations.get("e-gpu")
    store.evaluations.begin(evaluation, replace=True)
    store.evaluations.finish("e-gpu", [Score("pass@1", 0.9, 0.1, 1.0, 2)])
    assert any("'e-gpu' has other scores there" in one for one in merge(store, other).differences)
    assert store.evaluations.get("e-gpu").scores[0].value == 0.9
