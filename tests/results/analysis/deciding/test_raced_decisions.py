"""Decisions on outcomes of a race: who left is neither dropped nor compared on items that it was not asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results import Question, Store, compare, contest, decide, decision_markdown, standing
from results.analysis.racing.betting import raced_scores
from results.analysis.racing.entry import RaceEntry
from results.analysis.racing.rule import stand
from results.analysis.racing.standing import RaceStanding, RaceTerms
from results.records import Evaluation, Score
from tests.results.shelves import add_humaneval, add_model

GAPS = {"best": 0.75, "middling": 0.6, "bad": 0.35}


def raced(store: Store, rates: dict[str, float], terms: RaceTerms, seed: int = 0, race: str = "race") -> RaceStanding:
    """Race models of these rates, and store what each was asked."""
    draws = np.random.default_rng(seed)
    luck = np.where(draws.random((len(rates), terms.most)) < 0.7, draws.random(terms.most), draws.random(terms.most))
    passed = luck < np.array(list(rates.values()))[:, None]
    found = stand(list(rates), passed.astype(np.float64), terms)
    gone = {one.model: one for one in found.left}
    for place, name in enumerate(rates):
        one = gone.get(name)
        items = one.items if one else found.items
        entry = RaceEntry(race, terms.most, items, len(rates), one.why if one else None, one.p_value if one else 1.0)
        model = add_model(store, f"{name}-{race}")
        add_humaneval(store, model, passed[place, :items].tolist(), details=entry.details())
    return found


def test_the_winner_of_a_race_is_shipped_and_who_left_is_behind_and_not_missing(store: Store) -> None:
    race = raced(store, GAPS, RaceTerms(1000))
    assert race.end == "one left"
    found = decide(store, Question(models=("best-race", "middling-race", "bad-race")))
    assert (found.kind, found.chosen) == ("ship", "best-race")
    asked = {one.model: one.items for one in race.left}
    for name, items in asked.items():
        one = found.candidate(f"{name}-race")
        assert one.quality is not None and one.quality.n == items and not one.reasons
        assert one.raced is not None and (one.raced.left, one.raced.items) == ("worse", items)
        tie = next(tie for tie in found.ties if tie.model_id == one.model_id)
        assert (tie.contrast.method, tie.contrast.items) == ("bets", items)
        assert standing(found, one.model_id) == "behind"
        assert any(f"{one.model} left the race after {items:,} of 1,000 items" in said for said in found.reasons)
    assert found.items == race.items
    assert f"Measured until decided: {race.items} of 1,000 items" in found.paragraph
    assert "Shown to be worse than another and asked no more: " in decision_markdown(found)


def test_a_race_says_nothing_of_a_model_whose_betters_are_not_asked_about(store: Store) -> None:
    raced(store, {"best": 0.9, "bad": 0.3, "worst": 0.29}, RaceTerms(400))
    found = decide(store, Question(models=("bad-race", "worst-race")))
    assert found.kind == "not enough data" and found.chosen is None
    assert all(tie.tied for tie in found.ties)


def test_a_race_that_was_killed_shows_nobody_to_be_worse(store: Store) -> None:
    race = raced(store, GAPS, RaceTerms(1000))
    gone = race.left[0]
    other = RaceEntry("killed", 1000, gone.items, 4, "worse", 1e-9)  # the fourth of that race is not stored
    lost = add_model(store, "lost")
    add_humaneval(store, lost, [True] * gone.items, details=other.details())
    found = decide(store, Question(models=("best-race", "middling-race", "bad-race", "lost")))
    assert found.chosen is None and not next(tie for tie in found.ties if tie.model_id == "lost").p_adjusted < 0.05


def test_a_pair_of_a_race_is_compared_by_bets_on_the_items_that_both_were_asked(store: Store) -> None:
    race = raced(store, GAPS, RaceTerms(1000))
    found = compare(store, store.models.get("best-race"), store.models.get("bad-race")).quality
    assert found is not None and found.method == "bets" and found.better == "a"
    assert found.items == next(one.items for one in race.left if one.model == "bad")
    fixed = add_model(store, "whole")
    add_humaneval(store, fixed, [True] * 1000)
    mixed = compare(store, fixed, store.models.get("bad-race"))
    assert mixed.quality is not None and (mixed.quality.method, mixed.quality.items) == ("bets", found.items)
    assert "bets that hold at every look" in mixed.verdict


def test_side_by_side_a_model_that_left_wins_and_loses_only_what_it_was_asked(store: Store) -> None:
    race = raced(store, GAPS, RaceTerms(1000))
    known = {one.id: one for one in store.models.list()}
    ids = ["best-race", "bad-race", "middling-race"]
    found = contest(store, [known[id_] for id_ in ids], "humaneval")
    assert [one.id for one in found.models] == ["best-race", "middling-race", "bad-race"] and not found.missing
    wins = found.wins(found.models)
    asked = {one.model: one.items for one in race.left}
    assert 0 < wins[0, 2] + wins[2, 0] <= asked["bad"] and wins[0, 1] + wins[1, 0] <= asked["middling"]
    assert found.figures["bad-race"].n == asked["bad"]
    assert found.p_values(found.models)[0, 2] < 0.05


def test_who_the_budget_sent_away_is_not_shown_to_be_worse(store: Store) -> None:
    race = raced(store, {f"m{place}": 0.6 for place in range(6)}, RaceTerms(1000, budget=900))
    assert race.end == "budget"
    found = decide(store, Question(models=tuple(f"m{place}-race" for place in range(6))))
    assert found.chosen is None and found.best == f"{race.inside[0]}-race"
    assert "which shows nothing: " in found.paragraph


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(0.1, 0.9), min_size=2, max_size=5), st.integers(0, 99), st.sampled_from([None, 200]))
def test_no_sentence_of_a_raced_decision_contradicts_another(
    store: Store, rates: Sequence[float], seed: int, budget: int | None
) -> None:
    race = f"race{abs(hash((tuple(rates), seed, budget)))}"
    names = {f"m{place}": rate for place, rate in enumerate(rates)}
    raced_as = raced(store, names, RaceTerms(300, budget=budget), seed, race)
    found = decide(store, Question(models=tuple(f"{name}-{race}" for name in names)))
    assert len([one for one in found.candidates if one.quality is not None]) == len(rates)
    gone = {f"{one.model}-{race}" for one in raced_as.left}
    assert found.best not in gone and found.chosen not in {f"{one.model}-{race}" for one in raced_as.left}
    for tie in found.ties:
        left = found.candidate(tie.model_id).raced
        assert left is not None
        if left.left == "worse":
            assert not tie.tied and left.p_value <= 0.05
        elif not tie.tied:
            assert tie.contrast.low > 0 and tie.contrast.p_value <= 0.05
    if raced_as.end == "one left":
        assert found.kind == "ship"
    if found.kind == "ship":
        assert not any(tie.tied for tie in found.ties)


def test_scores_of_a_race_have_intervals_that_hold_at_every_look_or_none() -> None:
    entry = RaceEntry("race", 500, 40, 3, "worse", 0.01)
    scores = [Score("pass@1", 0.5, 0.35, 0.65, 40), Score("no_answer_share", 0.1, 0.0, 0.2, 40)]
    first, second = raced_scores(scores, [1.0, 0.0] * 20, 500)
    assert first.low is not None and first.high is not None and first.low < 0.35 and first.high > 0.65
    assert (second.value, second.low, second.high) == (0.1, None, None)
    assert raced_scores([scores[0]], [1.0, 1.0], 500)[0].low is None  # no mean of these values
    assert RaceEntry.of(Evaluation("e", "m", "humaneval", {}, "here", details=entry.details())) == entry
    assert RaceEntry.of(Evaluation("e", "m", "humaneval", {}, "here")) is None


def test_a_race_says_nothing_unless_all_that_stayed_in_are_asked_about(store: Store) -> None:
    for name, left in (("one", None), ("other", None), ("lost", "worse")):
        entry = RaceEntry("race", 100, 20, 3, left, 0.001 if left else 1.0)  # type: ignore[arg-type]
        add_humaneval(store, add_model(store, name), [True, False] * 10, details=entry.details())
    everyone = decide(store, Question(models=("one", "other", "lost")))
    assert [tie.model_id for tie in everyone.ties if not tie.tied] == ["lost"]
    assert all(tie.tied for tie in decide(store, Question(models=("one", "lost"))).ties)


@pytest.mark.parametrize("left", ["worse", "budget", None])
def test_only_who_was_shown_to_be_worse_counts_as_beaten(store: Store, left: str | None) -> None:
    for name, why in (("one", None), ("other", left)):
        entry = RaceEntry("race", 100, 20, 2, why, 0.001 if why else 1.0)  # type: ignore[arg-type]
        add_humaneval(store, add_model(store, name), [True, False] * 10, details=entry.details())
    assert (decide(store, Question(models=("one", "other"))).kind == "ship") == (left == "worse")
