"""Hostile names and numbers: kept exactly as they are, or refused by name; never lost, never half stored."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results import (
    BakeoffError,
    Evaluation,
    Model,
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

NAMES = [
    "'; DROP TABLE runs; --",
    'Robert"); DELETE FROM models; --',
    "nul\x00inside",
    "\x00",
    "\x1a0\x1as",
    "lone \ud800 surrogate",
    "🦙🔥" * 20,
    "‮txt.exe",
    "../../etc/passwd",
    "%s %(x)s :name ? {0}",
    "line\nbreak\r\n\x1b[31mred",
    " ",
    "é",
    "e\u0301",
]
TEXT = st.text(st.characters(), max_size=40)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_hostile_name_is_kept_exactly_in_every_place(store: Store, name: str) -> None:
    store.runs.add(Run(name, name, name, name, {name: name}, 0, tags=(name,), notes=name * 300))
    store.curves.append(name, [Point(name, 1, 1.0)])
    assert store.runs.find(name).notes == name * 300
    assert store.runs.list()[0].run.config == {name: name}
    assert store.curves.metrics(name) == [name]
    assert list(store.curves.overview([name], name)) == [name]
    model = store.models.add(Model(name, name, "adapter", name, name, 1, name, name, details={name: [name]}))
    assert store.models.find(name) == model
    store.evaluations.begin(Evaluation(name, name, name, {name: name}, name))
    store.evaluations.add_outcomes(name, [Outcome(name, 0, "passed", 1.0, {"answer": name})])
    store.evaluations.finish(name, [Score(name, 1.0, None, None, 1)])
    assert store.evaluations.outcomes(name) == [Outcome(name, 0, "passed", 1.0, {"answer": name})]
    assert [(row.model, row.metric, row.settings) for row in store.evaluations.scores()] == [(name, name, {name: name})]
    vote = Vote(name, name, name, name, name, name, "a", name, created_at=model.created_at)
    store.votes.add(vote)
    assert store.votes.list() == [vote]
    store.reports.put(Report(name, name, {name: name}))
    report = store.reports.get(name, name)
    assert report is not None
    assert report.payload == {name: name}
    store.published.add([PublishedResult(name, name, name, name, 1.0, name)])
    assert store.published.list() == [PublishedResult(name, name, name, name, 1.0, name)]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT, other=TEXT)
def test_any_text_comes_back_and_two_texts_stay_two(store: Store, text: str, other: str) -> None:
    for name in {text, other}:
        store.runs.add(Run("x" + name, name, "e", "b", {"k": name}, 0))
    for name in {text, other}:
        found = store.runs.get("x" + name)
        assert (found.name, found.config) == (name, {"k": name})


def test_ten_kilobytes_are_kept_as_text_and_refused_as_a_key(store: Store, run: Run) -> None:
    long = "Ω" * 10_000
    assert store.runs.edit(run.id, name=long).name == long
    assert store.runs.find(long).id == run.id
    for refused in (
        lambda: store.runs.add(dataclasses.replace(run, id=long)),
        lambda: store.curves.append(run.id, [Point("loss", 1, 1.0), Point(long, 1, 1.0)]),
        lambda: store.models.add(Model("m", long, "base", "b", "i", 1, "p")),
    ):
        with pytest.raises(StoreError, match="10,000 characters"):
            refused()
    assert store.curves.metrics(run.id) == []  # nothing of a batch that was refused
    unpackable = "".join(chr(0x4E00 + (i * 7919) % 20000) for i in range(330))  # 990 bytes that do not compress
    store.models.add(Model(unpackable, unpackable, "base", "b", "i", 1, "p"))
    store.reports.put(Report(unpackable, unpackable))
    store.evaluations.begin(Evaluation(unpackable, unpackable, "b", {}, "m"))
    store.evaluations.add_outcomes(unpackable, [Outcome(unpackable)])
    assert store.models.find(unpackable).name == unpackable


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 1e400])
def test_every_float_is_kept_as_what_it_is(store: Store, run: Run, model: Model, value: float) -> None:
    store.curves.append(run.id, [Point("loss", 1, value), Point("validation_loss", 1, value)])
    assert repr(store.curves.read(run.id, "loss")[1].tolist()) == repr([value])
    (summary,) = store.runs.list()
    assert repr(summary.last_loss) == repr(value)
    assert summary.best_validation_loss == (value if math.isfinite(value) else None)
    store.evaluations.begin(Evaluation("e", model.id, "b", {"limit": value}, "m"))
    store.evaluations.add_outcomes("e", [Outcome("i", 0, None, value, {"nested": [value]})])
    finished = store.evaluations.finish("e", [Score("s", value, None, None, 1)])
    assert repr(finished.scores[0].value) == repr(store.evaluations.scores()[0].value) == repr(value)
    assert repr(store.evaluations.outcomes("e")[0]) == repr(Outcome("i", 0, None, value, {"nested": [value]}))
    assert repr(finished.settings) == repr({"limit": value})


@pytest.mark.parametrize("step", [2**63, -(2**63), 2**100, 1.5, "7", None, True])
def test_a_step_that_no_database_holds_is_refused(store: Store, run: Run, step: object) -> None:
    with pytest.raises(StoreError, match="loss: a step is a whole number"):
        store.curves.append(run.id, [Point("lr", 1, 1.0), Point("loss", step, 1.0)])  # type: ignore[arg-type]
    assert store.curves.metrics(run.id) == []


def test_the_widest_steps_are_kept(store: Store, run: Run) -> None:
    wide = [-(2**63) + 1, 0, 2**63 - 1]
    store.curves.append(run.id, [Point("loss", step, float(place)) for place, step in enumerate(reversed(wide))])
    assert store.curves.read(run.id, "loss")[0].tolist() == wide
    store.curves.append(run.id, [Point("loss", wide[0], 7.0)])
    assert store.curves.read(run.id, "loss")[1].tolist() == [7.0, 1.0, 0.0]
    assert store.curves.read(run.id, "loss", after_step=0)[0].tolist() == wide[2:]


@pytest.mark.parametrize("value", ["high", None, [1.0], 1j])
def test_a_value_that_is_no_number_is_refused(store: Store, run: Run, value: object) -> None:
    with pytest.raises(StoreError, match="loss: a value is a number"):
        store.curves.append(run.id, [Point("loss", 1, value)])  # type: ignore[arg-type]


def test_what_is_no_json_or_too_large_is_refused(store: Store, model: Model) -> None:
    with pytest.raises(BakeoffError, match="JSON"):
        store.models.add(dataclasses.replace(model, details={"x": object()}))
    with pytest.raises(BakeoffError, match="64 bits"):
        store.models.add(dataclasses.replace(model, bytes=2**63))
    assert store.models.get(model.id) == model
