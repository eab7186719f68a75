"""Confidence distributions: one function of a shift gives the p-value, the interval at any level and a margin's test.

    below(shift)   one-sided p-value of "the truth is at most shift": 0 far below the estimate, 1 far above it
    above(shift)   the same of "the truth is at least shift"

A 95 % interval is what lies between its 2.5 % and 97.5 % points, so an interval excludes zero exactly when the test
that belongs to it says so. The two kinds that `results.analysis.paired` and `results.analysis.statistics` use:

    Subsets   numbers: the ratios sum(values) / sum(weights) over random subsets of the items, which inverts sign flips
    Melded    a share of items times a mean on those: how many items differ, and which way those that differ fall

Not covered: what the numbers mean, and families of tests.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from results.analysis.distributions.subset_sums import subset_counts, subset_sums

Floats = NDArray[np.float64]

NODES = 32
"""Equally likely values that stand for a beta distribution. Against 512 of them ends move by less than 1e-4."""

NOTHING = 1e-9
"""Differences of shares up to this are none: means that are as near tie, and times a share some would and some not."""

TAIL = 1 / (4 * float(special.ndtr(-math.sqrt(2))))
"""3.18: random signs exceed z standard deviations with at most this times the normal chance. Exact, whatever the
values: Bentkus and Dzindzalieta 2015. It bounds p-values that are too small to be counted."""

LEAST_SKEWNESS = 1.5
"""Times the deviation over the mean: how skewed amounts above 0 are at least. Those of a gamma distribution are 2 times
as skewed, lognormal ones 3 times and more; simulated, 1.5 covers both best where ten of them are known."""


class Confidence(Protocol):
    """A confidence distribution."""

    @property
    def bounded(self) -> bool:
        """Whether nothing can lie outside `within`; else an end that is not inside is infinite."""

    @property
    def within(self) -> tuple[float, float]:
        """Where its ends are looked for."""

    def below(self, shift: float) -> float:
        """One-sided p-value of "the truth is at most `shift`"; rises with it from 0 to 1."""

    def above(self, shift: float) -> float:
        """One-sided p-value of "the truth is at least `shift`"; falls from 1 to 0."""

    def surely_below(self, shift: float) -> float:
        """The p-value of `below` with all ties against us: it alarms in no more worlds than its level says."""

    def bounds_below(self, shift: float) -> Iterator[tuple[float, float]]:
        """(least, most) that `below` can be, ever closer and dearer: mostly the first tell its side of a level."""


def interval(confidence: Confidence, level: float) -> tuple[float, float]:
    """(low, high) of that two-sided level; an end that the data cannot bound is the bound itself, or infinite.

    Ends are outside of jumps: the p-value at either is at most (1 - level) / 2.
    Raises: ValueError unless 0 < level < 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies strictly between 0 and 1: {level}")
    tail, (left, right) = (1 - level) / 2, confidence.within
    low = _end(confidence.below, (left, right), tail)
    high = -_end(lambda shift: confidence.above(-shift), (-right, -left), tail)
    return (max(low, left), min(high, right)) if confidence.bounded else (low, high)


def _end(below: Callable[[float], float], within: tuple[float, float], tail: float) -> float:
    """The largest shift whose p-value is at most `tail`, -inf if there is none inside `within`."""
    left, right = within
    if below(left) > tail:
        return -math.inf
    if left == right or below(right) <= tail:
        return right
    step, wanted = 1e-12 * max(abs(left), abs(right)), float(special.ndtri(tail))

    def off(shift: float) -> float:  # a p-value in normal deviates is nearly a straight line: half the steps
        return float(special.ndtri(min(max(below(shift), 1e-300), 1 - 1e-16))) - wanted

    end = float(optimize.brentq(off, left, right, xtol=step, rtol=1e-14))
    while below(end) > tail and end > left:
        end, step = end - step, 2 * step
    return max(end, left)


