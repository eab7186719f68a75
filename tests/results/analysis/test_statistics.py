"""Intervals and tests against scipy, statsmodels and published worked examples, and by their properties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from results.analysis import statistics
from results.analysis.comparison import newcombe_interval

CASES = settings(max_examples=40)
COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@CASES
@given(COUNTS)
def test_wilson_is_statsmodels_wilson(counts: tuple[int, int]) -> None:
    assert statistics.wilson_interval(*counts) == pytest.approx(proportion_confint(*counts, method="wilson"), abs=1e-12)


@CASES
@given(COUNTS)
def test_clopper_pearson_is_scipys_exact_interval(counts: tuple[int, int]) -> None:
    exact = stats.binomtest(*counts).proportion_ci(method="exact")
    assert statistics.clopper_pearson_interval(*counts) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_wilson_worked_example() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662 without continuity correction
    assert statistics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_newcombe_worked_example() -> None:
    # Newcombe 1998, "Interval estimation for the difference", table II, method 10: 56/70 - 48/80 gives 0.0524 to 0.3339
    assert newcombe_interval(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@CASES
@given(COUNTS, COUNTS)
def test_newcombe_is_statsmodels_newcombe(a: tuple[int, int], b: tuple[int, int]) -> None:
    assert newcombe_interval(*a, *b) == pytest.approx(confint_proportions_2indep(*a, *b, method="newcomb"), abs=1e-9)


@CASES
@given(COUNTS)
def test_intervals_hold_the_rate_and_stay_within_bounds(counts: tuple[int, int]) -> None:
    passed, n = counts
    for low, high in (statistics.wilson_interval(*counts), statistics.clopper_pearson_interval(*counts)):
        assert 0 <= low <= passed / n <= high <= 1
    wilson, exact = statistics.wilson_interval(n - passed, n), statistics.wilson_interval(passed, n)
    assert wilson == pytest.approx((1 - exact[1], 1 - exact[0]), abs=1e-12)


def test_nothing_measured_is_no_knowledge() -> None:
    assert statistics.wilson_interval(0, 0) == (0.0, 1.0)
    for wrong in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="between 0 and n"):
            statistics.wilson_interval(*wrong)


@CASES
@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_statsmodels_exact_mcnemar(only_a: int, only_b: int) -> None:
    theirs = mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue if only_a + only_b else 1.0
    assert statistics.mcnemar_exact(only_a, only_b) == pytest.approx(theirs, abs=1e-12)
    assert statistics.mcnemar_exact(only_a, only_b) == statistics.mcnemar_exact(only_b, only_a)


@pytest.mark.parametrize(("only_a", "only_b", "p"), [(15, 5, 0.041), (9, 1, 0.021), (8, 2, 0.109)])
def test_mcnemar_worked_examples(only_a: int, only_b: int, p: float) -> None:
    assert statistics.mcnemar_exact(only_a, only_b) == pytest.approx(p, abs=5e-4)


@CASES
@given(st.integers(0, 60), st.integers(0, 60))
def test_no_pairing_beats_the_best_case(only_a: int, only_b: int) -> None:
    assert statistics.mcnemar_exact(only_a, only_b) >= statistics.mcnemar_at_best(only_a - only_b) - 1e-12


@CASES
@given(COUNTS, COUNTS)
def test_fisher_is_scipys(a: tuple[int, int], b: tuple[int, int]) -> None:
    table = [[a[0], a[1] - a[0]], [b[0], b[1] - b[0]]]
    assert statistics.fisher_exact(*a, *b) == pytest.approx(stats.fisher_exact(table)[1])


@pytest.mark.slow
@CASES
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_statsmodels_holm(p_values: list[float]) -> None:
    theirs = multipletests(p_values, method="holm")[1]
    assert statistics.holm(p_values) == pytest.approx(list(theirs), abs=1e-12)


def test_holm_of_nothing_and_of_nonsense() -> None:
    assert statistics.holm([]) == []
    with pytest.raises(ValueError, match="p-values"):
        statistics.holm([math.nan])


@CASES
@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_all_draws_that_hold_a_pass(case: tuple[int, int, int]) -> None:
    n, c, k = case
    draws = list(itertools.combinations(range(n), k))
    share = sum(any(place < c for place in draw) for draw in draws) / len(draws)
    assert statistics.pass_at_k(n, c, k) == pytest.approx(share, abs=1e-12)


def test_pass_at_k_needs_k_samples() -> None:
    assert statistics.pass_at_k(200, 0, 100) == 0.0
    assert statistics.pass_at_k(200, 200, 100) == 1.0
    with pytest.raises(ValueError, match="needs at least 10 samples"):
        statistics.pass_at_k(5, 1, 10)


@CASES
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.integers(0, 5))
def test_bootstrap_intervals_hold_the_estimate_and_repeat(values: list[float], seed: int) -> None:
    found = statistics.mean_interval(values, resamples=400, seed=seed)
    assert found == statistics.mean_interval(values, resamples=400, seed=seed)
    slack = 1e-9 * max(1.0, max(map(abs, values)))
    assert min(values) - slack <= found.value <= max(values) + slack
    assert found.low - slack <= found.value + (found.high - found.low) and found.low <= found.high


@CASES
@given(st.lists(st.floats(0.001, 1e3), min_size=1, max_size=80), st.floats(1, 99))
def test_a_percentiles_ends_surround_it(values: list[float], percentile: float) -> None:
    found = statistics.percentile_interval(values, percentile)
    assert found.value == pytest.approx(float(np.percentile(values, percentile)))
    assert found.low <= found.high
    assert found.low == -math.inf or min(values) <= found.low
    assert found.high == math.inf or found.high <= max(values)


def test_few_requests_do_not_bound_a_high_percentile() -> None:
    assert statistics.percentile_interval(range(20), 90).high == math.inf
    assert statistics.percentile_interval(range(40), 90).high < math.inf
    median = statistics.percentile_interval(
        range(1, 12), 50
    )  # n = 11: order statistics 2 and 10 cover 98.8 %, 3 and 9 93.5 %
    assert 2 < median.low < 3 < 9 < median.high < 10


@CASES
@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=30), st.floats(0.1, 10))
def test_ratio_of_medians_follows_the_unit(values: list[float], factor: float) -> None:
    scaled = [factor * value for value in values]
    assert statistics.median_ratio(scaled, values, resamples=200).value == pytest.approx(factor)
    with pytest.raises(ValueError, match="positive"):
        statistics.median_ratio([0.0], values)


@CASES
@given(st.tuples(*[st.integers(0, 60)] * 4).filter(lambda counts: sum(counts) > 0))
def test_pass_rate_difference_turns_around_with_its_models(counts: tuple[int, int, int, int]) -> None:
    both, only_a, only_b, neither = counts
    there = statistics.pass_rate_difference(both, only_a, only_b, neither, resamples=2000)
    back = statistics.pass_rate_difference(both, only_b, only_a, neither, resamples=2000)
    assert there.value == -back.value == pytest.approx((only_a - only_b) / sum(counts))
    assert -1 <= there.low < there.high <= 1


def test_agreement_on_every_task_is_no_proof_of_equality() -> None:
    found = statistics.pass_rate_difference(20, 0, 0, 20)
    assert found.low < 0 == found.value < found.high


def test_sign_flips_agree_with_all_flips() -> None:
    a, b = np.array([3.0, 2.0, 5.0, 4.0, 1.0, 6.0]), np.array([1.0, 1.5, 2.0, 4.5, 0.0, 2.0])
    signs = np.array(list(itertools.product((-1, 1), repeat=6)))
    exact = float((abs(signs @ (a - b)) >= abs((a - b).sum()) - 1e-12).mean())
    assert statistics.sign_flip(a, b, resamples=40_000) == pytest.approx(exact, abs=0.006)


def test_paired_values_need_the_same_items() -> None:
    with pytest.raises(ValueError, match="same items"):
        statistics.paired_bootstrap([1, 2], [1])
    with pytest.raises(ValueError, match="finite"):
        statistics.mean_interval([1.0, math.nan])


@pytest.mark.parametrize("power", [0.8, 0.9])
def test_tasks_to_separate_is_what_simulation_needs(power: float) -> None:
    only_a, only_b = 0.12, 0.06
    n = statistics.tasks_to_separate(only_a - only_b, only_a + only_b, power)
    assert n is not None
    draws = np.random.default_rng(5).multinomial(n, [only_a, only_b, 1 - only_a - only_b], 2000)
    found = np.mean([statistics.mcnemar_exact(int(one), int(two)) <= 0.05 for one, two, _ in draws])
    assert found == pytest.approx(power, abs=0.035)  # the exact test is a little more careful than the formula


def test_tasks_to_separate_worked_example() -> None:
    # Connor 1987: (1.96 sqrt(0.3) + 0.8416 sqrt(0.3 - 0.01))^2 / 0.01 = 233
    assert statistics.tasks_to_separate(0.1, 0.3) == 234
    assert statistics.tasks_to_separate(0.0, 0.3) is None
    with pytest.raises(ValueError, match="disagree"):
        statistics.tasks_to_separate(0.4, 0.3)


def test_votes_to_separate_is_what_simulation_needs() -> None:
    n = statistics.votes_to_separate(0.6)
    assert n is not None
    wins = np.random.default_rng(6).binomial(n, 0.6, 2000)
    assert np.mean([stats.binomtest(int(one), n).pvalue <= 0.05 for one in wins]) == pytest.approx(0.8, abs=0.05)
    assert statistics.votes_to_separate(0.5) is None
    assert statistics.votes_to_separate(1.0) == 6  # five equal votes are no proof yet: 2 / 2^5 > 0.05


def test_items_to_separate_is_the_paired_t_test() -> None:
    differences = np.random.default_rng(7).normal(0.3, 1.0, 500)
    n = statistics.items_to_separate(differences)
    assert n is not None
    drawn = np.random.default_rng(8).choice(differences, (1500, n))
    assert np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05) == pytest.approx(0.8, abs=0.04)
    assert statistics.items_to_separate([1.0]) is None
