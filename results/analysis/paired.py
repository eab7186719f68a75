"""Two models on the same items: the difference, its interval and its p-values, all three of one distribution.

    paired_verdicts   pass or fail: McNemar's test, and the melded interval that belongs to it
    paired_numbers    graded scores: sign flips, and the interval that inverts them
    paired_ratios     nats of rows: bits per byte of the whole, and the interval that inverts sign flips over rows

Where the interval excludes zero the p-value is below 5 %, and the other way round, at every level.

Try: python -c "from results.analysis.paired import paired_verdicts as p; print(p(60, 20, 8, 76))"
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from results.analysis.confidence import Confidence, Floats, Melded, Subsets, interval, share_of_means, shares
from results.analysis.distributions.differing import FEWEST_DIFFERING, ties_counted


@dataclass(frozen=True)
class PairedDifference:
    """a minus b on the same items."""

    value: float
    """mean of a - b, in the numbers' unit."""
    items: int
    differing: int
    """Items on which a and b differ."""
    too_few: str
    """Why no test of so few items could tell two models apart; "" where one can. The interval holds all the same."""
    method: str
    confidence: Confidence = field(repr=False, compare=False)
    """What all of this comes from."""
    groups: int = 0
    """Groups that the items are in, which `differing` counts then; 0 where none are related."""

    @cached_property
    def p_value(self) -> float:
        """Two-sided, of no difference."""
        return min(1.0, 2 * min(self.confidence.below(0.0), self.confidence.above(0.0)))

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval, two-sided; infinite where so few items bound nothing."""
        return self._ends[0]

    @property
    def high(self) -> float:
        """Its upper end."""
        return self._ends[1]

    @cached_property
    def _ends(self) -> tuple[float, float]:
        return self.interval(0.95)

    def interval(self, level: float) -> tuple[float, float]:
        """(low, high) at any two-sided level, by inverting `p_value`'s test; 1 - 0.05 / comparisons for a family."""
        return interval(self.confidence, level)

    def lies_above(self, shift: float, tail: float) -> bool:
        """Whether the interval that leaves out `tail` on either side lies above `shift`, without computing it."""
        for least, most in self.confidence.bounds_below(shift):
            if most <= tail or least > tail:
                return most <= tail
        return self.confidence.below(shift) <= tail

    def p_at_most(self, shift: float) -> float:
        """One-sided p-value of "a - b is at most `shift`". At 0: a is better. At -margin: a is not worse by a margin.

        Below zero the exact one: a model that is worse than a margin passes in at most 5 % of worlds, where ties that
        count half let up to 9 % through (few items differ, all one way). It is at most twice the interval's own, so
        that a margin outside of the 95 % interval always passes at 5 %.
        """
        return self.confidence.surely_below(shift) if shift < 0 else self.confidence.below(shift)


@lru_cache(maxsize=20_000)
def paired_verdicts(both: int, only_a: int, only_b: int, neither: int) -> PairedDifference:
    """Pass rate of a minus that of b from the tasks that both, one or none of the two passes.

    Near mid-p (`distributions.differing`). Sources: Fay and Lumbard 2021, doi:10.1002/sim.8829; Fagerland, Lydersen and
    Laake 2013.
    Raises: ValueError for no tasks or negative counts.
    """
    items = both + only_a + only_b + neither
    if items <= 0 or min(both, only_a, only_b, neither) < 0:
        raise ValueError(f"counts of tasks must be non-negative and not all zero: {both, only_a, only_b, neither}")
    differing = only_a + only_b
    confidence = Melded(_Coins(only_a, differing), shares(differing, items), float(ties_counted(differing, items)))
    return _difference(confidence, (only_a - only_b) / items, items, differing, "McNemar")


def verdict_p_values(only_a: ArrayLike, only_b: ArrayLike, items: int, shift: float = 0.0) -> Floats:
    """`p_at_most(shift)` of many pairs at once, (pairs,): what `paired_verdicts` says of each, without intervals.

    only_a, only_b (pairs,): tasks that just one of the two passes, of `items` that all share.
    """
    wins, losses = (np.asarray(one, dtype=np.float64).ravel()[:, None] for one in (only_a, only_b))
    differing, place = np.unique((wins + losses).ravel(), return_inverse=True)
    some = [shares(int(one), items) if shift else (np.ones(1), np.ones(1)) for one in differing]
    smaller, larger = (np.stack([one[side] for one in some])[place] for side in (0, 1))
    ties = ties_counted((wins + losses)[:, 0], items)
    return Melded(_Coins(wins, wins + losses), (smaller, larger), ties).p_values(shift, surely=shift < 0)


