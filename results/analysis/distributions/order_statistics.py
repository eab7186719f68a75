"""Percentiles from sorted values, and how many independent values a sample of repetitions is worth. Pure.

Not covered: the interval made of both (`results.analysis.statistics.percentile_interval`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]


def independent_values(below: NDArray[np.bool_], groups: Sequence[str], level: float) -> float:
    """How many independent values would tell the share of `below` (n,) as well as these groups of values do."""
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    n, count, share = len(below), len(names), float(below.mean())
    if count == 1:
        return float(n)
    sums = np.bincount(place, below - share)
    variance = count / (count - 1) * float(sums @ sums) / n**2
    if variance == 0:  # each group has the same share below, as where all values are the same
        return float(count)
    z, t = special.ndtri((1 + level) / 2), special.stdtrit(count - 1, (1 + level) / 2)
    return min(float(n), share * (1 - share) / variance * float(z / t) ** 2)


def order_statistic(ordered: Floats, share: float, chance: float, n: float) -> float:
    """The (fractional) order statistic that lies below the quantile at `share` with that chance; ±inf beyond the ends.

    The r-th smallest of n values is below it with chance P(Beta(r, n + 1 - r) <= share), which falls with r. n is how
    many independent values `ordered` is worth, at most its length.
    """

    def excess(rank: float) -> float:
        return float(special.betainc(rank, n + 1 - rank, share)) - chance

    if n < 1 or excess(1) < 0:
        return -math.inf if chance > 0.5 else math.inf
    if excess(n) > 0:
        return math.inf
    rank = float(optimize.brentq(excess, 1, n)) if n > 1 else 1.0
    return float(np.interp(rank / (n + 1) * (len(ordered) + 1), np.arange(1, len(ordered) + 1), ordered))
