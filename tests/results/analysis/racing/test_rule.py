"""A race sends away whom others beat, ends where nothing that matters is open, and is the same race when replayed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from results.analysis.racing.rule import looks, phase_ends, stand
from results.analysis.racing.standing import RaceStanding, RaceTerms

Floats = NDArray[np.float64]


def answers(rates: list[float], items: int, seed: int = 0, together: float = 0.7) -> Floats:
    """(models, items): a model passes at its rate; with that chance an item is as hard for one as for all."""
    draws = np.random.default_rng(seed)
    luck = np.where(
        draws.random((len(rates), items)) < together, draws.random(items), draws.random((len(rates), items))
    )
    return (luck < np.array(rates)[:, None]).astype(np.float64)


def whole(race: RaceStanding) -> tuple[object, ...]:
    return race.inside, race.left, race.items, race.end


def test_a_model_that_is_far_behind_leaves_early_and_the_best_is_left() -> None:
    found = stand(["a", "b", "c"], answers([0.8, 0.5, 0.3], 1000), RaceTerms(1000))
    assert found.end == "one left" and found.inside == ("a",)
    assert [one.model for one in found.left] == ["c", "b"] and {one.why for one in found.left} == {"worse"}
    assert found.left[0].items <= found.left[1].items < 400
    assert all(one.p_value <= 0.05 for one in found.left)


def test_two_models_that_answer_alike_end_in_a_tie_before_all_items_are_asked() -> None:
    scores = answers([0.6], 2000)
    found = stand(["a", "b"], np.concatenate([scores, scores]), RaceTerms(2000, margin=0.05))
    assert found.end == "tie" and found.items < 1000
    assert found.lead is not None and -0.05 < found.lead[1] <= 0 <= found.lead[2] < 0.05


def test_what_is_open_when_all_items_are_asked_is_said_to_be_open() -> None:
    found = stand(["a", "b"], answers([0.6, 0.55], 80), RaceTerms(80))
    assert found.end == "no more items" and found.items == 80 and len(found.inside) == 2


def test_a_race_goes_on_where_it_was() -> None:
    terms, scores = RaceTerms(500, margin=0.02), answers([0.7, 0.6, 0.5, 0.4], 500, seed=3)
    names = ["a", "b", "c", "d"]
    for seen in (0, 10, 16, 40, 250):
        some = stand(names, scores[:, :seen], terms)
        assert some.items <= seen
        gone = [one.model for one in some.left]
        known = scores.copy()
        for one in some.left:  # what was never asked changes nothing
            known[names.index(one.model), one.items :] = np.nan
        assert whole(stand(names, known, terms)) == whole(stand(names, scores, terms))
        assert [one.model for one in stand(names, scores, terms).left][: len(gone)] == gone


def test_names_and_their_order_show_nothing() -> None:
    scores, terms = answers([0.7, 0.5, 0.45, 0.6], 600, seed=5), RaceTerms(600)
    one = stand(["a", "b", "c", "d"], scores, terms)
    other = stand(["w", "x", "y", "z"], scores[[2, 0, 3, 1]], terms)
    renamed = {"w": "c", "x": "a", "y": "d", "z": "b"}
    assert [(renamed[left.model], left.items, left.why) for left in other.left] == [
        (left.model, left.items, left.why) for left in one.left
    ]
    assert [left.p_value for left in other.left] == pytest.approx([left.p_value for left in one.left])
    assert tuple(renamed[name] for name in other.inside) == one.inside


def test_errors_of_ours_count_for_nobody() -> None:
    scores = answers([0.8, 0.4], 400, seed=2)
    scores[:, ::7] = np.nan
    found = stand(["a", "b"], scores, RaceTerms(400))
    assert found.inside == ("a",) and found.scores["a"] == pytest.approx(np.nanmean(scores[0, : found.items]))


def test_a_budget_sends_the_lowest_away_and_says_that_nothing_is_shown() -> None:
    names = [f"model-{place}" for place in range(8)]
    scores = answers([0.6 - 0.005 * place for place in range(8)], 1000, seed=1, together=0.9)
    found = stand(names, scores, RaceTerms(1000, budget=2400))
    assert found.end == "budget" and len(found.inside) == 1
    assert any(one.why == "budget" and one.p_value > 0.05 for one in found.left)
    asked = sum(one.items for one in found.left) + found.items
    assert asked <= 2400


@pytest.mark.parametrize(("budget", "models", "most"), [(400, 4, 1000), (9497, 24, 1319), (8, 4, 100), (4, 2, 10)])
def test_phases_of_a_budget_grow_and_spend_it(budget: int, models: int, most: int) -> None:
    ends = phase_ends(RaceTerms(most, budget=budget), models)
    spent = sum(ends) + ends[-1]  # the last phase is asked of two
    assert len(ends) == models - 1 and list(ends) == sorted(ends) and ends[0] >= 1 and ends[-1] <= most
    assert budget - models <= spent <= budget


def test_phases_are_those_of_a_sequential_elimination() -> None:
    # s = 344.2: / 4**1.35, / 3**1.35, / 2**1.35
    assert phase_ends(RaceTerms(1000, budget=400), 4) == (52, 78, 135)
    assert phase_ends(RaceTerms(100, budget=400), 4) == (100, 100, 100)
    assert phase_ends(RaceTerms(100), 4) == ()
    assert looks(RaceTerms(1000, budget=400), 4) == (16, 32, 52, 64, 78, 96, 112, 135)
    with pytest.raises(ValueError, match="budget of 7 answers is too little for 4 models"):
        phase_ends(RaceTerms(100, budget=7), 4)


def test_the_race_is_looked_at_after_blocks_that_grow_and_at_the_last_item() -> None:
    found = looks(RaceTerms(1319), 5)
    assert found[:3] == (16, 32, 48) and found[-1] == 1319 and len(found) < 50
    assert looks(RaceTerms(5), 5) == (5,)


@pytest.mark.parametrize("models", [2, 5, 20])
def test_equal_models_are_all_left_in_more_than_nineteen_of_twenty_races(models: int) -> None:
    names, alarms = [str(place) for place in range(models)], 0
    for seed in range(150):
        scores = answers([0.5] * models, 60, seed=seed, together=0.5)
        alarms += bool(stand(names, scores, RaceTerms(60), at=range(1, 61)).left)
    assert alarms <= 0.05 * 150 + 5


def test_one_model_alone_has_won() -> None:
    assert stand(["a"], answers([0.5], 10), RaceTerms(10)).end == "one left"
