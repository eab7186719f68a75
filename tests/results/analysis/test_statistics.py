"""Intervals and tests against scipy, statsmodels and published worked examples, and by their properties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from results.analysis import statistics
from results.analysis.paired import paired_verdicts
from results.analysis.statistics import newcombe_interval

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
@given(COUNTS, COUNTS, st.floats(0.5, 0.999))
def test_totals_are_told_apart_at_the_level_whose_interval_excludes_zero(
    a: tuple[int, int], b: tuple[int, int], level: float
) -> None:
    low, high = newcombe_interval(*a, *b, level)
    p_value = statistics.newcombe_p_value(*a, *b)
    if abs(p_value - (1 - level)) > 1e-9:
        assert (low > 0 or high < 0) == (p_value < 1 - level)


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
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
@example([0.0, 1e-121])
def test_an_interval_of_a_mean_holds_it_and_has_no_ends_below_five_values(values: list[float]) -> None:
    found = statistics.mean_interval(values)
    slack = 1e-9 * max(1.0, max(map(abs, values)))
    assert found.value == pytest.approx(np.mean(values), abs=slack)
    assert found.low - slack <= found.value <= found.high + slack
    assert math.isfinite(found.low) == math.isfinite(found.high) == (len(values) >= 5)


@CASES
@given(st.lists(st.integers(0, 4).map(lambda grade: grade / 4), min_size=1, max_size=60))
@example([0.25] * 5)
def test_shares_have_an_interval_with_two_ends_whatever_they_are(values: list[float]) -> None:
    found = statistics.share_interval(values)
    turned = statistics.share_interval([1 - value for value in values])
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 1 / (4 * len(values)), "even where all are the same"
    assert (turned.low, turned.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-6)


def test_shares_of_whole_numbers_have_about_wilsons_interval() -> None:
    for passed, n in ((5, 20), (75, 164), (1, 50), (0, 40)):
        found = statistics.share_interval([1.0] * passed + [0.0] * (n - passed))
        assert (found.low, found.high) == pytest.approx(statistics.wilson_interval(passed, n), abs=0.6 / n + 0.01)


def test_scores_beyond_one_are_no_shares() -> None:
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        statistics.share_interval([0.5, 1.5])
    many = [0.5, 1.5, 0.7, 0.2, 3.0, 1.0]
    assert statistics.graded_interval(many) == statistics.mean_interval(many)
    assert statistics.graded_interval([0.5, 0.7]) == statistics.share_interval([0.5, 0.7])


@CASES
@given(st.lists(st.tuples(st.floats(0.1, 500), st.integers(1, 400)), min_size=5, max_size=40))
def test_bits_per_byte_are_those_of_the_whole(rows: list[tuple[float, int]]) -> None:
    nats, sizes = zip(*rows, strict=True)
    found = statistics.bits_per_byte(nats, sizes)
    assert found.value == pytest.approx(sum(nats) / sum(sizes) / math.log(2))
    assert found.low <= found.value * (1 + 1e-9) and found.value <= found.high * (1 + 1e-9)


def test_a_ratio_needs_a_weight_for_each_value() -> None:
    with pytest.raises(ValueError, match="weights above 0"):
        statistics.ratio_interval([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="weights above 0"):
        statistics.ratio_interval([1.0, 2.0], [1.0, 0.0])


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


def test_repetitions_of_a_prompt_are_not_taken_for_as_many_prompts() -> None:
    prompts = np.random.default_rng(3).lognormal(0, 0.8, 20)
    alone = statistics.percentile_interval(prompts, 50)
    seconds, groups = np.repeat(prompts, 5), [str(prompt) for prompt in range(20) for _ in range(5)]
    pooled = statistics.percentile_interval(seconds, 50)
    grouped = statistics.percentile_interval(seconds, 50, groups=groups)
    assert pooled.high - pooled.low < 0.7 * (alone.high - alone.low), "five times the values would seem to tell more"
    assert grouped.high - grouped.low > 0.9 * (alone.high - alone.low)
    two = statistics.percentile_interval([1.0, 1.1, 9.0, 9.1], 50, groups=["short", "short", "long", "long"])
    assert (two.low, two.high) == (-math.inf, math.inf)
    one = statistics.percentile_interval(seconds, 50, groups=["the same"] * 100)
    assert one == pooled


@CASES
@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=30), st.floats(0.1, 10))
def test_ratio_of_medians_follows_the_unit(values: list[float], factor: float) -> None:
    scaled = [factor * value for value in values]
    found = statistics.median_ratio([scaled], [values])
    assert found.value == pytest.approx(factor)
    assert found.low <= found.value <= found.high
    with pytest.raises(ValueError, match="positive"):
        statistics.median_ratio([[0.0]], [values])
    with pytest.raises(ValueError, match="same strata"):
        statistics.median_ratio([values], [])


def test_prompts_of_different_lengths_do_not_hide_a_slower_model() -> None:
    generator = np.random.default_rng(11)
    noise = [[generator.normal(1, 0.05, 6) for _ in range(2)] for _ in range(2)]
    fast = [0.1 * noise[0][0], 2.0 * noise[0][1]]
    slow = [0.3 * noise[1][0], 6.0 * noise[1][1]]
    found = statistics.median_ratio(slow, fast)
    assert 2.5 < found.low < 3 < found.high < 3.5
    assert statistics.median_ratio([[0.3], slow[1]], fast).high == math.inf, "one request bounds nothing"


def test_values_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        statistics.mean_interval([1.0, math.nan])


@pytest.mark.parametrize(
    ("only_a", "only_b", "power", "family"),
    [(0.12, 0.06, 0.8, 1), (0.12, 0.06, 0.9, 1), (0.2, 0.05, 0.8, 45), (0.05, 0.0, 0.8, 1), (0.9, 0.0, 0.8, 1)],
)
def test_tasks_to_separate_is_what_simulation_needs(only_a: float, only_b: float, power: float, family: int) -> None:
    n = statistics.tasks_to_separate(only_a - only_b, only_a + only_b, power, family=family)
    assert n is not None
    draws = np.random.default_rng(5).multinomial(n, [only_a, only_b, 1 - only_a - only_b], 3000)
    cases = [paired_verdicts(0, int(one), int(two), n) for one, two, _ in draws]
    found = np.mean([not one.too_few and one.p_value <= 0.05 / family and one.value > 0 for one in cases])
    assert power - 0.025 <= found <= power + 0.025 or (n <= 8 and found >= power)


def test_tasks_to_separate_is_near_connors_formula_and_never_below_what_any_test_needs() -> None:
    # Connor 1987: (1.96 sqrt(0.3) + 0.8416 sqrt(0.3 - 0.01))^2 / 0.01 = 233
    assert statistics.tasks_to_separate(0.1, 0.3) == pytest.approx(234, abs=8)
    assert statistics.tasks_to_separate(0.0, 0.3) is None
    assert statistics.tasks_to_separate(1.0, 1.0) == 6, "of five that all differ no test tells two models apart"
    with pytest.raises(ValueError, match="disagree"):
        statistics.tasks_to_separate(0.4, 0.3)


def test_votes_to_separate_is_what_simulation_needs() -> None:
    n = statistics.votes_to_separate(0.6)
    assert n is not None
    wins = np.random.default_rng(6).binomial(n, 0.6, 2000)
    assert np.mean([stats.binomtest(int(one), n).pvalue <= 0.05 for one in wins]) == pytest.approx(0.8, abs=0.05)
    assert statistics.votes_to_separate(0.5) is None
    assert statistics.votes_to_separate(1.0) == 6  # five equal votes are no proof yet: 2 / 2^5 > 0.05


@pytest.mark.parametrize(("mean", "family"), [(0.3, 1), (0.3, 45), (2.0, 1)])
def test_items_to_separate_is_the_paired_t_test(mean: float, family: int) -> None:
    differences = np.random.default_rng(7).normal(mean, 1.0, 500)
    n = statistics.items_to_separate(differences, family=family)
    assert n is not None
    drawn = np.random.default_rng(8).choice(differences, (4000, n))
    found = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05 / family)
    assert found == pytest.approx(0.8, abs=0.04) or (n == 6 and found > 0.8)
    assert statistics.items_to_separate([1.0]) is None
    assert statistics.items_to_separate([0.0, 0.0]) is None


def test_items_that_mostly_agree_are_needed_until_six_of_them_differ() -> None:
    assert (statistics.items_to_separate([1.0] + [0.0] * 9) or 0) >= 60
