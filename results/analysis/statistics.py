"""Intervals and tests for few tasks and few requests. Pure functions; scipy does the mathematics.

Not covered: rankings from votes (`results.analysis.ratings`) and the choice between models
(`results.analysis.deciding.decision`).
Every interval is two-sided with the stated level; every p-value is two-sided; random numbers come from a seed.

Try: python -c "from results.analysis.statistics import wilson_interval; print(wilson_interval(75, 164))"
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]

RESAMPLES = 4000
"""Bootstrap resamples: the ends of a 95 % interval then vary by about 2 % of its width from seed to seed."""

CHUNK = 4_000_000
"""Drawn values held in memory at once (32 MB of float64)."""


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


def fisher_exact(passed_a: int, n_a: int, passed_b: int, n_b: int) -> float:
    """p-value of equal pass rates from totals alone: unpaired, so conservative for models on the same tasks.

    Raises: ValueError unless 0 <= passed <= n for both.
    """
    _check_counts(passed_a, n_a)
    _check_counts(passed_b, n_b)
    return float(stats.fisher_exact([[passed_a, n_a - passed_a], [passed_b, n_b - passed_b]]).pvalue)


def sign_flip(a: ArrayLike, b: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """p-value of "a and b have one mean" for numbers measured on the same items: random sign flips of a - b.

    a, b (items,). Exact in level for any distribution of the differences symmetric under the hypothesis.
    """
    differences = _paired(a, b)
    observed = abs(differences.sum())
    generator = np.random.default_rng(seed)
    extreme, done = 0, 0
    while done < resamples:
        rows = min(resamples - done, max(1, CHUNK // len(differences)))
        signs = generator.integers(0, 2, (rows, len(differences)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ differences) >= observed * (1 - 1e-12)).sum())
        done += rows
    return (extreme + 1) / (resamples + 1)


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


def mean_interval(values: ArrayLike, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Mean of `values` (n,) with a bootstrap interval, widened for small n (Hesterberg 2015, section 4.1.1).

    The plain percentile interval is too narrow by sqrt((n-1)/n) and by z against t; both are put back.
    Raises: ValueError for none or for values that are not finite.
    """
    sample = _finite(values)
    n, mean = len(sample), float(sample.mean())
    if n == 1:
        return Estimate(mean, -math.inf, math.inf)
    means = _resample(sample, lambda drawn: drawn.mean(axis=1), resamples, seed)
    tail = float(special.ndtr(math.sqrt(n / (n - 1)) * special.stdtrit(n - 1, (1 - level) / 2)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(mean, float(low), float(high))


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """mean(a - b) over the same items (n,), (n,), with a bootstrap interval over items.

    Raises: ValueError for unequal lengths, none, or values that are not finite.
    """
    return mean_interval(_paired(a, b), level, resamples, seed)


@lru_cache(maxsize=10_000)
def pass_rate_difference(
    both: int, only_a: int, only_b: int, neither: int, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Pass rate of a minus that of b on the same tasks, with a bootstrap interval over tasks.

    Half a task of either kind of disagreement is added before resampling (Bonett and Price 2012 add a whole one, which
    covers 99 % here): without it, two models that agree on every task would get an interval of width zero. The value
    itself is not adjusted.
    Raises: ValueError for no tasks or negative counts.
    """
    counts = np.array([both, only_a + 0.5, only_b + 0.5, neither], dtype=np.float64)
    n = both + only_a + only_b + neither
    if n <= 0 or min(both, only_a, only_b, neither) < 0:
        raise ValueError(f"counts of tasks must be non-negative and not all zero: {both, only_a, only_b, neither}")
    drawn = np.random.default_rng(seed).multinomial(n + 1, counts / (n + 1), resamples)
    tail = (1 - level) / 2
    low, high = np.quantile((drawn[:, 1] - drawn[:, 2]) / (n + 1), [tail, 1 - tail])
    return Estimate((only_a - only_b) / n, max(-1.0, float(low)), min(1.0, float(high)))


def percentile_interval(values: ArrayLike, percentile: float, level: float = 0.95) -> Estimate:
    """A percentile (strictly between 0 and 100) of `values` (n,) with its interval; 50 is the median.

    The ends are fractional order statistics (Hutson 1999): no shape is assumed and nothing is drawn. The bootstrap
    covers 89 % instead of 95 % for p90 of 20 values. An end that n values cannot bound is -inf or +inf: p90 has no
    upper end below some 36 values, p99 none below some 370.
    Raises: ValueError for none, values that are not finite, or a percentile outside (0, 100).
    """
    if not 0 < percentile < 100:
        raise ValueError(f"a percentile lies strictly between 0 and 100: {percentile}")
    ordered, share = np.sort(_finite(values)), percentile / 100
    low = _order_statistic(ordered, share, (1 + level) / 2)
    high = _order_statistic(ordered, share, (1 - level) / 2)
    return Estimate(float(np.percentile(ordered, percentile)), low, high)


def median_ratio(
    a: ArrayLike, b: ArrayLike, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """median(a) / median(b) of two independent samples of positive numbers, e.g. seconds, with a bootstrap interval.

    Raises: ValueError for none, or values that are not finite and positive.
    """
    first, second = _finite(a), _finite(b)
    if min(first.min(), second.min()) <= 0:
        raise ValueError("a ratio of medians needs positive values")
    above = _resample(first, lambda drawn: np.median(drawn, axis=1), resamples, seed)
    below = _resample(second, lambda drawn: np.median(drawn, axis=1), resamples, seed + 1)
    low, high = np.quantile(above / below, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(np.median(first) / np.median(second)), float(low), float(high))


def independent_discordance(rate_a: float, rate_b: float) -> float:
    """Share of tasks that just one model passes if their outcomes were independent: an upper guess.

    Fine-tunes of one base agree more often than that, so that fewer tasks than it implies separate them.
    """
    return rate_a * (1 - rate_b) + rate_b * (1 - rate_a)


def tasks_to_separate(
    difference: float, discordant_share: float, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Tasks that McNemar's test needs to find `difference` of pass rates with chance `power`; None if it is zero.

    Assumes that new tasks behave as the old: the same difference, the same share of tasks that just one model passes.
    Source: Connor 1987, eq. 2. Raises: ValueError if |difference| exceeds the share, which no outcomes can do.
    """
    if difference == 0:
        return None
    if not abs(difference) <= discordant_share <= 1:
        raise ValueError(f"pass rates that differ by {difference} disagree on at least that share of tasks")
    z_alpha, z_power = float(special.ndtri(1 - alpha / 2)), float(special.ndtri(power))
    spread = z_alpha * math.sqrt(discordant_share) + z_power * math.sqrt(discordant_share - difference**2)
    return math.ceil((spread / difference) ** 2)


def items_to_separate(differences: ArrayLike, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Items that a paired test of numbers needs to find the mean of `differences` (n,); None if it is zero or n < 2.

    Assumes that new items behave as the old: the same mean, the same spread. Normal approximation.
    """
    sample = _finite(differences)
    if len(sample) < 2 or sample.mean() == 0:
        return None
    z_alpha, z_power = float(special.ndtri(1 - alpha / 2)), float(special.ndtri(power))
    effect = float(sample.mean() / max(sample.std(ddof=1), 1e-300))
    return max(2, math.ceil(min(1e12, ((z_alpha + z_power) / effect) ** 2)))


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


def _order_statistic(ordered: Floats, share: float, chance: float) -> float:
    """The (fractional) order statistic that lies below the quantile at `share` with that chance; ±inf beyond the ends.

    The r-th smallest of n values is below it with chance P(Beta(r, n + 1 - r) <= share), which falls with r.
    """
    n = len(ordered)

    def excess(rank: float) -> float:
        return float(special.betainc(rank, n + 1 - rank, share)) - chance

    if excess(1) < 0:
        return -math.inf
    if excess(n) > 0:
        return math.inf
    rank = float(optimize.brentq(excess, 1, n)) if n > 1 else 1.0
    return float(np.interp(rank, np.arange(1, n + 1), ordered))


def _resample(sample: Floats, statistic: Callable[[Floats], Floats], resamples: int, seed: int) -> Floats:
    """`statistic` of (rows, n) resamples drawn with replacement -> (resamples,), in chunks of bounded memory."""
    generator = np.random.default_rng(seed)
    found: list[Floats] = []
    done = 0
    while done < resamples:
        rows = min(resamples - done, max(1, CHUNK // len(sample)))
        found.append(statistic(sample[generator.integers(0, len(sample), (rows, len(sample)))]))
        done += rows
    return np.concatenate(found)


def _finite(values: ArrayLike) -> Floats:
    """`values` as a (n,) array of float64, or ValueError."""
    sample = np.asarray(values, dtype=np.float64).ravel()
    if len(sample) == 0 or not np.isfinite(sample).all():
        raise ValueError(f"needs at least one value and only finite ones; got {len(sample)}")
    return sample


def _paired(a: ArrayLike, b: ArrayLike) -> Floats:
    """a - b item by item, or ValueError."""
    first, second = _finite(a), _finite(b)
    if len(first) != len(second):
        raise ValueError(f"paired values need the same items: {len(first)} against {len(second)}")
    return first - second


def _check_counts(passed: int, n: int) -> None:
    if not 0 <= passed <= n:
        raise ValueError(f"passed must lie between 0 and n: {passed} of {n}")
