"""Bets hold at every look, and difference, interval and p-value of a raced pair never contradict one another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.analysis.paired import paired_verdicts
from results.analysis.racing.betting import Bets, raced_mean, raced_numbers, raced_verdicts

COUNTS = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda counts: sum(counts) > 0)
MOST = st.integers(240, 3000)


@settings(deadline=None, max_examples=60)
@given(COUNTS, MOST, st.floats(0.5, 0.999))
def test_an_interval_excludes_zero_exactly_where_its_p_value_says_so(
    counts: tuple[int, int, int, int], most: int, level: float
) -> None:
    found = raced_verdicts(*counts, most=most)
    low, high = found.interval(level)
    assert low <= found.value <= high
    if abs(found.p_value - (1 - level)) > 1e-6:
        assert (low > 0 or high < 0) == (found.p_value < 1 - level)


@settings(deadline=None, max_examples=40)
@given(COUNTS, MOST)
def test_who_is_called_the_first_of_a_pair_changes_nothing(counts: tuple[int, int, int, int], most: int) -> None:
    both, only_a, only_b, neither = counts
    one = raced_verdicts(both, only_a, only_b, neither, most=most)
    other = raced_verdicts(both, only_b, only_a, neither, most=most)
    assert one.p_value == pytest.approx(other.p_value)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


def test_verdicts_and_the_same_outcomes_as_numbers_are_one_difference() -> None:
    a, b = np.array([1.0] * 30 + [0.0] * 10), np.array([1.0] * 12 + [0.0] * 25 + [1.0] * 3)
    numbers = raced_numbers(a, b, most=500)
    verdicts = raced_verdicts(12, 18, 3, 7, most=500)
    assert (numbers.value, numbers.p_value, numbers.low) == pytest.approx(
        (verdicts.value, verdicts.p_value, verdicts.low)
    )


def test_looking_whenever_one_likes_costs_width() -> None:
    fixed, raced = paired_verdicts(60, 30, 8, 66), raced_verdicts(60, 30, 8, 66, most=164)
    assert raced.low < fixed.low < fixed.high < raced.high
    assert raced.p_value > fixed.p_value


def test_two_equal_models_are_told_apart_in_one_race_of_twenty_at_most_though_one_looks_after_every_item() -> None:
    draws, races, items = np.random.default_rng(4), 2000, 120
    steps = draws.choice([-1.0, 0.0, 1.0], (races, items), p=[0.2, 0.6, 0.2])
    wins, losses = np.cumsum(steps > 0, axis=1), np.cumsum(steps < 0, axis=1)
    known: dict[tuple[int, int], float] = {}
    alarms = 0
    for race in range(races):
        for won, lost in dict.fromkeys(zip(wins[race].tolist(), losses[race].tolist(), strict=True)):
            if (won, lost) not in known:
                known[won, lost] = raced_verdicts(0, won, lost, items - won - lost, most=items).p_value
            if known[won, lost] <= 0.05:
                alarms += 1
                break
    assert 0.005 * races < alarms <= 0.05 * races + 2 * np.sqrt(races * 0.05 * 0.95)


def test_the_interval_of_a_mean_holds_the_truth_at_all_looks_at_once() -> None:
    draws, outside = np.random.default_rng(5), 0
    for _ in range(150):
        scores = draws.integers(0, 5, 96) / 4
        bets = (Bets.of(scores[:end], 96, 0.0, 1.0) for end in range(4, 97, 4))
        outside += any(min(one.below(0.5), one.above(0.5)) <= 0.025 for one in bets)
    assert outside <= 0.05 * 150 + 5


def test_the_mean_of_a_race_has_ends_inside_its_bounds_and_around_it() -> None:
    for scores in ([1.0] * 20, [0.0] * 20, [0.25, 0.5, 1.0]):
        found = raced_mean(scores, most=100)
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_what_cannot_be_bet_on_is_refused_with_its_value() -> None:
    with pytest.raises(ValueError, match=r"from -1 to 1: 0 to 3"):
        raced_numbers([3.0, 1.0], [0.0, 1.0], most=10)
    with pytest.raises(ValueError, match="at least one: 0 against 0"):
        raced_numbers([], [], most=10)
    with pytest.raises(ValueError, match="not all zero"):
        raced_verdicts(0, 0, 0, 0, most=10)
    with pytest.raises(ValueError, match="at least one score"):
        raced_mean([], most=10)
