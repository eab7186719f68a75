"""Confidence distributions: one function of a shift gives the p-value, the interval at any level and a margin's test.

    below(shift)   one-sided p-value of "the truth is at most shift": 0 far below the estimate, 1 far above it

A 95 % interval is what lies between its 2.5 % and 97.5 % points, so an interval excludes zero exactly when the test
that belongs to it says so. Here are the two kinds that `results.analysis.paired` and `statistics.ratio_interval` use:

    Subsets   numbers: the ratios sum(values) / sum(weights) over random subsets of the items, which inverts sign flips
    Melded    a share of items times a mean on those: how many items differ, and which way those that differ fall

Not covered: what the numbers mean, and families of tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, special

Floats = NDArray[np.float64]

BITS = 14
"""2**14 subsets: all of them for up to 14 items, beyond that a random subgroup of the sign flips. With a subgroup the
test is exact as with all flips (Hemerik and Goeman 2018, theorem 1)."""

NODES = 32
"""Equally likely values that stand for a beta distribution. Against 512 of them ends move by less than 1e-4."""

TAIL = 1 / (4 * float(special.ndtr(-math.sqrt(2))))
"""3.18: random signs exceed z standard deviations with at most this times the normal chance. Exact, whatever the
values: Bentkus and Dzindzalieta 2015. It bounds p-values that are too small to be counted."""


class Confidence(Protocol):
    """A confidence distribution."""

    @property
    def within(self) -> tuple[float, float]:
        """Where its ends are looked for."""

    @property
    def bounded(self) -> bool:
        """Whether nothing can lie outside `within`; else an end that is not inside is infinite."""

    def below(self, shift: float) -> float:
        """One-sided p-value of "the truth is at most `shift`"; rises from 0 to 1."""


def interval(confidence: Confidence, level: float) -> tuple[float, float]:
    """(low, high) of that two-sided level; an end that the data cannot bound is the bound itself, or infinite.

    Ends are outside of jumps: the low end's p-value is at most (1 - level) / 2.
    Raises: ValueError unless 0 < level < 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies strictly between 0 and 1: {level}")
    tail, (left, right) = (1 - level) / 2, confidence.within
    low = _end(confidence.below, (left, right), tail)
    high = _end(lambda shift: 1 - confidence.below(-shift), (-right, -left), tail)
    if confidence.bounded:
        return max(low, left), min(-high, right)
    return low, -high


def _end(below: Callable[[float], float], within: tuple[float, float], tail: float) -> float:
    """The largest shift whose p-value is at most `tail`, -inf if there is none inside `within`."""
    left, right = within
    if below(left) > tail:
        return -math.inf
    if left == right or below(right) <= tail:
        return right
    step = 1e-12 * max(abs(left), abs(right))
    end = float(optimize.brentq(lambda shift: below(shift) - tail, left, right, xtol=step, rtol=1e-14))
    while below(end) > tail and end > left:
        end, step = end - step, 2 * step
    return max(end, left)


@dataclass(frozen=True, eq=False)
class Subsets:
    """sum(values) / sum(weights) of all items, by the same ratio of random subsets of them (Hartigan 1969).

    The share of subsets whose ratio is at most s is the one-sided p-value of the sign-flip test of "the ratio is at
    most s": values - s * weights, flipped at random, would have to sum to less. Exact in level where those are
    symmetric.
    """

    ratios: Floats
    """(nonempty subsets,) sorted."""
    empty: int
    """Subsets without an item: their ratio is unknown."""
    value: float
    """The ratio of all items."""
    sums: tuple[float, float, float, float]
    """Sums over items: residuals², residuals * weights, weights², weights; residual = an item - `value` * weight."""
    tolerance: float
    """Ratios this close are one value."""
    bounded: bool = False

    @classmethod
    def of(cls, values: Floats, weights: Floats | None = None) -> Subsets:
        """values (items,); weights (items,) > 0, 1 by default. At least one item."""
        sizes = np.ones(len(values)) if weights is None else weights
        counts = _subset_counts(len(values))
        below = counts if weights is None else _subset_sums(sizes)
        full = counts > 0
        ratios = np.sort(_subset_sums(values)[full] / below[full])
        value = float(values.sum() / sizes.sum())
        left = values - value * sizes
        sums = float(left @ left), float(left @ sizes), float(sizes @ sizes), float(sizes.sum())
        return cls(ratios, int((~full).sum()), value, sums, 1e-9 * float(np.abs(values / sizes).max()))

    @property
    def within(self) -> tuple[float, float]:
        """Smallest and largest ratio of a subset, that is of an item."""
        return float(self.ratios[0]) - 2 * self.tolerance, float(self.ratios[-1]) + 2 * self.tolerance

    def below(self, shift: float) -> float:
        """One-sided p-value of "the ratio is at most `shift`"; a subset that ties, or is empty, counts half."""
        at_most, at_least = self.bounds(np.array([shift]))
        return float((at_most + at_least)[0] / 2)

    def bounds(self, shifts: Floats) -> tuple[Floats, Floats]:
        """(largest, smallest) p-values of "at most shift", (shifts,) each: between are ties and empty subsets."""
        total = len(self.ratios) + self.empty
        most = (np.searchsorted(self.ratios, shifts + self.tolerance, "right") + self.empty) / total
        least = np.searchsorted(self.ratios, shifts - self.tolerance, "left") / total
        squares, products, sizes, weight = self.sums
        further = shifts - self.value
        spread = np.sqrt(np.maximum(squares - 2 * further * products + further**2 * sizes, 1e-300))
        z = np.clip(-further * weight / spread, -38, 38)
        tail, head = TAIL * special.ndtr(-z), 1 - TAIL * special.ndtr(z)
        return np.maximum(np.minimum(most, tail), head), np.maximum(np.minimum(least, tail), head)


