"""Rankings from votes: against choix, against planted strengths, and with the answers' length held equal."""

from __future__ import annotations

import math
from dataclasses import replace

import choix
import numpy as np
import pytest
from scipy import stats

from results import NotFound, Vote, rate, uncertain_pairs
from results.analysis.ratings import PRIOR_VOTES, SHARES, _drawn_prior, _prior

STRENGTHS = {"a": 0.8, "b": 0.2, "c": 0.0, "d": -1.0}


def votes(count: int, seed: int = 0, length_effect: float = 0.0, judge: str = "", ties: float = 0.1) -> list[Vote]:
    """Votes between models of planted strengths, longer answers preferred by `length_effect` per doubling."""
    generator, names, found = np.random.default_rng(seed), list(STRENGTHS), []
    for number in range(count):
        one, two = generator.choice(4, 2, replace=False)
        long, short = generator.integers(20, 400, 2)
        odds = STRENGTHS[names[one]] - STRENGTHS[names[two]] + length_effect * math.log2((long + 1) / (short + 1))
        tie = generator.random() < ties
        winner = "tie" if tie else "a" if generator.random() < 1 / (1 + math.exp(-odds)) else "b"
        answers = ("x" * int(long), "y" * int(short))
        found.append(Vote(str(number), "p", names[one], names[two], *answers, winner, judge=judge))  # type: ignore[arg-type]
    return found


def test_strengths_are_choixs() -> None:
    cast = votes(400)
    wins = PRIOR_VOTES / 2 / 3 * (1 - np.eye(4))
    for vote in cast:
        one, two = "abcd".index(vote.model_a), "abcd".index(vote.model_b)
        wins[one, two] += SHARES[vote.winner]
        wins[two, one] += 1 - SHARES[vote.winner]
    theirs = choix.ilsr_pairwise_dense(wins)
    ours = {rating.model_id: rating.strength for rating in rate(cast, resamples=20).ratings}
    assert [ours[name] for name in "abcd"] == pytest.approx(list(theirs - theirs.mean()), abs=1e-5)


def test_sixty_models_with_two_votes_each_are_fitted_to_the_end() -> None:
    names, generator = [f"m{number:02}" for number in range(60)], np.random.default_rng(2)
    cast = [
        Vote(str(number), "p", *(names[place] for place in generator.choice(60, 2, replace=False)), "", "", "a")
        for number in range(60)
    ]
    rated = rate(cast, resamples=3)
    strengths = {one.model_id: one.strength for one in rated.ratings}
    for name in strengths:
        pull = 0.0
        for vote in cast:
            chance = 1 / (1 + math.exp(strengths[vote.model_b] - strengths[vote.model_a]))
            pull += (1 - chance) * ((vote.model_a == name) - (vote.model_b == name))
        for other in set(strengths) - {name}:
            pull += PRIOR_VOTES / (len(strengths) - 1) * (0.5 - 1 / (1 + math.exp(strengths[other] - strengths[name])))
        assert pull == pytest.approx(0.0, abs=1e-6), "nothing pulls at a strength that fits best"


@pytest.mark.parametrize("models", [2, 5, 40])
def test_what_is_left_out_of_the_drawn_prior_weighs_nothing(models: int) -> None:
    prior, generator = _prior(models), np.random.default_rng(3)
    drawn = [_drawn_prior(prior, generator) for _ in range(2000)]
    won = [one.weights[one.sides[:, 0] == 0].sum() for one in drawn]
    assert stats.kstest(won, stats.gamma(PRIOR_VOTES / 2).cdf).pvalue > 1e-3
    if models == 40:
        assert np.mean([len(one.weights) for one in drawn]) < len(prior.weights) / 4


def test_the_planted_order_is_found_with_honest_ranks() -> None:
    found = rate(votes(600), resamples=100)
    assert [rating.model_id for rating in found.ratings][0::3] == ["a", "d"]
    best, worst = found.ratings[0], found.ratings[-1]
    assert (best.rank_low, best.rank_high) == (1, 1) and worst.rank_low == 4
    assert best.low < best.strength < best.high
    few = rate(votes(12), resamples=100)
    assert few.ratings[0].rank_high > 1, "twelve votes settle no order"
    close = next(pair for pair in found.pairs if (pair.model_a, pair.model_b) == ("b", "c"))
    assert close.votes_needed is None or close.votes_needed > 100