@dataclass(frozen=True, eq=False)
class Subsets:
    """sum(values) / sum(weights) of all items, by the same ratio of random subsets of them (Hartigan 1969).

    The share of subsets whose ratio is at most s is the one-sided p-value of the sign-flip test of "the ratio is at
    most s": values - s * weights, flipped at random, would have to sum to less. Exact in level where those are
    symmetric. Where they are skewed, Hall's transformed t statistic (Hall 1992) allows for it, and the larger of both
    p-values counts: simulated, neither alone covers both kinds of data, and together they lose a hundredth of width.
    """

    values: Floats
    """(items,)."""
    weights: Floats | None
    """(items,) above 0; None: 1 each."""
    residuals: Residuals
    bounded: bool = False

    @classmethod
    def of(cls, values: Floats, weights: Floats | None = None, amounts: bool = False) -> Subsets:
        """values (items,); weights (items,) > 0, 1 by default. At least one item.

        amounts: the values are amounts of something, which where all are above 0 are taken to be as skewed as amounts
        that vary as much mostly are, though few of them do not show it (LEAST_SKEWNESS).
        """
        residuals = Residuals.of(values, np.ones(len(values)) if weights is None else weights)
        if amounts and values.min() > 0:
            least = LEAST_SKEWNESS * residuals.deviation / residuals.value
            residuals = dataclasses.replace(residuals, least_skewness=least)
        return cls(values, weights, residuals)

    @cached_property
    def ratios(self) -> Floats:
        """(nonempty subsets,) in no order. Counted when first needed: it costs a millisecond."""
        counts = subset_counts(len(self.values))
        below, full = counts if self.weights is None else subset_sums(self.weights), counts > 0
        return np.asarray(subset_sums(self.values)[full] / below[full])

    @cached_property
    def empty(self) -> int:
        """Subsets without an item: their ratio is unknown."""
        return int((subset_counts(len(self.values)) == 0).sum())

    @cached_property
    def tolerance(self) -> float:
        """Ratios this close are one value."""
        own = self.values if self.weights is None else self.values / self.weights
        return max(1e-150, 1e-9 * float(np.abs(own).max()))

    @property
    def value(self) -> float:
        """The ratio of all items."""
        return self.residuals.value

    @property
    def within(self) -> tuple[float, float]:
        """A hundred times as far from the value as any item's ratio: few items do not bound it by their own range."""
        least, most = float(self.ratios.min()), float(self.ratios.max())
        reach = 100 * max(self.value - least, most - self.value, self.tolerance)
        return self.value - reach, self.value + reach

    def below(self, shift: float) -> float:
        """One-sided p-value of "the ratio is at most `shift`"; a subset that ties, or is empty, counts half."""
        most, least = self.sides(np.array([shift]))
        return float((most[0] + least[0]) / 2)

    def above(self, shift: float) -> float:
        """One-sided p-value of "the ratio is at least `shift`"."""
        most, least = self.opposite_sides(np.array([shift]))
        return float((most[0] + least[0]) / 2)

    def surely_below(self, shift: float) -> float:
        """The p-value of `below`; what ties, or is empty, counts in full."""
        return float(self.sides(np.array([shift]))[0][0])

    def bounds_below(self, shift: float) -> Iterator[tuple[float, float]]:
        """Hall's p-value, and the bound of TAIL: nothing is counted."""
        least, most = (self.coarse_side(0, np.array([shift]), upper) for upper in (False, True))
        yield float(least[0]), float(most[0])

    def coarse_side(self, which: int, shifts: Floats, upper: bool, /) -> Floats:
        """What `side` is at most (upper), or at least."""
        skewed = self.residuals.skewed(shifts, 1)
        if which == 0 and not upper:
            return skewed
        most = np.maximum(self.residuals.tail(shifts, 1), skewed)
        return most if upper else np.maximum(0.0, 2 * skewed - most)

    def sides(self, shifts: Floats) -> tuple[Floats, Floats]:
        """(largest, smallest) p-values of "at most shift", (shifts,) each: between are ties and empty subsets."""
        lower, upper = self._counted(shifts)
        total = len(self.ratios) + self.empty
        return self._with_tails((upper + self.empty) / total, lower / total, shifts, 1)

    def opposite_sides(self, shifts: Floats) -> tuple[Floats, Floats]:
        """The same of "at least shift"."""
        lower, upper = self._counted(shifts)
        filled, total = len(self.ratios), len(self.ratios) + self.empty
        return self._with_tails((filled - lower + self.empty) / total, (filled - upper) / total, shifts, -1)

    def side(self, which: int, shifts: Floats) -> Floats:
        """One of the two `sides`: 0 the largest, 1 the smallest."""
        return self.sides(shifts)[which]

    def opposite_side(self, which: int, shifts: Floats) -> Floats:
        """One of the two `opposite_sides`."""
        return self.opposite_sides(shifts)[which]

    def _counted(self, shifts: Floats) -> tuple[Floats, Floats]:
        """(below, below or tied): subsets, for each shift. One shift alone is counted without sorting them."""
        if len(shifts) == 1 and "_ordered" not in self.__dict__:
            counts = [np.count_nonzero(self.ratios < shifts - self.tolerance)]
            counts.append(np.count_nonzero(self.ratios <= shifts + self.tolerance))
            return np.array(counts[:1], np.float64), np.array(counts[1:], np.float64)
        below = np.searchsorted(self._ordered, shifts - self.tolerance, "left")
        return below.astype(np.float64), np.searchsorted(self._ordered, shifts + self.tolerance, "right").astype(
            np.float64
        )

    @cached_property
    def _ordered(self) -> Floats:
        return np.sort(self.ratios)

    def _with_tails(self, most: Floats, least: Floats, shifts: Floats, sign: int) -> tuple[Floats, Floats]:
        """Counted p-values, bounded by TAIL where counting is too coarse; the larger and their mean at least Hall's."""
        bound, skewed = self.residuals.tail(shifts, sign), self.residuals.skewed(shifts, sign)
        most = np.maximum(np.minimum(most, bound), skewed)
        return most, np.maximum(np.minimum(least, bound), 2 * skewed - most)