@dataclass(frozen=True, eq=False)
class Melded:
    """A share of the items times the mean on those: share * mean, the mean within [-bound, bound].

    The share's two beta distributions are those of Clopper and Pearson. Low ends take the smaller share for a mean
    above zero and the larger for one below, and high ends the other way round: Fay and Lumbard 2021, section 3.
    Mid-p: the two one-sided distributions are averaged.
    """

    mean: Callable[[Floats], tuple[Floats, Floats]]
    """(largest, smallest) p-values of "the mean is at most x", for x inside the bound."""
    shares: tuple[Floats, Floats]
    """(smaller, larger): equally likely values of the share."""
    bound: float = 1.0
    bounded: bool = True

    @property
    def within(self) -> tuple[float, float]:
        """Everything that a share of such a mean can be."""
        return -self.bound, self.bound

    def below(self, shift: float) -> float:
        """One-sided p-value of "share * mean is at most `shift`", mid-p."""
        return float(self.p_values(shift))

    def p_values(self, shift: float) -> Floats:
        """The same for many of them at once, whose `shares` and means have leading axes: (…,)."""
        smaller, larger = self.shares
        low, high = (larger, smaller) if shift < 0 else (smaller, larger)
        return (self._side(0, shift, low) + self._side(1, shift, high)) / 2

    def _side(self, side: int, shift: float, shares: Floats) -> Floats:
        if shift == 0:
            return np.asarray(self.mean(np.zeros(1))[side].mean(axis=-1))
        means = math.copysign(1, shift) * abs(shift) / np.maximum(shares, 1e-300)
        found = self.mean(np.clip(means, -self.bound, self.bound))[side]
        outside = np.where(means >= self.bound, 1.0, np.where(means < -self.bound, 0.0, found))
        return np.asarray(outside.mean(axis=-1))


def shares(some: int, items: int) -> tuple[Floats, Floats]:
    """Equally likely values, (NODES,) each, of Clopper and Pearson's lower and upper distribution of some / items."""
    points = (np.arange(NODES) + 0.5) / NODES
    smaller = special.betaincinv(some, items - some + 1, points) if some else np.zeros(NODES)
    larger = special.betaincinv(some + 1, items - some, points) if some < items else np.ones(NODES)
    return smaller, larger


@lru_cache(maxsize=64)
def _labels(items: int) -> NDArray[np.int64]:
    """Which of the 2**BITS subsets an item is in: those r for which label & r has an odd number of bits."""
    units = 1 << np.arange(min(items, BITS))
    generator = np.random.default_rng(items)
    others = np.setdiff1d(np.arange(1, 1 << BITS), units)
    more = items - len(units)
    drawn = generator.permutation(others)[:more] if more <= len(others) else generator.choice(others, more)
    return np.concatenate([units, drawn])


@lru_cache(maxsize=1)
def _walsh() -> Floats:
    return np.asarray(linalg.hadamard(1 << BITS // 2), dtype=np.float64)


def _subset_sums(values: Floats) -> Floats:
    """(2**BITS,) sums of `values` (items,) over the items of each subset, by a Walsh–Hadamard transform."""
    side = 1 << BITS // 2
    table = np.bincount(_labels(len(values)), values, side * side).reshape(side, side)
    flipped = (_walsh() @ table @ _walsh()).ravel()
    return np.asarray((values.sum() - flipped) / 2)


@lru_cache(maxsize=64)
def _subset_counts(items: int) -> Floats:
    counts: Floats = np.round(_subset_sums(np.ones(items)))
    return counts
