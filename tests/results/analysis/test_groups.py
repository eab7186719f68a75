"""Items of one group are related: intervals and p-values are of groups, wherever a figure is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from results import Contrast, Evaluation, Model, Outcome, Question, Score, Store, compare, contest, decide
from results.analysis.deciding.scoreboard import scored
from results.analysis.groups import mean_in_groups, paired_in_groups, places_of, ratio_in_groups
from results.analysis.paired import paired_numbers, paired_ratios, paired_verdicts
from results.analysis.statistics import graded_interval, wilson_interval
from tests.results.shelves import HERE, add_heldout, add_model

VERDICTS = some.lists(some.tuples(some.booleans(), some.booleans()), min_size=1, max_size=60)
GRADES = some.lists(some.tuples(*[some.integers(0, 4).map(lambda grade: grade / 4)] * 2), min_size=1, max_size=60)


@pytest.fixture
def store(tmp_path: Path, migrated_sqlite: Path) -> Any:
    (tmp_path / "results.db").write_bytes(migrated_sqlite.read_bytes())
    with Store(f"sqlite:///{tmp_path / 'results.db'}") as opened:
        yield opened


def measured(store: Store, name: str, passed: Sequence[bool], labels: Sequence[str] | None) -> Model:
    """A model by a test whose items have these groups."""
    store.machines.add(HERE)
    model = add_model(store, name)
    begun = store.evaluations.begin(Evaluation(f"e-{name}", model.id, "mine", {"prompting": "chat"}, HERE.id))
    store.evaluations.add_outcomes(
        begun.id,
        [
            Outcome(f"q{place:03}", 0, "passed" if one else "wrong", details={"group": labels[place]} if labels else {})
            for place, one in enumerate(passed)
        ],
    )
    share = sum(passed) / len(passed)
    store.evaluations.finish(
        begun.id, [Score("pass@1", share, *wilson_interval(sum(passed), len(passed)), len(passed))]
    )
    return model


def pair(store: Store, labels: Sequence[str] | None, items: int = 60) -> tuple[Model, Model, Contrast]:
    a = measured(store, "a", [place % 6 < 5 for place in range(items)], labels)
    b = measured(store, "b", [place % 6 < 3 for place in range(items)], labels)
    found = compare(store, a, b, "mine").quality
    assert found is not None
    return a, b, found


@given(some.one_of(VERDICTS, GRADES), some.integers(2, 4))
def test_answers_stored_several_times_say_what_they_said_once(pairs: list[tuple[float, float]], times: int) -> None:
    a, b = np.array(pairs, dtype=float).T
    places = np.repeat(np.arange(len(a)), times)
    counted = bool(np.isin([a, b], (0, 1)).all())
    found = paired_in_groups(np.repeat(a, times), np.repeat(b, times), places, counted)
    if counted:
        alone = paired_verdicts(*(int(((a == one) & (b == two)).sum()) for one in (1, 0) for two in (1, 0)))
    else:
        alone = paired_numbers(a, b)
    assert found.value == pytest.approx(alone.value) and found.p_value == pytest.approx(alone.p_value)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
    assert (found.items, found.groups, bool(found.too_few)) == (times * len(a), len(a), bool(alone.too_few))
    spread = mean_in_groups(np.repeat(a, times), places)
    once = wilson_interval(int(a.sum()), len(a)) if np.isin(a, (0, 1)).all() else None
    ends = once or (graded_interval(a).low, graded_interval(a).high)
    assert (spread.low, spread.high) == pytest.approx(ends)


@given(some.lists(some.tuples(some.floats(1, 90), some.floats(1, 90), some.integers(1, 99)), min_size=2, max_size=30))
def test_rows_stored_twice_say_what_they_said_once(rows: list[tuple[float, float, int]]) -> None:
    a, b, sizes = np.array(rows, dtype=float).T
    twice = ratio_in_groups(np.repeat(a, 2), np.repeat(b, 2), np.repeat(sizes, 2), np.repeat(np.arange(len(a)), 2))
    alone = paired_ratios(a, b, sizes)
    assert (twice.value, twice.p_value) == pytest.approx((alone.value, alone.p_value), rel=1e-6, abs=1e-9)


@given(some.data())
def test_groups_of_any_sizes_keep_the_estimate_and_never_contradict_themselves(data: Any) -> None:
    pairs = np.array(
        data.draw(some.lists(some.tuples(some.booleans(), some.booleans()), min_size=4, max_size=80)), float
    )
    labels = data.draw(some.lists(some.integers(0, 12), min_size=len(pairs), max_size=len(pairs)))
    places = np.unique(labels, return_inverse=True)[1]
    a, b = pairs.T
    found = paired_in_groups(a, b, places, True)
    assert found.value == pytest.approx(float((a - b).mean()))
    assert found.low <= found.value + 1e-9 and found.value <= found.high + 1e-9
    assert (found.low > 0 or found.high < 0) == (found.p_value <= 0.05)
    spread = mean_in_groups(a, places)
    assert 0 <= spread.low <= a.mean() + 1e-9 and a.mean() - 1e-9 <= spread.high <= 1


def test_items_without_company_are_no_groups() -> None:
    assert places_of(["a", "b"], {}) is None and places_of(["a", "b"], {"a": "1", "b": "2"}) is None
    assert places_of(["a", "b", "1"], {"a": "1"}) is None, "a label is no item's name"
    found = places_of(["a", "b", "c"], {"a": "1", "c": "1"})
    assert found is not None and found.tolist() == [0, 1, 0]


def test_one_item_a_group_gives_the_figures_of_items(store: Store, tmp_path: Path, migrated_sqlite: Path) -> None:
    *_, alone = pair(store, None)
    (tmp_path / "other.db").write_bytes(migrated_sqlite.read_bytes())
    with Store(f"sqlite:///{tmp_path / 'other.db'}") as other:
        assert pair(other, [str(place) for place in range(60)])[2] == alone


def test_every_place_that_shows_a_figure_has_one_interval_of_groups(store: Store) -> None:
    a, b, found = pair(store, [str(place // 6) for place in range(60)])
    decision = decide(store, Question(models=(a.id, b.id), measures=("mine",)))
    best = decision.candidate(a.id).quality
    assert best is not None and best == contest(store, [a, b], "mine").figures[a.id]
    assert best == scored(store, [a, b], "mine")[a.id].figure
    assert (best.groups, best.subset) == (10, "60 items in 10 groups")
    (tie,) = decision.ties
    assert (tie.contrast.p_value, tie.contrast.low) == (found.p_value, found.low)
    assert contest(store, [a, b], "mine").p_values([a, b])[0, 1] == pytest.approx(found.p_value)
    assert (found.items, found.groups) == (60, 10)
    said = compare(store, a, b, "mine").verdict
    assert "60 items in 10 groups" in said and "paired by group of related items" in said
    assert {row.subset for row in store.evaluations.scores()} == {"in 10 groups"}


def test_few_groups_are_said_to_be_too_few_however_many_items_they_have(store: Store) -> None:
    *_, found = pair(store, [str(place // 12) for place in range(60)])
    assert "differ on 5 of 5 groups of related items; of fewer than 6" in found.too_few and found.better is None


def test_groups_that_were_corrected_are_those_of_the_newer_measurement(store: Store) -> None:
    a = measured(store, "a", [True] * 20, [str(place // 4) for place in range(20)])
    b = measured(store, "b", [place % 2 == 0 for place in range(20)], [str(place // 2) for place in range(20)])
    found = compare(store, a, b, "mine").quality
    assert found is not None and found.groups == 10


def test_held_out_rows_have_no_groups(store: Store) -> None:
    a, b = add_model(store, "a"), add_model(store, "b")
    add_heldout(store, a, [90.0 + place for place in range(12)])
    add_heldout(store, b, [99.0 + place for place in range(12)])
    found = compare(store, a, b, "heldout").quality
    assert found is not None and found.groups == 0


def test_related_items_differ_less_surely_than_as_many_of_their_own() -> None:
    """Eight items a group that fall alike carry an eighth of what they seem to."""
    signs = np.repeat([1.0] * 8 + [0.0] * 4, 8)
    places = np.repeat(np.arange(12), 8)
    places[-3:] = 12  # groups of unequal sizes
    grouped = paired_in_groups(signs, np.zeros(96), places, True)
    assert grouped.p_value > 0.001 > paired_verdicts(0, 64, 0, 32).p_value
    assert grouped.low < paired_verdicts(0, 64, 0, 32).low
