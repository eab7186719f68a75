"""A curve at screen resolution: at most `CAPACITY` buckets of least and greatest value, kept up to date on write.

Each bucket stands for `width` consecutive points, a power of two that doubles when the buckets are full. No point is
ever left out of its bucket, so a spike of one step is in every chart, and NaN and infinities are marked, not dropped.
Pure functions on numpy arrays; reading and writing is in `results.curves.curves`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.int64]
Values = NDArray[np.float64]

CAPACITY = 512
"""A full level has 256 to 512 buckets: 512 to 1,024 vertices a curve, about a screen's width."""

BUCKET = np.dtype([("first", "<i8"), ("low", "<f8"), ("high", "<f8"), ("odd", "<i8")])
"""first: the first point's step. low, high: of the finite values, NaN without one.
odd: first step whose value is not finite, NEVER without one."""

NEVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Level:
    """Buckets (at most CAPACITY) of `width` points each, the last one perhaps fewer; `points` in all."""

    width: int
    points: int
    buckets: NDArray[np.void]


EMPTY = Level(1, 0, np.empty(0, BUCKET))


def of_points(steps: Steps, values: Values) -> NDArray[np.void]:
    """One bucket a point."""
    buckets = np.empty(len(steps), BUCKET)
    finite = np.isfinite(values)
    buckets["first"] = steps
    buckets["low"] = np.where(finite, values, np.nan)
    buckets["high"] = buckets["low"]
    buckets["odd"] = np.where(finite, NEVER, steps)
    return buckets


def joined(buckets: NDArray[np.void], starts: NDArray[np.int64]) -> NDArray[np.void]:
    """Buckets joined into len(starts) wider ones, each from its start to the next."""
    wide = np.empty(len(starts), BUCKET)
    wide["first"] = buckets["first"][starts]
    wide["low"] = np.fmin.reduceat(buckets["low"], starts)
    wide["high"] = np.fmax.reduceat(buckets["high"], starts)
    wide["odd"] = np.minimum.reduceat(buckets["odd"], starts)
    return wide


def extended(level: Level, steps: Steps, values: Values) -> Level:
    """The level with points added behind its last one. steps ascend."""
    if len(steps) == 0:
        return level
    fresh = of_points(steps, values)
    width, points, buckets = level.width, level.points, level.buckets
    filled = points % width
    if filled:  # the last bucket takes what it lacks
        lacking = width - filled
        buckets = np.concatenate([buckets[:-1], joined(np.concatenate([buckets[-1:], fresh[:lacking]]), np.array([0]))])
        fresh = fresh[lacking:]
    if len(fresh):
        buckets = np.concatenate([buckets, joined(fresh, np.arange(0, len(fresh), width))])
    while len(buckets) > CAPACITY:
        buckets = joined(buckets, np.arange(0, len(buckets), 2))
        width *= 2
    return Level(width, points + len(steps), buckets)


def reduced(every: Sequence[NDArray[np.void]], most: int) -> tuple[NDArray[np.void], list[int], list[int]]:
    """Many curves' buckets, each reduced to at most `most`, in one pass.

    Returns (the reduced buckets of all, one curve's behind the other's; how many of them each curve has; how many
    buckets of a curve were joined into one).
    """
    counts = [len(buckets) for buckets in every]
    factors = [max(1, -(-count // max(1, most))) for count in counts]
    together = np.concatenate(every) if every else np.empty(0, BUCKET)
    if max(factors, default=1) == 1:
        return together, counts, factors
    ends = np.cumsum(counts).tolist()
    starts = [np.arange(end - count, end, factor) for end, count, factor in zip(ends, counts, factors, strict=True)]
    return joined(together, np.concatenate(starts)), [len(part) for part in starts], factors
