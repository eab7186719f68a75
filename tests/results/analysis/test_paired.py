"""Difference, interval and p-values of two models on the same items never contradict one another."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from results.analysis.distributions.differing import FEWEST_DIFFERING
from results.analysis.paired import (
    PairedDifference,
    paired_numbers,
    paired_ratios,
    paired_verdicts,
    verdict_p_values,
)

COUNTS = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda counts: sum(counts) > 0)
GRADES = st.lists(st.tuples(*[st.integers(0, 4).map(lambda grade: grade / 4)] * 2), min_size=1, max_size=40)
ROWS = st.lists(st.tuples(st.floats(0.1, 500), st.floats(0.1, 500), st.integers(1, 400)), min_size=1, max_size=40)


def of_grades(pairs: list[tuple[float, float]]) -> PairedDifference:
    return paired_numbers([a for a, _ in pairs], [b for _, b in pairs])


def of_rows(rows: list[tuple[float, float, int]]) -> PairedDifference:
    return paired_ratios([a for a, _, _ in rows], [b for _, b, _ in rows], [size for _, _, size in rows])


ANY = st.one_of(COUNTS.map(lambda counts: paired_verdicts(*counts)), GRADES.map(of_grades), ROWS.map(of_rows))


@settings(deadline=None)
@given(ANY, st.floats(0.5, 0.9999))
def test_an_interval_excludes_what_its_own_test_rejects_and_nothing_else(found: PairedDifference, level: float) -> None:
    low, high = found.interval(level)
    tail, step = (1 - level) / 2, 1e-6 * max(1.0, abs(found.value))
    assert low <= found.value <= high
    below, above = found.confidence.below, found.confidence.above
    if math.isfinite(low):
        assert below(low - step) <= tail <= below(low + step) or low == -1
    if math.isfinite(high):
        assert above(high + step) <= tail <= above(high - step) or high == 1


@settings(deadline=None)
@given(ANY, st.floats(-0.2, 0.2))
def test_a_p_value_of_a_larger_shift_is_no_smaller(found: PairedDifference, shift: float) -> None:
    # where Hall's and the counted p-values cross, their mean over shares dips by some 1e-4 for a handful of items
    assert found.confidence.surely_below(shift) <= found.confidence.surely_below(shift + 0.01) + 1e-9
    assert found.confidence.below(shift) <= found.confidence.below(shift + 0.01) + 0.005
    assert found.confidence.above(shift) >= found.confidence.above(shift + 0.01) - 0.005


@settings(deadline=None)
@given(ANY, st.floats(0.001, 0.3))
def test_a_margin_outside_of_the_interval_is_ruled_out_at_five_percent(found: PairedDifference, margin: float) -> None:
    if found.low > -margin:
        assert found.p_at_most(-margin) <= 0.05
    assert found.p_at_most(-margin) >= found.confidence.below(-margin)


def test_what_ties_at_zero_ties_beside_it_too() -> None:
    """Half of what ties counts at 0; were it less than half beside it, the interval would reach over 0."""
    found = of_grades([(0.0, 1.0)] * 3 + [(0.0, 0.25)] * 3 + [(0.25, 0.0)])
    assert found.p_value == pytest.approx(6 / 128) and found.high < 0
    above = [found.confidence.above(shift) for shift in (-2e-9, -1e-9, 0.0, 0.9e-9, 1e-9, 2e-9)]
    assert above == sorted(above, reverse=True)


@settings(deadline=None)
@given(ANY)
def test_zero_is_outside_of_the_interval_exactly_where_p_is_at_most_five_percent(found: PairedDifference) -> None:
    assert (found.low > 0 or found.high < 0) == (found.p_value <= 0.05)
    assert bool(found.too_few) == (found.differing < FEWEST_DIFFERING)


@settings(deadline=None)
@given(COUNTS)
def test_b_against_a_is_a_against_b_mirrored(counts: tuple[int, int, int, int]) -> None:
    both, only_a, only_b, neither = counts
    one, other = paired_verdicts(*counts), paired_verdicts(both, only_b, only_a, neither)
    assert (other.value, other.p_value) == (-one.value, pytest.approx(one.p_value))
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=1e-9)


@settings(deadline=None)
@given(GRADES)
def test_graded_scores_too_are_mirrored(pairs: list[tuple[float, float]]) -> None:
    one, other = of_grades(pairs), of_grades([(b, a) for a, b in pairs])
    assert (other.value, other.p_value) == (pytest.approx(-one.value), pytest.approx(one.p_value))
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=1e-6)


@given(COUNTS)
def test_verdicts_have_a_p_between_mid_p_and_the_exact_one(counts: tuple[int, int, int, int]) -> None:
    _, only_a, only_b, _ = counts
    wins, n = max(only_a, only_b), only_a + only_b
    mid, exact = (2 * (stats.binom.sf(wins, n, 0.5) + share * stats.binom.pmf(wins, n, 0.5)) for share in (0.5, 1))
    found = paired_verdicts(*counts).p_value
    assert min(1.0, mid) - 1e-9 <= found <= min(1.0, exact) + 1e-9
    if n > 0.85 * sum(counts):
        assert found == pytest.approx(min(1.0, exact), rel=1e-6)


@pytest.mark.parametrize("level", [0.05, 0.05 / 3])
@pytest.mark.parametrize("items", [16, 50, 120])
def test_two_equal_models_are_told_apart_no_more_often_than_said_whatever_share_of_items_differs(
    items: int, level: float
) -> None:
    differing = np.arange(FEWEST_DIFFERING, items + 1)
    chances = np.zeros(items + 1)  # of an alarm, where so many differ
    for n in differing:
        wins = np.arange(n + 1)
        at_most = verdict_p_values(wins, n - wins, items)
        found = np.minimum(at_most, verdict_p_values(n - wins, wins, items)) <= level / 2
        chances[n] = stats.binom.pmf(wins, n, 0.5)[found].sum()
    share = np.linspace(0.01, 0.999, 200)[:, None]
    assert (stats.binom.pmf(np.arange(items + 1), items, share) @ chances).max() <= level


@settings(deadline=None)
@given(ANY, st.floats(-0.2, 0.2), st.sampled_from([0.025, 0.005, 0.025 / 99]))
def test_whether_an_interval_lies_above_a_shift_is_what_the_interval_says(
    found: PairedDifference, shift: float, tail: float
) -> None:
    for least, most in found.confidence.bounds_below(shift):
        assert least - 1e-9 <= found.confidence.below(shift) <= most + 1e-9
    assert found.lies_above(shift, tail) == (found.confidence.below(shift) <= tail)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_scores_that_are_all_right_or_wrong_are_judged_as_pass_or_fail(pairs: list[tuple[bool, bool]]) -> None:
    graded = of_grades([(float(a), float(b)) for a, b in pairs])
    both, only_a, only_b = (sum(pair == one for pair in pairs) for one in ((True, True), (True, False), (False, True)))
    found = paired_verdicts(both, only_a, only_b, len(pairs) - both - only_a - only_b)
    assert (graded.value, graded.too_few) == (found.value, found.too_few)
    if only_a or only_b:
        assert (graded.p_value, graded.low, graded.high) == (found.p_value, found.low, found.high)


@given(st.lists(st.tuples(*[st.integers(0, 4).map(lambda grade: grade / 4)] * 2), min_size=1, max_size=10))
def test_graded_scores_have_the_p_of_every_sign_flip(pairs: list[tuple[float, float]]) -> None:
    differences = np.array([a - b for a, b in pairs])
    observed = differences.sum()
    sums = np.array([np.dot(signs, differences) for signs in product((1, -1), repeat=len(pairs))])
    more, same = (sums > observed + 1e-9).mean(), (np.abs(sums - observed) < 1e-9).mean()
    one_sided = more + same / 2
    assert of_grades(pairs).p_at_most(0.0) >= one_sided - 1e-3
    # what goes beyond the flips is Hall's allowance for skewness, which is none where the differences are symmetric
    mirrored = of_grades([*pairs, *((b, a) for a, b in pairs)])
    if not np.isin(differences, (-1.0, 0.0, 1.0)).all():  # of right and wrong alone: McNemar's test, and its ties
        assert mirrored.p_at_most(0.0) == pytest.approx(0.5, abs=0.04)  # beyond 14 items a subgroup of the flips


@settings(deadline=None)
@given(ROWS, st.floats(0.1, 10))
def test_rows_measured_in_other_units_differ_by_that_factor(rows: list[tuple[float, float, int]], unit: float) -> None:
    assume(all(a == b or abs(a - b) > 1e-9 for a, b, _ in rows))  # a difference in the last bit is lost by the factor
    one, other = of_rows(rows), of_rows([(a * unit, b * unit, size) for a, b, size in rows])
    assert other.value == pytest.approx(one.value * unit, abs=1e-9)
    assert other.p_value == pytest.approx(one.p_value, abs=1e-3)


def test_the_value_of_rows_is_the_difference_of_the_two_bits_per_byte() -> None:
    found = paired_ratios([30, 50, 20], [33, 45, 10], [100, 10, 40])
    assert found.value == pytest.approx((100 - 88) / 150 / math.log(2))


def test_more_items_on_which_all_agree_narrow_the_interval_and_leave_p() -> None:
    few, many = paired_verdicts(10, 8, 2, 10), paired_verdicts(500, 8, 2, 500)
    assert few.p_value == many.p_value
    assert many.high - many.low < (few.high - few.low) / 10


def test_two_models_that_agree_on_every_task_are_close_but_not_known_to_be_equal() -> None:
    found = paired_verdicts(400, 0, 0, 100)
    assert found.too_few
    assert -0.02 < found.low < 0 < found.high < 0.02


@pytest.mark.parametrize(("n", "share", "margin"), [(40, 0.1, 0.1), (25, 0.2, 0.1), (164, 0.04, 0.03), (80, 0.3, 0.03)])
def test_a_model_worse_by_the_margin_passes_in_at_most_five_of_a_hundred_worlds(
    n: int, share: float, margin: float
) -> None:
    chances = np.zeros((n + 1, n + 1))
    for differing in range(n + 1):
        wins = np.arange(differing + 1)
        one = stats.binom.pmf(differing, n, share) * stats.binom.pmf(wins, differing, (1 - margin / share) / 2)
        chances[wins, differing - wins] = one
    wins, losses = np.nonzero(chances > 1e-9)
    passed = verdict_p_values(wins, losses, n, -margin) <= 0.05
    assert 0.005 < chances[wins, losses][passed].sum() <= 0.05


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(*[st.integers(0, 40)] * 2), min_size=1, max_size=8), st.sampled_from([0.0, -0.03, 0.05]))
def test_many_pairs_at_once_have_the_p_values_of_each(pairs: list[tuple[int, int]], shift: float) -> None:
    found = verdict_p_values([a for a, _ in pairs], [b for _, b in pairs], 100, shift)
    each = [paired_verdicts(100 - a - b, a, b, 0).p_at_most(shift) for a, b in pairs]
    assert found == pytest.approx(np.array(each), abs=1e-12)


def test_scores_beyond_a_share_have_no_bounds_and_few_of_them_no_interval() -> None:
    assert paired_numbers([7.0, 1.0, 3.0], [1.0, 2.0, 3.0]).low == -math.inf
    assert paired_numbers(np.arange(12.0), np.arange(12.0) - 5 + np.arange(12) % 3).low > 1


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (1, -1, 0, 0)])
def test_counts_that_no_tasks_can_have_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="counts of tasks"):
        paired_verdicts(*counts)


def test_numbers_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="same items"):
        paired_numbers([0.5], [0.5, 1.0])
    with pytest.raises(ValueError, match="finite"):
        paired_ratios([math.nan], [1.0], [3])
    with pytest.raises(ValueError, match="its bytes"):
        paired_ratios([1.0], [1.0], [0])