def paired_numbers(a: ArrayLike, b: ArrayLike) -> PairedDifference:
    """Mean of a - b of graded scores, a (items,) and b (items,), by sign flips.

    Scores in [0, 1] often agree: how many differ is melded with the mean of those. Where all that differ are right for
    one and wrong for the other, this is `paired_verdicts`. Of other numbers nothing bounds the difference, and fewer
    than five items leave it open.
    Raises: ValueError for unequal lengths, none, or values that are not finite.
    """
    first, second = _same_length(a, b)
    differences = first - second
    differing = int((np.abs(differences) > 1e-12).sum())
    shares = min(first.min(), second.min()) >= 0 and max(first.max(), second.max()) <= 1
    if shares and differing and ((differences == 0) | (np.abs(differences) == 1)).all():
        wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
        same = paired_verdicts(0, wins, losses, len(differences) - wins - losses)
        return replace(same, method="sign flips")
    confidence = share_of_means(differences) if shares else Subsets.of(differences)
    return _difference(confidence, float(differences.mean()), len(differences), differing, "sign flips")


def paired_ratios(nats_a: ArrayLike, nats_b: ArrayLike, sizes: ArrayLike) -> PairedDifference:
    """Bits per byte of a minus those of b over the whole of the same rows: nats (rows,) twice, and their bytes (rows,).

    Raises: ValueError for unequal lengths, none, values that are not finite, or rows without bytes.
    """
    first, second = _same_length(nats_a, nats_b)
    bits = _sizes(sizes, len(first)) * math.log(2)
    differences = first - second
    confidence = Subsets.of(differences, bits)
    differing = int((np.abs(differences) > 1e-12).sum())
    return _difference(confidence, confidence.value, len(first), differing, "sign flips over rows")


def _difference(confidence: Confidence, value: float, items: int, differing: int, method: str) -> PairedDifference:
    few = too_few_differ(differing, items, "items")
    return PairedDifference(value, items, differing, few, method, confidence)


def too_few_differ(differing: int, items: int, what: str) -> str:
    """Why no test of so many that differ could tell two models apart; "" where one can. what: "items", or groups."""
    if differing >= FEWEST_DIFFERING:
        return ""
    return f"the two differ on {differing} of {items} {what}; of fewer than {FEWEST_DIFFERING} no test tells them apart"


@dataclass(frozen=True)
class _Coins:
    """Which of two models passes where just one does: `only_a` of `differing`; the mean is 2 * chance - 1."""

    only_a: int | Floats
    differing: int | Floats

    def coarse_side(self, which: int, shifts: Floats, _: bool, /) -> Floats:
        """The same as `side`."""
        return self.side(which, shifts)

    def side(self, which: int, shifts: Floats) -> Floats:
        """0: the largest p-values of "the mean is at most shift"; 1: the smallest."""
        return self._tail(which, (1 + shifts) / 2, self.only_a, self.differing - self.only_a)

    def opposite_side(self, which: int, shifts: Floats) -> Floats:
        """The same of "at least shift"."""
        return self._tail(which, (1 - shifts) / 2, self.differing - self.only_a, self.only_a)

    @staticmethod
    def _tail(which: int, chance: Floats, wins: int | Floats, losses: int | Floats) -> Floats:
        # betainc(0, n, x) is 1 and betainc(n, 0, x) is 0 here, which scipy's gamma functions leave open
        if which == 0:
            return np.where(wins == 0, 1.0, special.betainc(np.maximum(wins, 1e-300), losses + 1, chance))
        return np.where(losses == 0, 0.0, special.betainc(wins + 1, np.maximum(losses, 1e-300), chance))


def _same_length(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = (np.asarray(one, dtype=np.float64).ravel() for one in (a, b))
    if len(first) != len(second) or not len(first):
        raise ValueError(f"paired values need the same items, at least one: {len(first)} against {len(second)}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("paired values must be finite")
    return first, second


def _sizes(sizes: ArrayLike, rows: int) -> Floats:
    found = np.asarray(sizes, dtype=np.float64).ravel()
    if len(found) != rows or not (np.isfinite(found) & (found > 0)).all():
        raise ValueError(
            f"each of {rows} rows needs its bytes, above 0; got {len(found)}, least {found.min(initial=0)}"
        )
    return found
