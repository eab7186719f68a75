"""Levels: every value of a curve lies within its bucket, whatever the pieces it came in."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from results.curves import levels

VALUES = st.floats(width=64)


def brute_force(values: np.ndarray, width: int) -> list[tuple[float, float]]:
    """(least, greatest) finite value of each `width` values, NaN without one: the plain way."""
    found = []
    for start in range(0, len(values), width):
        finite = [value for value in values[start : start + width].tolist() if math.isfinite(value)]
        found.append((min(finite), max(finite)) if finite else (math.nan, math.nan))
    return found


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    pieces=st.lists(st.integers(1, 1500), min_size=1, max_size=6),
    odd=st.lists(st.sampled_from([math.nan, math.inf, -math.inf]), max_size=4),
)
def test_a_level_built_in_pieces_is_the_brute_force_one(seed: int, pieces: list[int], odd: list[float]) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=sum(pieces))
    places = random.integers(0, len(values), len(odd))
    values[places] = odd
    steps = np.cumsum(random.integers(1, 100, len(values)))
    level, start = levels.EMPTY, 0
    for piece in pieces:
        level = levels.extended(level, steps[start : start + piece], values[start : start + piece])
        start += piece
    assert level.points == len(values)
    assert len(level.buckets) <= levels.CAPACITY
    assert len(level.buckets) > levels.CAPACITY // 2 or level.width == 1
    expected = np.array(brute_force(values, level.width))
    np.testing.assert_array_equal(np.column_stack([level.buckets["low"], level.buckets["high"]]), expected)
    np.testing.assert_array_equal(level.buckets["first"], steps[:: level.width])
    marked = set(level.buckets["odd"].tolist()) - {levels.NEVER}
    every = {int(steps[place]) for place in places}
    assert marked <= every
    assert bool(marked) == bool(every)


@given(values=st.lists(VALUES, min_size=1, max_size=200), most=st.integers(1, 250))
def test_reducing_keeps_the_extremes_and_the_marks(values: list[float], most: int) -> None:
    given_values = np.array(values)
    buckets = levels.of_points(np.arange(len(values)), given_values)
    other = levels.of_points(np.arange(7), np.arange(7.0))
    together, counts, factors = levels.reduced([other, buckets, other], most)
    assert sum(counts) == len(together)
    assert max(counts) <= most
    reduced, factor = together[counts[0] : counts[0] + counts[1]], factors[1]
    for ends in (together[: counts[0]], together[-counts[2] :]):
        assert (ends["low"].min(), ends["high"].max()) == (0.0, 6.0)
    np.testing.assert_array_equal(
        np.column_stack([reduced["low"], reduced["high"]]), np.array(brute_force(given_values, factor))
    )
    first_odd = next((step for step, value in enumerate(values) if not math.isfinite(value)), None)
    marks = reduced["odd"][reduced["odd"] != levels.NEVER].tolist()
    assert marks[:1] == ([] if first_odd is None else [first_odd])
