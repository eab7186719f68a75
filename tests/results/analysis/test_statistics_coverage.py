"""By simulation: 95 % intervals cover the truth in 93 to 97 of 100 worlds; A/A comparisons alarm in at most 5."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from results.analysis import statistics
from results.analysis.confidence import Confidence, Subsets
from results.analysis.paired import paired_ratios, paired_verdicts
from results.analysis.statistics import Estimate, newcombe_interval

pytestmark = pytest.mark.slow

WORLDS = 1200
"""The coverage of so many is known to ±1.2 points (two standard errors)."""


def covered(
    draw: Callable[[np.random.Generator], Estimate | tuple[float, float]], truth: float, worlds: int = WORLDS
) -> float:
    """Share of worlds whose interval holds the truth."""
    generator, hits = np.random.default_rng(2026), 0
    for _ in range(worlds):
        found = draw(generator)
        low, high = (found.low, found.high) if isinstance(found, Estimate) else found
        hits += low <= truth <= high
    return hits / worlds


@pytest.mark.parametrize("rate", [0.1, 0.305, 0.457])
def test_wilson_covers(rate: float) -> None:
    worlds = np.random.default_rng(1).binomial(164, rate, 4000)
    hits = [low <= rate <= high for low, high in (statistics.wilson_interval(int(one), 164) for one in worlds)]
    assert 0.93 <= np.mean(hits) <= 0.97


@pytest.mark.parametrize("rate", [0.1, 0.305, 0.457])
def test_clopper_pearson_covers_at_least(rate: float) -> None:
    worlds = np.random.default_rng(2).binomial(164, rate, 4000)
    hits = [low <= rate <= high for low, high in (statistics.clopper_pearson_interval(int(one), 164) for one in worlds)]
    assert np.mean(hits) >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 4000)


def test_newcombe_covers() -> None:
    def draw(generator: np.random.Generator) -> tuple[float, float]:
        return newcombe_interval(int(generator.binomial(164, 0.46)), 164, int(generator.binomial(164, 0.44)), 164)

    assert 0.93 <= covered(draw, 0.02, 4000) <= 0.97


def held(draw: Callable[[np.random.Generator], Confidence], truth: float, worlds: int = 500) -> float:
    """Share of worlds whose 95 % interval holds the truth, asked of the test that it inverts: many times as fast."""
    generator, hits = np.random.default_rng(2026), 0
    for _ in range(worlds):
        found = draw(generator)
        hits += min(found.below(truth), found.above(truth)) > 0.025
    return hits / worlds


@pytest.mark.parametrize(
    ("n", "shares"), [(164, (0.3, 0.1, 0.1, 0.5)), (164, (0.4, 0.03, 0.01, 0.56)), (40, (0.3, 0.15, 0.05, 0.5))]
)
def test_paired_verdicts_cover(n: int, shares: tuple[float, ...]) -> None:
    def draw(generator: np.random.Generator) -> Confidence:
        return paired_verdicts(*(int(count) for count in generator.multinomial(n, shares))).confidence

    assert 0.93 <= held(draw, shares[1] - shares[2]) <= 0.985


@pytest.mark.parametrize("n", [12, 50])
def test_mean_covers(n: int) -> None:
    found = held(lambda generator: Subsets.of(generator.lognormal(0.0, 0.5, n)), math.exp(0.125))
    assert 0.915 <= found <= 0.98


@pytest.mark.parametrize(("n", "chance"), [(12, 0.95), (40, 0.02)])
def test_pass_at_k_of_easy_and_hard_tasks_covers(n: int, chance: float) -> None:
    """The interval never collapses where nearly all tasks are passed, or nearly none."""
    chances = (6 * chance, 6 * (1 - chance))
    truth = float(np.mean(1 - (1 - np.random.default_rng(8).beta(*chances, 200_000)) ** 3))

    def draw(generator: np.random.Generator) -> Estimate:
        passed = generator.binomial(8, generator.beta(*chances, n))
        return statistics.share_interval([statistics.pass_at_k(8, int(one), 3) for one in passed])

    assert covered(draw, truth, 150) >= 0.92


@pytest.mark.parametrize("n", [12, 60])
def test_bits_per_byte_cover(n: int) -> None:
    def draw(generator: np.random.Generator) -> Confidence:
        sizes = generator.lognormal(5.0, 0.7, n)
        return Subsets.of(sizes * generator.gamma(8.0, 0.1, n), sizes)

    assert 0.915 <= held(draw, 0.8) <= 0.98


@pytest.mark.parametrize(("n", "percentile"), [(20, 50), (60, 50), (60, 90), (164, 90)])
def test_percentile_covers(n: int, percentile: float) -> None:
    truth = math.exp(0.3 * float(stats.norm.ppf(percentile / 100)))
    found = covered(lambda generator: statistics.percentile_interval(generator.lognormal(0, 0.3, n), percentile), truth)
    assert 0.93 <= found <= 0.97


@pytest.mark.parametrize(("prompts", "requests"), [(1, 40), (2, 5)])
def test_ratio_of_medians_covers(prompts: int, requests: int) -> None:
    def draw(generator: np.random.Generator) -> Estimate:
        lengths = np.arange(prompts)[:, None] * 2.0
        a, b = (np.exp(lengths + more + generator.normal(0, 0.3, (prompts, requests))) for more in (0.0, 0.2))
        return statistics.median_ratio(list(a), list(b))

    assert 0.93 <= covered(draw, math.exp(-0.2)) <= 0.99


def test_equal_models_are_rarely_told_apart() -> None:
    """A/A: two models that pass each of 164 tasks with the task's own chance."""
    generator = np.random.default_rng(3)
    chances = generator.beta(0.4, 0.6, 164)
    a, b = (generator.random((5000, 164)) < chances for _ in range(2))
    only_a, only_b = (a & ~b).sum(1), (~a & b).sum(1)
    alarms = [
        paired_verdicts(0, int(one), int(two), 164 - int(one + two)).p_value <= 0.05
        for one, two in zip(only_a, only_b, strict=True)
    ]
    assert np.mean(alarms) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 5000)


def test_a_family_of_equal_models_rarely_alarms() -> None:
    """A/A over a sweep of five: the whole family alarms in at most 5 of 100 worlds."""
    generator = np.random.default_rng(4)
    alarms = []
    for _ in range(1500):
        chances = generator.beta(0.4, 0.6, 164)
        passed = generator.random((5, 164)) < chances
        # the best is picked after looking, so the family is every pair; see results.analysis.deciding.decision
        p_values = [
            statistics.mcnemar_exact(int((one & ~two).sum()), int((~one & two).sum()))
            for one, two in combinations(passed, 2)
        ]
        alarms.append(min(statistics.holm(p_values)) <= 0.05)
    assert np.mean(alarms) <= 0.05


def test_equal_losses_are_rarely_told_apart() -> None:
    generator = np.random.default_rng(9)
    alarms = []
    for _ in range(1000):
        rows = generator.gamma(2.0, 20.0, 60)
        a, b = (rows * generator.normal(1.0, 0.05, 60) for _ in range(2))
        alarms.append(paired_ratios(a, b, np.full(60, 100)).p_value <= 0.05)
    assert np.mean(alarms) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)
