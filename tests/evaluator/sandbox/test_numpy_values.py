"""NumPy's values in a test's hands: no kinder than Python's numbers, and true only where they are one value."""

from __future__ import annotations

import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.sandbox.numpy_values import judged

NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(numpy.int64),
    st.integers(-128, 127).map(numpy.int8),
    st.integers(0, 2**64 - 1).map(numpy.uint64),
    st.floats(width=16).map(numpy.float16),
    st.floats(width=32).map(numpy.float32),
    st.floats().map(numpy.float64),
)
OTHERS = st.integers() | st.floats(allow_nan=False) | st.sampled_from([2**53 + 1, 10**30, 125411328000])


def outcome(compute):
    """What a computation gives, or which error it raises; NaN by its name."""
    try:
        found = compute()
    except (ArithmeticError, ValueError, TypeError) as error:
        return type(error)
    return "nan" if found != found else found


@settings(max_examples=200)
@given(NUMBERS, OTHERS)
def test_a_number_compares_and_computes_as_pythons_does(number, other):
    python = number.item()
    for value in (judged(number), judged(numpy.array(number))):
        for compute in (
            lambda a: a == other, lambda a: other == a, lambda a: a != other, lambda a: a < other, lambda a: other < a,
            lambda a: a + other, lambda a: other - a, lambda a: a * 3, lambda a: abs(a - other) < 1e-6, lambda a: a**2,
            lambda a: -a, lambda a: bool(a), lambda a: a % 7, lambda a: 7 // a, float,
        ):  # fmt: skip
            assert outcome(lambda compute=compute, value=value: compute(value)) == outcome(
                lambda compute=compute: compute(python)
            )
    assert hash(judged(number)) == hash(python) or python != python


def test_values_stay_numpys():
    """A test sees the difference: `is True`, `isinstance`, comparisons item by item."""
    assert judged(numpy.bool_(True)) is numpy.True_
    assert isinstance(judged(numpy.int8(3)), numpy.integer) and not isinstance(judged(numpy.int8(3)), int)
    assert not isinstance(judged(numpy.float32(3)), numpy.float32) and isinstance(judged(numpy.float32(3)), float)
    assert judged(numpy.str_("a\0")) != "a"
    grid = judged(numpy.array([[1, 2], [3, 4]], "int16"))
    assert isinstance(grid, numpy.ndarray) and (grid == [[1, 2], [3, 4]]).all() and numpy.array_equal(grid, grid.copy())
    assert numpy.allclose(grid / 2, [[0.5, 1], [1.5, 2]]) and grid[0, 1] == 2 and grid[1].tolist() == [3, 4]


@pytest.mark.parametrize("shape", [(1,), (1, 1, 1), (0,), (2,)])
def test_an_array_with_a_shape_is_neither_true_nor_a_number(shape):
    array = judged(numpy.full(shape, 5.0))
    for claim in (
        lambda: array == 5, lambda: abs(array - 5) < 1e-6, lambda: array, lambda: [array] == [5], lambda: array in (5,),
        lambda: math.isclose(array, 5), lambda: int(array), lambda: math.pow(array, 1),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            assert claim()


def test_what_an_array_holds_is_as_exact_as_a_number_alone():
    powers = judged(numpy.array([2.0**53], "f8"))
    assert list(powers) != [2**53 + 1] and powers[0] != 2**53 + 1
    assert [item**2 for item in judged(numpy.array([2**32]))] == [2**64]


def test_complex_numbers_have_no_order():
    with pytest.raises(TypeError):
        assert judged(numpy.complex64(1)) < 2
