"""Intervals and tests for few tasks and few requests. Pure functions; scipy does the mathematics. Nothing is drawn.

One interval for each kind of figure, wherever it is shown:

    wilson_interval   a share of items that pass or fail
    share_interval    a mean of numbers in [0, 1]: pass@k, graded scores
    mean_interval     a mean of any other numbers
    ratio_interval    a sum over a sum, such as nats over bytes; `bits_per_byte` is one
    percentile_interval, median_ratio   times

Not covered: two models on the same items (`results.analysis.paired`), rankings from votes (`results.analysis.ratings`)
and the choice between models. Every interval is two-sided with the stated level; every p-value is two-sided.

Try: python -c "from results.analysis.statistics import wilson_interval; print(wilson_interval(75, 164))"
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from results.analysis.confidence import Confidence, Subsets, interval
from results.analysis.distributions.bounded import Bounded
from results.analysis.distributions.differing import FEWEST_DIFFERING, ties_counted
from results.analysis.distributions.order_statistics import independent_values, order_statistic

Floats = NDArray[np.float64]

FEWEST_VARYING = 10
"""Values of which the spread tells how far their mean is known."""


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; an end without a bound is infinite."""

    value: float
    low: float
    high: float


def wilson_interval(passed: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """(low, high) of a pass rate by Wilson's score method; (0, 1) for n = 0, where nothing is known.

    Source: Wilson 1927; recommended for small n by Brown, Cai and DasGupta 2001.
    Raises: ValueError unless 0 <= passed <= n.
    """
    _check_counts(passed, n)
    if n == 0:
        return 0.0, 1.0
    z = float(special.ndtri(0.5 + level / 2))
    rate, shrink = passed / n, 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / shrink
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / shrink
    low = 0.0 if passed == 0 else max(0.0, centre - half)  # exact at the ends, where rounding leaves 1e-18
    high = 1.0 if passed == n else min(1.0, centre + half)
    return low, high


def clopper_pearson_interval(passed: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """(low, high) of a pass rate, exact: covers at least `level` for every true rate, at the price of width.

    Source: Clopper and Pearson 1934. Raises: ValueError unless 0 <= passed <= n.
    """
    _check_counts(passed, n)
    tail = (1 - level) / 2
    low = float(special.betaincinv(passed, n - passed + 1, tail)) if passed > 0 else 0.0
    high = float(special.betaincinv(passed + 1, n - passed, 1 - tail)) if passed < n else 1.0
    return low, high


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n-c, k) / C(n, k), in [0, 1]: chance that one of k draws from n samples, c of them correct, passes.

    Source: Chen et al. 2021, arXiv 2107.03374, eq. 1.
    Raises: ValueError if n < k, where no unbiased estimate exists, or unless 0 <= c <= n and k >= 1.
    """
    _check_counts(c, n)
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} samples of each task and k >= 1; there are {n}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """p-value of "both models pass equally often" from the tasks that just one of the two passes.

    Under that hypothesis each such task is a fair coin: twice the smaller binomial tail, at most 1.
    Source: McNemar 1947, exact form. Raises: ValueError for a negative count.
    """
    if only_a < 0 or only_b < 0:
        raise ValueError(f"counts of tasks cannot be negative: {only_a}, {only_b}")
    return float(min(1.0, 2 * special.bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def mcnemar_at_best(difference: int) -> float:
    """The smallest p-value that `mcnemar_exact` could give to totals that differ by so many tasks.

    It is reached when the better model passes everything that the other passes: 2 * 0.5 ** difference. Totals alone
    thus prove that two models cannot be told apart, whatever the tasks' outcomes were.
    """
    return mcnemar_exact(abs(difference), 0)


def newcombe_interval(passed_a: int, n_a: int, passed_b: int, n_b: int, level: float = 0.95) -> tuple[float, float]:
    """(low, high) of pass rate a minus b from totals alone: unpaired, so conservative for models on the same tasks.

    Source: Newcombe 1998, method 10, of two Wilson intervals. Raises: ValueError unless 0 <= passed <= n, n > 0.
    """
    if min(n_a, n_b) <= 0:
        raise ValueError("a comparison of totals needs at least one task each")
    rate_a, rate_b = passed_a / n_a, passed_b / n_b
    low_a, high_a = wilson_interval(passed_a, n_a, level)
    low_b, high_b = wilson_interval(passed_b, n_b, level)
    down, up = math.hypot(rate_a - low_a, high_b - rate_b), math.hypot(high_a - rate_a, rate_b - low_b)
    return rate_a - rate_b - down, rate_a - rate_b + up


def newcombe_p_at_most(passed_a: int, n_a: int, passed_b: int, n_b: int, shift: float = 0.0) -> float:
    """One-sided p-value of "rate a minus rate b is at most `shift`": half of what `newcombe_interval` leaves out there.

    Raises: ValueError unless 0 <= passed <= n, n > 0.
    """
    nearest, widest = 1e-9, 1 - 1e-12

    def gap(level: float) -> float:
        """How far `shift` lies outside of the interval; below 0 inside."""
        low, high = newcombe_interval(passed_a, n_a, passed_b, n_b, level)
        return max(low - shift, shift - high)

    if gap(nearest) <= 0:
        return 0.5
    above = passed_a / n_a - passed_b / n_b >= shift
    level = widest if gap(widest) > 0 else float(optimize.brentq(gap, nearest, widest, xtol=1e-13))
    return (1 - level) / 2 if above else (1 + level) / 2


def newcombe_p_value(passed_a: int, n_a: int, passed_b: int, n_b: int) -> float:
    """p-value of equal pass rates from totals: 1 minus the level at which `newcombe_interval` reaches 0.

    Raises: ValueError unless 0 <= passed <= n, n > 0.
    """
    at_most = newcombe_p_at_most(passed_a, n_a, passed_b, n_b)
    return 2 * min(at_most, 1 - at_most)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: reject those <= alpha and the chance of any false alarm is <= alpha.

    Source: Holm 1979. Raises: ValueError for anything outside [0, 1].
    """
    if any(not 0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values lie in [0, 1]: {list(p_values)}")
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def mean_interval(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of `values` (n,) with an interval for numbers without bounds, skewed ones too; infinite below n = 5.

    It inverts the sign-flip test, joined with Hall's transformed t: `results.analysis.confidence.Subsets`.
    Raises: ValueError for none or for values that are not finite.
    """
    found = Subsets.of(_finite(values), amounts=True)
    return Estimate(found.value, *interval(found, level))


def share_interval(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of `values` (n,) in [0, 1] with an interval in [0, 1] that keeps its width where all are 0 or all are 1.

    Where half of them or more are one and the same number, or fewer than ten are known, one more of 0 and of 1 is
    allowed for: `results.analysis.distributions.bounded`. Numbers that vary show by themselves how far their mean is
    known: Subsets.
    Raises: ValueError for none or for values outside [0, 1].
    """
    sample = _finite(values)
    if sample.min() < -1e-12 or sample.max() > 1 + 1e-12:
        raise ValueError(f"shares lie in [0, 1]; these from {sample.min()} to {sample.max()}")
    low, high = interval(share_confidence(np.clip(sample, 0.0, 1.0)), level)
    return Estimate(float(sample.mean()), max(0.0, low), min(1.0, high))


def share_confidence(values: Floats) -> Confidence:
    """The confidence distribution of `share_interval`: values (n,) in [0, 1], at least one."""
    _, counts = np.unique(values, return_counts=True)
    few = len(values) < FEWEST_VARYING or 2 * counts.max() >= len(values)
    return Bounded.of(values) if few else Subsets.of(values)


def graded_interval(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of scores (n,) of unknown kind: `share_interval` where all lie in [0, 1], else `mean_interval`."""
    sample = _finite(values)
    return (share_interval if sample.min() >= 0 and sample.max() <= 1 else mean_interval)(sample, level)


def ratio_interval(values: ArrayLike, weights: ArrayLike, level: float = 0.95) -> Estimate:
    """sum(values) / sum(weights) over the same items, (n,) each, with its interval; infinite below n = 5.

    The method is that of `mean_interval`, and of `results.analysis.paired.paired_ratios` for a difference.
    Raises: ValueError for unequal lengths, none, values that are not finite, or weights that are not above 0.
    """
    sample, sizes = _finite(values), _finite(weights)
    if len(sample) != len(sizes) or sizes.min() <= 0:
        raise ValueError(f"{len(sample)} values need as many weights above 0; got {len(sizes)}, least {sizes.min()}")
    found = Subsets.of(sample, sizes)
    return Estimate(found.value, *interval(found, level))


def bits_per_byte(nats: ArrayLike, sizes: ArrayLike, level: float = 0.95) -> Estimate:
    """Bits per byte of rows that cost `nats` (rows,) and hold `sizes` bytes (rows,), with its interval over rows.

    Raises: ValueError as `ratio_interval` does.
    """
    found = ratio_interval(nats, sizes, level)
    return Estimate(*(one / math.log(2) for one in (found.value, found.low, found.high)))


def percentile_interval(
    values: ArrayLike, percentile: float, level: float = 0.95, groups: Sequence[str] | None = None
) -> Estimate:
    """A percentile (strictly between 0 and 100) of `values` (n,) with its interval; 50 is the median.

    groups (n,): what each value is a repetition of, such as a prompt. Repetitions resemble one another, so the interval
    is that of as many independent values as would leave the share below the percentile as uncertain as the groups do
    (Woodruff 1952; groups less one degrees of freedom); two or three groups bound nothing. Of one group alone, the
    interval is of its own values.

    The ends are fractional order statistics (Hutson 1999): no shape is assumed and nothing is drawn. The bootstrap
    covers 89 % instead of 95 % for p90 of 20 values. An end that n values cannot bound is -inf or +inf: p90 has no
    upper end below some 36 values, p99 none below some 370.
    Raises: ValueError for none, values that are not finite, or a percentile outside (0, 100).
    """
    if not 0 < percentile < 100:
        raise ValueError(f"a percentile lies strictly between 0 and 100: {percentile}")
    sample, share = _finite(values), percentile / 100
    value, ordered = float(np.percentile(sample, percentile)), np.sort(sample)
    size = float(len(sample)) if groups is None else independent_values(sample <= value, groups, level)
    low = order_statistic(ordered, share, (1 + level) / 2, size)
    high = order_statistic(ordered, share, (1 - level) / 2, size)
    return Estimate(value, low, high)


def median_ratio(a: Sequence[ArrayLike], b: Sequence[ArrayLike], level: float = 0.95) -> Estimate:
    """median of a / median of b within each stratum, such as a prompt, averaged as logarithms; with its interval.

    a, b: for each stratum (requests,) positive numbers, e.g. seconds. Pooled, prompts of different lengths would put a
    median into the gap between them. The interval is over requests, not over prompts. A median's standard error is a
    third of the distance of the order statistics that lie 1.5 of them to either side (Price and Bonett 2002, with
    fractional ones); infinite where a stratum has one request.
    Raises: ValueError for no strata, unequal numbers of them, or values that are not finite and positive.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"a ratio of medians needs the same strata, at least one: {len(a)} against {len(b)}")
    value = variance = 0.0
    for side, groups in ((1, a), (-1, b)):
        for group in groups:
            sample = _finite(group)
            if sample.min() <= 0:
                raise ValueError("a ratio of medians needs positive values")
            ordered = np.sort(np.log(sample))
            value += side * math.log(float(np.median(sample)))
            variance += _median_error(ordered) ** 2
    strata, z = len(a), float(special.ndtri((1 + level) / 2))
    value, half = value / strata, z * math.sqrt(variance) / strata
    return Estimate(math.exp(value), math.exp(value - half), math.exp(value + half))


def _median_error(ordered: Floats) -> float:
    """Standard error of the median of sorted values (n,)."""
    n = len(ordered)
    if n < 2:
        return math.inf
    rank, z = _rank_beside_median(n)
    low, high = np.interp([rank, n + 1 - rank], np.arange(1, n + 1), ordered)
    return float(high - low) / (2 * z)


@lru_cache(maxsize=1000)
def _rank_beside_median(n: int) -> tuple[float, float]:
    """(rank, z): the order statistic that lies z standard errors below the median, z = 1.5 where n allows."""
    z = 1.5
    if special.betainc(1, n, 0.5) <= special.ndtr(z):
        return 1.0, float(special.ndtri(special.betainc(1, n, 0.5)))
    return float(optimize.brentq(lambda r: special.betainc(r, n + 1 - r, 0.5) - special.ndtr(z), 1, n)), z


def independent_discordance(rate_a: float, rate_b: float) -> float:
    """Share of tasks that just one model passes if their outcomes were independent: an upper guess.

    Fine-tunes of one base agree more often than that, so that fewer tasks than it implies separate them.
    """
    return rate_a * (1 - rate_b) + rate_b * (1 - rate_a)


def tasks_to_separate(
    difference: float, discordant_share: float, power: float = 0.8, alpha: float = 0.05, family: int = 1
) -> int | None:
    """Tasks after which McNemar's test finds `difference` of pass rates with chance `power`; None if it is zero.

    Exact: the chance of every number of tasks that differ times the test's own power on so many, at alpha / `family`
    comparisons (Holm's first step). At least FEWEST_DIFFERING tasks must differ. Assumes that new tasks behave as the
    old: the same difference, the same share of tasks that just one model passes.
    Raises: ValueError if |difference| exceeds the share, which no outcomes can do.
    """
    if difference == 0:
        return None
    if not abs(difference) <= discordant_share <= 1:
        raise ValueError(f"pass rates that differ by {difference} disagree on at least that share of tasks")
    chance = (1 + abs(difference) / discordant_share) / 2
    least = FEWEST_DIFFERING

    def found(tasks: int) -> float:
        return _mcnemar_power(tasks, discordant_share, chance, alpha / family)

    most = least
    while found(most) < power:
        most *= 2
    return _least(lambda tasks: found(tasks) >= power, most // 2, most, 0.005)


def _mcnemar_power(tasks: int, share: float, chance: float, alpha: float) -> float:
    """How often McNemar's test says that the better model is better; `chance`: of a task that differs to be its."""
    if tasks > 400:
        differing = _binomial_quantile((np.arange(200) + 0.5) / 200, tasks, share)
        weights = np.ones(200)
    else:
        differing = np.arange(tasks + 1.0)
        weights = _binomial_chance(differing, tasks, share)
        differing, weights = differing[weights > 1e-12], weights[weights > 1e-12]
    z = float(special.ndtri(1 - alpha / 2))
    wins = np.floor((differing + z * np.sqrt(differing)) / 2) - 3
    ties = ties_counted(differing, tasks)
    for _ in range(8):  # up to the fewest wins whose p is small enough
        p_values = _binomial_above(wins, differing, 0.5) + ties * _binomial_chance(wins, differing, 0.5)
        wins = np.where(p_values > alpha / 2, wins + 1, wins)
    powers = np.where(differing >= FEWEST_DIFFERING, _binomial_above(wins - 1, differing, chance), 0.0)
    return float((weights * powers).sum() / weights.sum())


def _binomial_quantile(share: Floats | float, n: Floats | int, p: float) -> Floats:
    """The least number that at least `share` of draws of n do not exceed; scipy.stats takes half a second to load."""
    return np.asarray(np.nan_to_num(np.ceil(np.round(special.bdtrik(share, n, p), 9))).clip(0, n))


def _binomial_above(k: Floats, n: Floats | int, p: float) -> Floats:
    """Chance of more than k of n; k from -1 on."""
    inside = special.betainc(np.maximum(k + 1, 1e-300), np.maximum(n - k, 1e-300), p)
    return np.where(k < 0, 1.0, np.where(k >= n, 0.0, inside))


def _binomial_chance(k: Floats, n: Floats | int, p: float) -> Floats:
    """Chance of exactly k of n; 0 for k outside."""
    k_in = np.clip(k, 0, n)
    ways = special.gammaln(n + 1) - special.gammaln(k_in + 1) - special.gammaln(n - k_in + 1)
    return np.where(k == k_in, np.exp(ways + special.xlogy(k_in, p) + special.xlog1py(n - k_in, -p)), 0.0)


def _least(holds: Callable[[int], bool], without: int, with_: int, share: float = 0.0) -> int:
    """The least number above `without` that holds, by bisection; up to `share` of it too many."""
    while with_ - without > max(1, share * without):
        middle = (without + with_) // 2
        without, with_ = (without, middle) if holds(middle) else (middle, with_)
    return with_


def items_to_separate(differences: ArrayLike, power: float = 0.8, alpha: float = 0.05, family: int = 1) -> int | None:
    """Items after which a paired test finds the mean of `differences` (n,) with chance `power`; None for 0 or n < 2.

    The power of a t test, at alpha / `family` comparisons, and z²/4 more items, which the transformed t costs where few
    are needed (simulated); at least as many as let FEWEST_DIFFERING of them differ.
    Assumes that new items behave as the old: the same mean, the same spread.
    """
    sample = _finite(differences)
    deviation = float(sample.std(ddof=1)) if len(sample) > 1 else 0.0
    if len(sample) < 2 or abs(float(sample.mean())) <= 1e-12 * deviation or not sample.any():
        return None
    effect = min(abs(float(sample.mean())) / max(deviation, 1e-300), 1e3)
    least = math.ceil(FEWEST_DIFFERING / float((np.abs(sample) > 1e-12).mean()))
    z = float(special.ndtri(1 - alpha / family / 2) + special.ndtri(power))
    rough = math.ceil(min(1e12, (z / effect) ** 2))
    if rough > 1000:
        return max(least, rough)

    def found(items: int) -> bool:
        wanted = float(special.stdtrit(items - 1, 1 - alpha / family / 2))
        return 1 - float(special.nctdtr(items - 1, effect * math.sqrt(items), wanted)) >= power

    more = math.ceil(float(special.ndtri(1 - alpha / family / 2)) ** 2 / 4)
    return max(least, _least(found, 1, 2 * rough + 100) + more)


def votes_to_separate(win_share: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Decided votes that a sign test needs to find that one model wins `win_share` of them; None for 0.5.

    Assumes that later votes fall as the earlier did; ties are not counted.
    Raises: ValueError outside [0, 1].
    """
    if not 0 <= win_share <= 1:
        raise ValueError(f"a share of wins lies in [0, 1]: {win_share}")
    if win_share == 0.5:
        return None
    z_alpha, z_power = float(special.ndtri(1 - alpha / 2)), float(special.ndtri(power))
    spread = z_alpha * 0.5 + z_power * math.sqrt(win_share * (1 - win_share))
    # 2 * 0.5 ** n <= alpha at least: below that no result at all is significant
    return max(math.ceil((spread / (win_share - 0.5)) ** 2), math.ceil(math.log2(2 / alpha)))


def _finite(values: ArrayLike) -> Floats:
    """`values` as a (n,) array of float64, or ValueError."""
    sample = np.asarray(values, dtype=np.float64).ravel()
    if len(sample) == 0 or not np.isfinite(sample).all():
        raise ValueError(f"needs at least one value and only finite ones; got {len(sample)}")
    return sample


def _check_counts(passed: int, n: int) -> None:
    if not 0 <= passed <= n:
        raise ValueError(f"passed must lie between 0 and n: {passed} of {n}")
