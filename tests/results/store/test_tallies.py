"""What is kept of ended evaluations for comparing says what their outcomes say, on either database."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as some

from results import Evaluation, Model, Outcome, Store
from results.analysis.measurements import Reached, reached
from results.records import Verdict
from results.schema.database import Database
from results.schema.tallies import CODES, tally_from, tally_of

FINITE = some.floats(-1e9, 1e9)


def begun(store: Store) -> None:
    store.models.add(Model("m", "m", "base", "m", "m", 1, "/m"))
    store.evaluations.begin(Evaluation("e", "m", "mine", {}, "here"))


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize(
    "items", [["a", "b", "c"], ["é\n,", "\x1a0", "\x00"], ["\x1f", "a\x1fb", "\ud800"], ["\x1e", "x", "y"], [""], []]
)
def test_verdicts_are_those_of_the_outcomes_in_their_order(store: Store, items: list[str], ended: bool) -> None:
    begun(store)
    outcomes = [
        Outcome(item, 0, None if place == 1 else "passed", 0.5 if place == 1 else None)
        for place, item in enumerate(items)
    ]
    store.evaluations.add_outcomes("e", list(reversed(outcomes)))
    if ended:
        store.evaluations.finish("e", [])
    told = [(one.item, one.verdict) for one in store.evaluations.outcomes("e")]
    assert [item for item, _ in told] == list(reversed(items))
    assert store.evaluations.verdicts("e") == told


def test_an_ended_evaluation_is_compared_without_its_texts(store: Store, store_url: str) -> None:
    """Whoever takes them away afterwards changes nothing of what is compared; measured anew, it is that of today."""
    begun(store)
    store.evaluations.add_outcomes("e", [Outcome("a", 0, "passed", details={"group": "g"}), Outcome("b", 0, "wrong")])
    store.evaluations.finish("e", [])
    with Database(store_url).write() as connection:
        connection.execute(sa.text("DELETE FROM outcomes"))
    tally = store.evaluations.tallies(["e"])["e"]
    assert (tally.items, tally.verdicts, tally.groups) == (("a", "b"), ["passed", "wrong"], {"a": "g"})
    store.evaluations.begin(Evaluation("e", "m", "mine", {}, "here"), replace=True)
    store.evaluations.add_outcomes("e", [Outcome("a", 0, "wrong")])
    assert store.evaluations.verdicts("e") == [("a", "wrong")]


def test_an_evaluation_of_another_store_brings_its_own(store: Store, store_url: str) -> None:
    store.models.add(Model("m", "m", "base", "m", "m", 1, "/m"))
    store.evaluations.bring(Evaluation("e", "m", "mine", {}, "here", status="finished"), [Outcome("a", 0, "passed")])
    with Database(store_url).write() as connection:
        connection.execute(sa.text("DELETE FROM outcomes"))
    assert store.evaluations.verdicts("e") == [("a", "passed")]


def test_every_verdict_has_its_number() -> None:
    assert set(CODES) == set(get_args(Verdict))
    assert len(set(CODES)) == len(CODES)


@given(
    some.lists(
        some.tuples(
            some.sampled_from("abc"),
            some.one_of(some.none(), some.sampled_from(CODES)),
            some.one_of(some.none(), FINITE, some.sampled_from([math.nan, math.inf])),
            some.fixed_dictionaries({}, optional={"nats": FINITE, "bytes": some.integers(0, 99), "group": some.text()}),
        )
    )
)
def test_a_tally_says_of_each_item_what_its_outcomes_say(told: list[tuple[str, Verdict | None, float, dict]]) -> None:  # type: ignore[type-arg]
    whole = tally_of(told)
    kept = tally_from(whole.listed, whole.row())
    assert kept.verdicts == [verdict for _, verdict, _, _ in told]
    answers: dict[str, list[float]] = {}
    weights, groups = {}, {}
    for item, verdict, value, details in told:
        if verdict not in (None, "error"):
            answers.setdefault(item, []).append(float(verdict == "passed"))
        elif verdict is None and value is not None and math.isfinite(details.get("nats", value)):
            answers.setdefault(item, []).append(details.get("nats", value))
            weights[item] = details.get("bytes", 0)
        if details.get("group"):
            groups[item] = details["group"]
    samples = max(map(len, answers.values()), default=1)
    found = reached(kept)
    assert found == Reached(
        {item: float(np.mean(values)) for item, values in answers.items()}, weights, samples, groups
    ) or (
        found.items == pytest.approx({item: float(np.mean(values)) for item, values in answers.items()})
        and (found.weights, found.samples, found.groups) == (weights, samples, groups)
    )
