"""Verdicts read in one go say what the outcomes say, whatever their ids hold, on either database."""

from __future__ import annotations

import pytest

from results import Evaluation, Model, Outcome, Store


@pytest.mark.parametrize(
    "items", [["a", "b", "c"], ["é\n,", "\x1a0", "\x00"], ["\x1f", "a\x1fb", "c"], ["\x1e", "x", "y"], [""], []]
)
def test_verdicts_are_those_of_the_outcomes_in_their_order(store: Store, items: list[str]) -> None:
    store.models.add(Model("m", "m", "base", "m", "m", 1, "/m"))
    store.evaluations.begin(Evaluation("e", "m", "mine", {}, "here"))
    outcomes = [
        Outcome(item, 0, None if place == 1 else "passed", 0.5 if place == 1 else None)
        for place, item in enumerate(items)
    ]
    store.evaluations.add_outcomes("e", list(reversed(outcomes)))
    told = [(one.item, one.verdict) for one in store.evaluations.outcomes("e")]
    assert [item for item, _ in told] == list(reversed(items))
    assert store.evaluations.verdicts("e") == told