@dataclass(frozen=True)
class Residuals:
    """Sums over items of what is left of their values without the common ratio."""

    value: float
    """sum(values) / sum(weights)."""
    items: int
    weight: float
    """Sum of weights."""
    squares: tuple[float, float, float]
    """Sums of residual², residual * weight, weight²; a residual is an item's value - `value` * weight."""
    deviation: float
    """Standard deviation (division by items) of residuals in units of the ratio."""
    skewness: float
    least_skewness: float = -math.inf
    """What the population's is taken to be at least; the larger of both p-values counts."""

    @classmethod
    def of(cls, values: Floats, sizes: Floats) -> Residuals:
        """values (items,), sizes (items,)."""
        value = float(values.sum() / sizes.sum())
        left = values - value * sizes
        squares = float(left @ left), float(left @ sizes), float(sizes @ sizes)
        deviation, size = math.sqrt(squares[0] / len(left)), float(sizes.mean())
        known = deviation > 1e-9 * float(np.abs(values).max())
        units = left / deviation if known else np.zeros(1)  # divided first: a cube underflows
        skewness = float(units @ (units * units)) / len(units)  # a power takes a hundred times as long
        return cls(value, len(left), float(sizes.sum()), squares, deviation / size, skewness)

    def tail(self, shifts: Floats, sign: int) -> Floats:
        """No sign-flip test's one-sided p-value is larger than this: TAIL times the normal tail."""
        x, (squares, products, sizes) = _clipped(shifts - self.value, 1e150), self.squares
        z = -sign * self.weight * x / np.sqrt(np.maximum(squares + x * (x * sizes - 2 * products), 1e-300))
        return np.asarray(TAIL * special.ndtr(-_clipped(z, 38)))

    def skewed(self, shifts: Floats, sign: int) -> Floats:
        """One-sided p-value of Hall's transformed t statistic with items - 1 degrees of freedom; 0 for one item."""
        if self.items < 2 or self.deviation == 0:
            return np.zeros_like(shifts)
        t, found = _clipped(sign * (self.value - shifts) / self.deviation, 1e9), np.zeros_like(shifts)
        for skewness in {self.skewness, max(self.skewness, self.least_skewness)}:
            skewed, along = sign * skewness, sign * skewness * t
            turned = t * (1 + along * (1 / 3 + along / 27)) + skewed / (6 * self.items)
            found = np.maximum(found, special.stdtr(self.items - 1, -math.sqrt(self.items - 1) * turned))
        return found


def _clipped(x: Floats, most: float) -> Floats:
    """The numbers within [-most, most]; np.clip takes twice as long for a few."""
    return np.asarray(np.minimum(np.maximum(x, -most), most))


class Mean(Protocol):
    """What is known of the mean of those items that count, as p-values at x (…,) inside a bound."""

    def side(self, which: int, shifts: Floats) -> Floats:
        """0: the largest p-values of "the mean is at most x"; 1: the smallest."""

    def coarse_side(self, which: int, shifts: Floats, upper: bool, /) -> Floats:
        """What `side` is at most (upper) or at least, where it costs much."""

    def opposite_side(self, which: int, shifts: Floats) -> Floats:
        """The same of "the mean is at least x"."""


