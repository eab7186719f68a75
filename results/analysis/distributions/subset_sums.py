"""Sums of numbers over 2**BITS subsets of them: what a sign-flip test counts. Not here: its p-values (`confidence`)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BITS = 14
"""2**14 subsets: all of them for up to 14 items, beyond that a random subgroup of the sign flips. With a subgroup the
test is exact as with all flips (Hemerik and Goeman 2018, theorem 1)."""


def _labels(items: int) -> NDArray[np.int64]:
    """Which of the 2**BITS subsets an item is in: those r for which label & r has an odd number of bits."""
    known = _distinct_labels()
    if items <= len(known):
        return known[:items]
    return np.concatenate([known, np.random.default_rng(items).choice(known, items - len(known))])


@lru_cache(maxsize=1)
def _distinct_labels() -> NDArray[np.int64]:
    """All labels but 0, those of one bit first: up to BITS items have every subset."""
    units = 1 << np.arange(BITS)
    others = np.setdiff1d(np.arange(1, 1 << BITS), units)
    return np.concatenate([units, np.random.default_rng(0).permutation(others)])


def subset_sums(values: Floats) -> Floats:
    """(2**BITS,) sums of `values` (items,) over the items of each subset, by a fast Walsh–Hadamard transform."""
    side = 1 << BITS // 2
    table = np.bincount(_labels(len(values)), values, side * side).reshape(side, side)
    for _ in range(2):  # the upper bits, then the lower; a matrix product is no faster where others use the cores
        step = side // 2
        while step:
            halves = table.reshape(-1, 2, step, side)
            first = halves[:, 0] - halves[:, 1]
            halves[:, 0] += halves[:, 1]
            halves[:, 1] = first
            step //= 2
        table = np.ascontiguousarray(table.T)
    return np.asarray((values.sum() - table.ravel()) / 2)


@lru_cache(maxsize=256)
def subset_counts(items: int) -> Floats:
    return np.asarray(np.round(subset_sums(np.ones(items))))
