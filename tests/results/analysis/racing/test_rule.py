"""A race sends away whom others beat, ends where nothing that matters is open, and is the same race when replayed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from results.analysis.racing.budget import leaves_after, phase_ends
from results.analysis.racing.rule import stand
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


@pytest.mark.parametrize(
    ("budget", "models", "most"),
    [(400, 4, 1000), (9497, 24, 1319), (8, 4, 100), (23, 7, 100), (4, 2, 10), (10**5, 3, 60)],
)
def test_a_race_spends_its_budget_and_no_more_however_its_models_stand(budget: int, models: int, most: int) -> None:
    names = [f"model-{place}" for place in range(models)]
    equal = np.ones((models, most))
    for scores in (equal, *(answers([0.6] * models, most, seed, together=0.9) for seed in range(5))):
        found = stand(names, scores, RaceTerms(most, margin=1e-9, budget=budget))
        asked = sum(one.items for one in found.left) + found.items * len(found.inside)
        assert asked <= budget and len(found.inside) == 1 and found.next_look is None
        assert found.end != "budget" or asked > min(budget, models * most) - max(models, 0.1 * budget)


def test_the_lowest_leaves_the_sooner_the_further_behind_it_is() -> None:
    even, some, far = (np.array([1.0] * ahead + [-1.0] * 20 + [0.0] * 40) for ahead in (20, 30, 60))
    ends = [leaves_after(100, 8, ahead) for ahead in (even, some, far)]
    assert ends[0] == 200 and ends == sorted(ends, reverse=True) and ends[2] < 60
    assert leaves_after(100, 24, some) > leaves_after(100, 8, some), "the lowest of many is further behind by luck"
    assert leaves_after(100, 8, np.zeros(50)) == 200


def test_who_leaves_early_leaves_its_answers_to_the_others() -> None:
    scores = answers([0.7, 0.7, 0.7, 0.7], 2000, seed=3, together=0.9)
    hopeless = np.concatenate([scores[:3], np.zeros((1, 2000))])
    (near, far) = (stand(["a", "b", "c", "d"], one, RaceTerms(2000, 1e-9, budget=1200)) for one in (scores, hopeless))
    assert far.left[0].model == "d" and far.left[0].items < near.left[0].items
    assert far.items > near.items


def test_phases_are_those_of_a_sequential_elimination() -> None:
    # s = 344.2: / 4**1.35, / 3**1.35, / 2**1.35
    assert phase_ends(400, 4, 1000) == (52, 78, 135)
    assert phase_ends(400, 4, 100) == (100, 100, 100)
    assert phase_ends(400, 1, 100) == ()
    with pytest.raises(ValueError, match="budget of 7 answers is too little for 4 models"):
        stand(["a", "b", "c", "d"], np.ones((4, 0)), RaceTerms(100, budget=7))


def test_the_race_is_looked_at_after_blocks_that_grow_and_at_the_last_item() -> None:
    scores = answers([0.6], 1319)
    equal, ends = np.concatenate([scores, scores]), [0]
    while (end := stand(["a", "b"], equal[:, : ends[-1]], RaceTerms(1319, margin=1e-9)).next_look) is not None:
        ends.append(end)
    assert ends[:4] == [0, 16, 32, 48] and ends[-1] == 1319 and len(ends) < 50
    assert stand(["a", "b"], np.ones((2, 0)), RaceTerms(5)).next_look == 5


@pytest.mark.slow
@pytest.mark.parametrize("models", [2, 5, 20])
def test_equal_models_are_all_left_in_more_than_nineteen_of_twenty_races(models: int) -> None:
    names, alarms = [str(place) for place in range(models)], 0
    for seed in range(150):
        scores = answers([0.5] * models, 60, seed=seed, together=0.5)
        alarms += bool(stand(names, scores, RaceTerms(60), at=range(1, 61)).left)
    assert alarms <= 0.05 * 150 + 5


def test_one_model_alone_has_won() -> None:
    assert stand(["a"], answers([0.5], 10), RaceTerms(10)).end == "one left"
