"""Confidence that holds however often one looks: bets against a mean, and what they have won.

Whoever holds that the mean of values in [0, 1] is at most m is offered fair bets: of a capital that begins at 1 a share
c goes on each next value x, which multiplies the capital by

    1 - c + c * x / m

If the mean is at most m this does not grow on average, whatever was seen before, so that the chance that it *ever*
reaches 1 / p is at most p (Ville 1939). One over the capital is a p-value at any item, also at one that was chosen by
looking; all m that are not yet ruled out make a confidence sequence. (Waudby-Smith and Ramdas 2024,
doi:10.1093/jrsssb/qkad009.) The capital is the mean over SHARES shares (a universal portfolio: Orabona and Jun 2024,
doi:10.1109/TIT.2023.3330388), so that nobody has to know the gap before. At a difference of zero pairs that agree
change nothing: the bets are on discordant pairs, as McNemar's test is.

Not covered: who races whom (`results.analysis.racing.rule`).

Try: python -c "from results.analysis.racing.betting import raced_verdicts as r; print(r(60, 20, 8, 76, most=164))"
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from results.analysis.confidence import Floats, interval
from results.analysis.paired import PairedDifference
from results.analysis.statistics import Estimate
from results.records import Score

SHARES = 20
"""Shares of the capital that are bet side by side. Against 100 of them the items needed differ by less than 1 %."""

LARGEST_SHARE = 0.6
"""A gap that is worth more is shown within two blocks anyhow, and shares that are too large only lose."""

MEANS = ("pass@1", "mean_share")
"""Metrics that are means of one score an item."""

METHOD = "bets, valid at every look"
"""What a difference by bets says of itself."""


@lru_cache(maxsize=256)
def shares(most: int) -> Floats:
    """(SHARES,) shares that are bet in a race of `most` items: fixed before it, so that looking does not choose them.

    The smallest is 1.3 times what would be best for a gap that only all of the items can show, of two models that
    differ on two items of five: sqrt(2 log(40) / (0.4 most)). Those that differ on fewer are told apart by larger ones,
    and so are gaps that fewer items show.
    """
    smallest = min(0.5, 1.3 * math.sqrt(2 * math.log(40) / (0.4 * max(most, 1))))
    return np.geomspace(smallest, LARGEST_SHARE, SHARES)


@dataclass(frozen=True, eq=False)
class Bets:
    """The distribution (`results.analysis.confidence.Confidence`) of a mean between `least` and `largest`."""

    values: Floats
    """(distinct,) values that were seen."""
    counts: Floats
    """(distinct,) how often each."""
    most: int
    """Items of the race at most."""
    least: float = -1.0
    largest: float = 1.0
    bounded: bool = field(default=True, init=False)

    @classmethod
    def of(cls, values: ArrayLike, most: int, least: float = -1.0, largest: float = 1.0) -> Bets:
        """values (items,), each within the bounds; in any order. Raises: ValueError for one outside of them."""
        given = np.asarray(values, dtype=np.float64).ravel()
        if len(given) and not (least <= given.min() and given.max() <= largest):
            raise ValueError(f"bets are on values from {least:g} to {largest:g}: {given.min():g} to {given.max():g}")
        distinct, counts = np.unique(given, return_counts=True)
        return cls(distinct, counts.astype(np.float64), most, least, largest)

    @property
    def within(self) -> tuple[float, float]:
        """The bounds of the values."""
        return self.least, self.largest

    def below(self, shift: float) -> float:
        """p-value of "the mean is at most `shift`": 1 over the capital of bets against it."""
        return _one_over(self.values - self.least, self.counts, shift - self.least, self.most)

    def above(self, shift: float) -> float:
        """p-value of "the mean is at least `shift`"."""
        return _one_over(self.largest - self.values, self.counts, self.largest - shift, self.most)

    def surely_below(self, shift: float) -> float:
        """The same as `below`: nothing is averaged over ties."""
        return self.below(shift)

    def bounds_below(self, _: float) -> Iterator[tuple[float, float]]:
        """None: `below` itself costs little."""
        return iter(())


def _one_over(values: Floats, counts: Floats, mean: float, most: int) -> float:
    """1 over the mean capital of all shares, 1 at most: values (distinct,) >= 0 against a mean of at most `mean`."""
    staked = shares(most)
    factors = 1 - staked[:, None] + staked[:, None] * (values / max(mean, 1e-300))
    return float(np.minimum(1.0, np.exp(-np.minimum(700.0, log_capital(np.log(factors) @ counts)))))


def log_capital(grown: Floats) -> Floats:
    """Logarithm of the mean capital: grown (…, SHARES) logarithms of what each share has grown to -> (…,)."""
    most = grown.max(axis=-1, keepdims=True)
    return np.asarray(most[..., 0] + np.log(np.exp(grown - most).mean(axis=-1)))


def raced_numbers(a: ArrayLike, b: ArrayLike, most: int) -> PairedDifference:
    """Mean of a - b, scores in [0, 1] of the same items (items,), valid at whatever item a race stopped.

    most: items of the race at most. Raises: ValueError for unequal lengths, none, or scores outside [0, 1].
    """
    first, second = (np.asarray(one, dtype=np.float64).ravel() for one in (a, b))
    if len(first) != len(second) or not len(first):
        raise ValueError(f"paired values need the same items, at least one: {len(first)} against {len(second)}")
    differences = first - second
    return _difference(Bets.of(differences, most), float(differences.mean()), len(first))


def raced_verdicts(both: int, only_a: int, only_b: int, neither: int, most: int) -> PairedDifference:
    """The same of answers that pass or fail, from the counts of items that both, one or none passes.

    Raises: ValueError for no items or negative counts.
    """
    items = both + only_a + only_b + neither
    if items <= 0 or min(both, only_a, only_b, neither) < 0:
        raise ValueError(f"counts of items must be non-negative and not all zero: {both, only_a, only_b, neither}")
    counts = np.array([only_b, both + neither, only_a], dtype=np.float64)
    return _difference(Bets(np.array([-1.0, 0.0, 1.0]), counts, most), (only_a - only_b) / items, items)


def raced_mean(scores: ArrayLike, most: int) -> Estimate:
    """The mean of one model's scores in [0, 1] with its 95 % interval, valid at whatever item a race stopped.

    Raises: ValueError without scores or for one outside [0, 1].
    """
    given = np.asarray(scores, dtype=np.float64).ravel()
    if not len(given):
        raise ValueError("a mean needs at least one score")
    low, high = interval(Bets.of(given, most, 0.0, 1.0), 0.95)
    return Estimate(float(given.mean()), low, high)


def raced_scores(scores: Sequence[Score], values: Sequence[float], most: int) -> list[Score]:
    """Scores of an evaluation that a race may have stopped: intervals hold at every look, or there are none.

    values (items,): what each item counts, in [0, 1]; most: items of the race at most. Those of MEANS get the
    interval of `raced_mean`.
    """
    if not values:
        return [dataclasses.replace(score, low=None, high=None) for score in scores]
    mean = raced_mean(values, most)
    return [
        dataclasses.replace(score, low=mean.low, high=mean.high)
        if score.metric in MEANS and abs(score.value - mean.value) < 1e-9
        else dataclasses.replace(score, low=None, high=None)
        for score in scores
    ]


def _difference(bets: Bets, value: float, items: int) -> PairedDifference:
    differing = int(bets.counts[np.abs(bets.values) > 1e-12].sum())
    return PairedDifference(value, items, differing, "", METHOD, bets)