@dataclass(frozen=True, eq=False)
class Melded:
    """A share of the items times the mean on those: share * mean, the mean within [-1, 1].

    The share's two beta distributions are those of Clopper and Pearson. Low ends take the smaller share for a mean
    above zero and the larger for one below, and high ends the other way round: Fay and Lumbard 2021, section 3.
    The two one-sided distributions are averaged, by `ties`.
    """

    mean: Mean
    shares: tuple[Floats, Floats]
    """(smaller, larger): equally likely values of the share, on the last axis; the mean's axes go before it."""
    ties: float | Floats = 0.5
    """How much of what ties counts against a claim: half of it (mid-p) to all (exact); (…,) of many at once."""
    bounded: bool = True
    within: tuple[float, float] = (-1.0, 1.0)

    def below(self, shift: float) -> float:
        """One-sided p-value of "share * mean is at most `shift`"."""
        return float(self.p_values(shift))

    def above(self, shift: float) -> float:
        """One-sided p-value of "share * mean is at least `shift`"."""
        mirrored = Melded(_Mirrored(self.mean), self.shares, self.ties)
        return float(mirrored.p_values(-shift))

    def surely_below(self, shift: float) -> float:
        """The p-value of `below` by the one distribution that goes against us: Fay and Lumbard's, not averaged."""
        return float(self.p_values(shift, surely=True))

    def p_values(self, shift: float, surely: bool = False) -> Floats:
        """`below`, or `surely_below`, of many at once: (…,), all axes but the last of `shares`."""
        smaller, larger = self.shares
        low, high = (larger, smaller) if shift < 0 else (smaller, larger)
        against = self._side(0, shift, low)
        return against if surely else self.ties * against + (1 - self.ties) * self._side(1, shift, high)

    def bounds_below(self, shift: float) -> Iterator[tuple[float, float]]:
        """Bounds from those of the mean's p-values: for the extreme shares alone, then over all."""
        smaller, larger = self.shares
        fewest, most = (smaller[..., :1], larger[..., -1:]) if shift < 0 else (larger[..., -1:], smaller[..., :1])
        low, high = (Melded(_Coarse(self.mean, upper), self.shares, self.ties) for upper in (False, True))
        yield 0.0, float(high._side(0, shift, most))
        yield float(low._side(1, shift, fewest)), 1.0
        yield 0.0, float(high.p_values(shift))
        yield float(low.p_values(shift)), 1.0

    def _side(self, side: int, shift: float, shares: Floats) -> Floats:
        if abs(shift) <= NOTHING:
            return np.asarray(self.mean.side(side, np.zeros(1)).mean(axis=-1))
        means = math.copysign(1, shift) * abs(shift) / np.maximum(shares, 1e-300)
        found = self.mean.side(side, np.minimum(np.maximum(means, -1), 1))
        outside = np.where(means >= 1, 1.0, np.where(means < -1, 0.0, found))
        return np.asarray(np.add.reduce(outside, axis=-1) / outside.shape[-1])


@dataclass(frozen=True)
class _Coarse:
    """A mean whose p-values are no more than known without counting, or no less."""

    mean: Mean
    upper: bool

    def coarse_side(self, which: int, shifts: Floats, upper: bool, /) -> Floats:
        return self.mean.coarse_side(which, shifts, upper)

    def side(self, which: int, shifts: Floats) -> Floats:
        return self.mean.coarse_side(which, shifts, self.upper)

    def opposite_side(self, which: int, shifts: Floats) -> Floats:
        return self.mean.opposite_side(which, shifts)


@dataclass(frozen=True)
class _Mirrored:
    """A mean's negative."""

    mean: Mean

    def side(self, which: int, shifts: Floats) -> Floats:
        return self.mean.opposite_side(which, -shifts)

    def coarse_side(self, which: int, shifts: Floats, _: bool, /) -> Floats:
        return self.side(which, shifts)

    def opposite_side(self, which: int, shifts: Floats) -> Floats:
        return self.mean.side(which, -shifts)


@dataclass(frozen=True)
class Unknown:
    """A mean of no items: anything inside the bound."""

    def coarse_side(self, which: int, shifts: Floats, _: bool, /) -> Floats:
        """The same as `side`."""
        return self.side(which, shifts)

    def side(self, which: int, shifts: Floats) -> Floats:
        """Everything is open: 1 and 0 for each of `shifts` (…,)."""
        return np.full_like(shifts, 1 - which)

    def opposite_side(self, which: int, shifts: Floats) -> Floats:
        """The other side is as open."""
        return self.side(which, shifts)


def share_of_means(differences: Floats, sizes: Floats | None = None) -> Melded:
    """How many of `differences` (items,), in [-1, 1], are not 0, melded with the mean of those.

    sizes: of groups, whose differences are sums over their items, in [-size, size].
    """
    differ = np.abs(differences) > 1e-12
    some = differences[differ]
    if sizes is None:
        return Melded(Subsets.of(some) if len(some) else Unknown(), shares(len(some), len(differences)))
    of, each = sizes[differ], float(sizes.sum() / (sizes @ sizes))  # each item's part of a group of effective size
    effective = float(sizes.sum()) * each
    counted = min(float(of.sum()) * each, effective) if len(of) < len(sizes) else effective
    return Melded(Subsets.of(some, of) if len(some) else Unknown(), shares(counted, effective))


@lru_cache(maxsize=4096)
def shares(some: float, items: float) -> tuple[Floats, Floats]:
    """Equally likely values, (NODES,) each, of Clopper and Pearson's lower and upper distribution of some / items.

    Numbers that are not whole are effective ones: Korn and Graubard 1998.
    """
    points = (np.arange(NODES) + 0.5) / NODES
    smaller = special.betaincinv(some, items - some + 1, points) if some else np.zeros(NODES)
    larger = special.betaincinv(some + 1, items - some, points) if some < items else np.ones(NODES)
    return smaller, larger
