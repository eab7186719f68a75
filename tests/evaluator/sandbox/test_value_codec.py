"""What crosses between candidate and judge: exact plain values, equal on both sides, or a refusal by name."""

from __future__ import annotations

import array
import enum
import itertools
import json
import re
import types
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, namedtuple
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.sandbox import value_codec

TEXT = st.text(st.characters(categories=["L", "Nd", "Cs", "Cc"]) | st.sampled_from("\0 \ud83d\ude00\u2028\U0001f600"))
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.binary()
    | st.complex_numbers(allow_nan=False) | st.fractions() | st.decimals(allow_nan=False)
)  # fmt: skip
TAGS = sorted(value_codec.Decoder().tags)
NUMPY_TYPES = ["?", "i1", "<i2", ">i4", "i8", "u1", "u2", "u4", "u8", "f2", ">f4", "f8", "c8", "c16", "U3"]
ARRAYS = st.tuples(st.sampled_from(NUMPY_TYPES), st.lists(st.integers(0, 3), max_size=3), st.binary(max_size=8)).map(
    lambda drawn: numpy.resize(numpy.frombuffer(drawn[2] + b"\1", "u1"), drawn[1]).astype(drawn[0])
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.lists(inner, max_size=5).map(tuple)
    | st.dictionaries(HASHABLE, inner, max_size=4) | st.frozensets(HASHABLE, max_size=4)
    | st.sets(HASHABLE, max_size=4),
    max_leaves=20,
)  # fmt: skip


def same_types(a: object, b: object) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same_types(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return all(same_types(x, y) for x, y in zip(a.items(), b.items(), strict=True))  # in the same order
    return repr(a) == repr(b) or isinstance(a, set | frozenset)  # -0.0 is not 0.0


@settings(max_examples=60)
@given(VALUES)
def test_values_come_back_equal_and_of_the_same_type(value):
    back = value_codec.loads(value_codec.dumps(value))
    assert back == value
    assert same_types(value, back)


@settings(max_examples=100)
@given(TEXT.map(numpy.str_) | ARRAYS | ARRAYS.filter(lambda array: array.size).map(lambda array: array.ravel()[0]))
def test_numpys_values_come_back_whole(value):
    """Of the same type, shape and length, and of the same bytes: zeros at the end of a text, an empty array's shape."""
    back = value_codec.loads(value_codec.dumps(value))
    assert type(back) is type(value) and back.dtype == value.dtype and back.shape == value.shape
    assert (str(back), len(back)) == (str(value), len(value)) if isinstance(value, str) else True
    assert back.tobytes() == value.tobytes()


@pytest.mark.parametrize(
    "value", ["a\0\0", "\ud83d\ude00", "\ud83d\ude00\U0001f600", numpy.str_("a\0"), type("F", (float,), {})(-0.0)]
)
def test_what_an_encoding_could_lose_is_kept(value):
    back = value_codec.loads(value_codec.dumps(value))
    assert (back, str(back)) == (value, str(value))
    assert not isinstance(value, str) or len(back) == len(value)


def test_an_order_that_a_dictionary_keeps_apart_is_kept():
    moved = OrderedDict(a=1, b=2, c=3)
    moved.move_to_end("a")
    assert list(value_codec.loads(value_codec.dumps(moved))) == ["b", "c", "a"]


@settings(max_examples=60)
@given(st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner:
       st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TAGS), inner, max_size=1),
       max_leaves=10).map(json.dumps))  # fmt: skip
def test_any_message_is_a_value_or_refused(text):
    try:
        value_codec.loads(text)
    except value_codec.NotPlain as refusal:
        assert str(refusal)