def test_equal_length_takes_the_length_out() -> None:
    cast = votes(1500, length_effect=0.6, ties=0.0)
    held = rate(cast, equal_length=True, resamples=60)
    assert held.length_effect is not None and held.length_low is not None and held.length_high is not None
    assert held.length_low < 0.6 < held.length_high
    assert rate(cast, resamples=20).length_effect is None


@pytest.mark.slow
def test_the_intervals_cover_the_planted_strengths() -> None:
    mean, hits = sum(STRENGTHS.values()) / 4, []
    for world in range(40):
        for rating in rate(votes(250, seed=world, ties=0.0), resamples=80).ratings:
            hits.append(rating.low <= STRENGTHS[rating.model_id] - mean <= rating.high)
    assert 0.89 <= np.mean(hits) <= 0.99  # 160 intervals, four to a world: known to about ±4 points


def test_a_model_that_won_every_vote_has_a_finite_strength() -> None:
    cast = [Vote(str(number), "p", "a", "b", "", "", "a") for number in range(9)]
    found = rate(cast, resamples=50)
    assert math.isfinite(found.ratings[0].strength) and found.ratings[0].model_id == "a"
    ties = rate([Vote("1", "p", "a", "b", "", "", "tie"), Vote("2", "p", "b", "a", "", "", "both_bad")], resamples=20)
    assert ties.ratings[0].strength == pytest.approx(0.0)


def test_strength_and_length_are_told_as_how_often_one_is_preferred() -> None:
    rated = rate(votes(400, length_effect=0.6, ties=0.0), equal_length=True, resamples=20)
    for one in rated.ratings:
        expected = [1 / (1 + math.exp(-odds)) for odds in (one.strength, one.low, one.high)]
        assert one.chance == pytest.approx(expected)
    assert rated.length_effect is not None
    assert rated.length_chance == pytest.approx(1 / (1 + math.exp(-rated.length_effect)))
    assert rate(votes(50), resamples=20).length_chance is None


@pytest.mark.parametrize(("won", "cast"), [(1, 1), (3, 3), (9, 10)])
def test_the_first_votes_have_the_interval_of_their_share(won: int, cast: int) -> None:
    one_sided = [Vote(str(one), "p", "a", "b", "", "", "a" if one < won else "b") for one in range(cast)]
    pair = rate(one_sided, resamples=1500).pairs[0]
    assert (pair.low, pair.high) == pytest.approx(stats.beta(won + 0.5, cast - won + 0.5).ppf([0.025, 0.975]), abs=0.06)
    assert pair.low < pair.probability < pair.high


def test_a_ranking_says_when_it_is_one() -> None:
    def told(won: int, cast: int) -> str:
        return rate([Vote(str(one), "p", "a", "b", "", "", "a" if one < won else "b") for one in range(cast)]).standing

    assert told(1, 1) == "No ranking yet: a model has 1 vote, and each needs at least 6."
    assert told(5, 9).startswith("Not settled: the first place is open: the first two are told apart by about ")
    assert told(40, 50) == "Settled: each model is preferred to each below it."
    some = rate(votes(600), resamples=100)
    assert some.settled in (1, 2) and some.standing.startswith("Settled for the first ")


def test_blind_votes_and_those_with_the_names_in_sight_are_never_pooled() -> None:
    cast = votes(50) + [replace(one, blind=False) for one in votes(30, seed=3)]
    blind, sighted = rate(cast, resamples=5), rate(cast, blind=False, resamples=5)
    assert (blind.votes, blind.blind, sighted.votes, sighted.blind) == (50, True, 30, False)
    with pytest.raises(NotFound, match="No votes with the names in sight by people"):
        rate(votes(5), blind=False)


def test_people_and_judges_are_never_pooled() -> None:
    cast = [*votes(50), *votes(70, seed=1, judge="gpt")]
    assert rate(cast, resamples=5).votes == 50 and rate(cast, judge="gpt", resamples=5).votes == 70
    with pytest.raises(NotFound, match="No blind votes by people"):
        rate(votes(5, judge="gpt"))


def test_the_pair_that_teaches_most_comes_first() -> None:
    cast = [vote for vote in votes(200) if {vote.model_a, vote.model_b} != {"c", "d"}]
    order = uncertain_pairs(rate(cast, resamples=50), ["a", "b", "c", "d"])
    assert order[0] == ("c", "d") and len(order) == 6
