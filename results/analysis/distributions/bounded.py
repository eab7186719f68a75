"""The mean of values in [0, 1], as a confidence distribution that knows what it has not seen.

Ten values of 0 say that few are above it, not that none is. So the values are weighted at random, one more of 1 among
them (or, for the other side, one more of 0): weights (Dirichlet) are those under which n values of a sample lie in the
population that they come from. For values of 0 and 1 these are the two beta distributions of Clopper and Pearson 1934;
for others the bound is that of Learned-Miller and Thomas 2019 (arXiv 1905.06208). Drawn are none: the weighted mean is
taken as the beta distribution of its own mean and variance, which for 0 and 1 it is.

Not covered: values without bounds (`results.analysis.confidence.Subsets`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bounded:
    """The distribution (`results.analysis.confidence.Confidence`) of the mean of values in [0, 1]."""

    smaller: tuple[float, float]
    """(mean, variance) of the weighted mean with one more value of 0."""
    larger: tuple[float, float]
    """The same with one more of 1."""
    bounded: bool = field(default=True, init=False)
    within: tuple[float, float] = field(default=(0.0, 1.0), init=False)

    @classmethod
    def of(cls, values: Floats) -> Bounded:
        """values (items,) in [0, 1], at least one."""
        return cls(_weighted(values, 0.0), _weighted(values, 1.0))

    def below(self, shift: float) -> float:
        """One-sided p-value of "the mean is at most `shift`", the two distributions averaged."""
        return (_below(*self.smaller, shift) + _below(*self.larger, shift)) / 2

    def above(self, shift: float) -> float:
        """One-sided p-value of "the mean is at least `shift`"."""
        return 1 - self.below(shift)

    def surely_below(self, shift: float) -> float:
        """The p-value by the one distribution that goes against us."""
        return _below(*self.smaller, shift)

    def bounds_below(self, _: float) -> Iterator[tuple[float, float]]:
        """None: `below` itself costs little."""
        return iter(())


def _weighted(values: Floats, extra: float) -> tuple[float, float]:
    """(mean, variance) of the mean of `values` and `extra` under random weights."""
    n = len(values) + 1
    mean = (float(values.sum()) + extra) / n
    squares = float(((values - mean) ** 2).sum()) + (extra - mean) ** 2
    return mean, squares / (n * (n + 1))


def _below(mean: float, variance: float, shift: float) -> float:
    """The share of the beta distribution of that mean and variance that lies at `shift` or below."""
    if variance <= 1e-12 or not 1e-12 < mean < 1 - 1e-12:  # all are 0, or all are 1
        return float(shift >= mean)
    size = mean * (1 - mean) / variance - 1
    return float(special.betainc(mean * size, (1 - mean) * size, np.clip(shift, 0.0, 1.0)))