def test_equality_stays_pythons():
    def crossed(value):
        return value_codec.loads(value_codec.dumps(value))

    Point = namedtuple("Point", "x y")
    assert crossed(Point(1, 2)) == (1, 2)
    assert (
        crossed(Counter("aab"))
        == crossed(OrderedDict(a=2, b=1))
        == crossed(defaultdict(int, a=2, b=1))
        == {"a": 2, "b": 1}
    )
    assert crossed(range(3)) != [0, 1, 2]
    assert crossed(map(str, [1])) != ["1"]
    assert list(crossed(str(i) for i in range(2))) == ["0", "1"]
    assert crossed({1: 2}.keys()) == {1}
    assert crossed({1: 2}.values()) != [2]
    assert crossed(10**5000) == 10**5000
    assert crossed(float("nan")) != crossed(float("nan"))
    assert bool(crossed(re.match("a", "a"))) and crossed(re.match("a", "a")) != True  # noqa: E712
    assert (crossed(Decimal("0.5")), crossed(Fraction(1, 2))) == (0.5, 0.5)


def test_numpys_values_stay_numpys():
    """A test sees the difference: `is True`, `isinstance`, comparisons item by item."""
    for value in (numpy.bool_(True), numpy.float32(0.1), numpy.int64(-3), numpy.str_("ab"), numpy.complex128(1j)):
        back = value_codec.loads(value_codec.dumps(value))
        assert back == value and type(back) is type(value)
    grid = value_codec.loads(value_codec.dumps([numpy.array([[1, 2], [3, 4]], "int16")]))[0]
    assert grid.dtype == "int16" and grid.tolist() == [[1, 2], [3, 4]]
    for refused in (numpy.array([object()]), numpy.longdouble(1), numpy.datetime64("2020-01-01"), numpy.ma.array([1])):
        with pytest.raises(value_codec.NotPlain):
            value_codec.dumps(refused)
    for message in (
        '{"array": ["O", [1], [1]]}',
        '{"array": ["<i8", [1], {"dict": []}]}',
        '{"array": ["<i8", [2], [1]]}',
        '{"scalar": "<i8"}',
        '{"scalar": ["U", 1]}',
    ):
        with pytest.raises(value_codec.NotPlain):
            value_codec.loads(message)
    with pytest.raises(value_codec.NotPlain):  # short here, four bytes a character there
        value_codec.loads(json.dumps({"array": ["<U99999", [900], ["a"] * 900]}))


def test_standard_wrappers_and_enumerations_are_their_values():
    class Colour(enum.IntEnum):
        RED = 3

    space: dict = {"__builtins__": {"type": type, "list": list}}
    exec("bare = type('L', (list,), {})", space)  # has no `__module__`
    for value, same in (
        (Colour.RED, 3), (UserList([1]), [1]), (UserDict(a=1), {"a": 1}), (ChainMap({1: 2}), {1: 2}),
        (UserString("x"), "x"), (types.MappingProxyType({1: 2}), {1: 2}), (space["bare"]([1]), [1]),
    ):  # fmt: skip
        back = value_codec.loads(value_codec.dumps(value))
        assert back == same and type(back) is type(same)
    assert value_codec.loads(value_codec.dumps(array.array("d", [0.5]))) == array.array("d", [0.5])
    assert list(value_codec.loads(value_codec.dumps(itertools.pairwise("abc")))) == [("a", "b"), ("b", "c")]


class Equal(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class Truthy(str):
    def __bool__(self):
        return True


class Meta(type):
    def __eq__(cls, other):
        return True

    __hash__ = type.__hash__


@pytest.mark.parametrize(
    "value",
    [
        Equal(1),
        [Equal(1)],
        {Truthy(""): 1},
        Meta("M", (), {}),
        Meta("M", (int,), {})(3),
        object(),
        len,
        lambda: 1,
        int,
        ...,
    ],
    ids=[
        "equal",
        "inside a list",
        "key",
        "metaclass",
        "its subclass of int",
        "object",
        "builtin",
        "lambda",
        "type",
        "dots",
    ],
)
def test_what_could_lie_is_refused(value):
    with pytest.raises(value_codec.NotPlain):
        value_codec.dumps(value)


def test_size_and_depth_are_bounded():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    cycle: list = []
    cycle.append(cycle)
    for value in (deep, cycle, [0] * (value_codec.MAX_ITEMS + 1), "x" * (value_codec.MAX_BYTES + 1)):
        with pytest.raises(value_codec.NotPlain):
            value_codec.dumps(value)
    with pytest.raises(value_codec.NotPlain):
        value_codec.loads("[" * 100_000 + "]" * 100_000)
