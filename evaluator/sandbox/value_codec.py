"""Plain values between two processes that do not trust each other: encoded as JSON, rebuilt as exact builtin types.

The candidate's process encodes; the judge's decodes. Only what is decoded here is ever compared, and every decoded
object is of an exact builtin or standard type made on the judge's side, so no method of the candidate's can take
part: the worst that a hostile process can send is a wrong value. What cannot cross is refused by name.

Equality stays Python's: a range is not a list, 1 == 1.0, an OrderedDict equals a dict. Iterators cross as iterators
over their items. The standard dict subclasses and wrappers cross as their builtin values. NumPy's scalars and arrays
stay NumPy's, since `is True` and `==` see the difference; what a test sees of them is `evaluator.sandbox.numpy_values`.

Of what crosses as itself nothing is lost: `decode(encode(x)) == x`, of the same type, length, shape and order.

Standard library only: this runs inside both sandboxes.
"""

from __future__ import annotations

import array
import enum
import importlib
import itertools
import json
import re
import sys
import types
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

MAX_ITEMS = 2_000_000
"""Values in one result, nested ones included. HumanEval's largest has a few hundred, HumanEval+'s (130) 1,000,006."""
MAX_BYTES = 32_000_000
"""Encoded size of one result. HumanEval+'s largest (130) has 11,426,489."""

_DICTS = frozenset({dict, Counter, OrderedDict, defaultdict})
_WRAPPERS: dict[type, Callable[[Any], Any]] = {
    ChainMap: dict, UserDict: dict, UserList: list, UserString: str, types.MappingProxyType: dict,
}  # fmt: skip
_VIEWS: dict[type, str] = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}
_ITERATORS = frozenset(
    {map, filter, zip, enumerate, reversed, types.GeneratorType, type(iter([])), type(iter(())), type(iter("")),
     type(iter(set())), type(iter({})), type(iter({}.values())), type(iter({}.items())), type(iter(range(0))),
     type(reversed([])), *(kind for kind in vars(itertools).values() if isinstance(kind, type))}
)  # fmt: skip
# A subclass that defines any other special method could answer differently from its value, so it is refused.
_HARMLESS = frozenset(
    {"__module__", "__doc__", "__dict__", "__weakref__", "__slots__", "__new__", "__init__", "__repr__", "__str__",
     "__format__", "__reduce_ex__", "__getnewargs__", "__match_args__", "__annotations__", "__qualname__",
     "__orig_bases__", "__parameters__", "__static_attributes__", "__firstlineno__"}
)  # fmt: skip
_ENUMS = frozenset({enum.Enum, enum.ReprEnum, enum.IntEnum, enum.StrEnum, enum.Flag, enum.IntFlag})
_NUMPY_TYPES = re.compile(r"[<>|](b1|[iu][1248]|f[248]|c8|c16|U\d{1,5})")
"""`numpy.dtype.str` of booleans, of the numbers that Python has too, and of text."""
_NUMPY_TEXT = "U"
"""The same of a text that is no array: a `numpy.dtype` would drop the zeros at its end."""
MAX_ARRAY_BYTES = 64_000_000
"""Largest NumPy array, which holds as much for its shortest text as for its longest."""
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
"""Two surrogates that JSON's escapes would make one character of."""
_EVERY_CHARACTER = ("utf-32-le", "surrogatepass")
_JSON = json.JSONEncoder(separators=(",", ":"), check_circular=False)  # what `_encode` makes holds no circle


class NotPlain(Exception):
    """The value cannot cross. Its text says what it is."""


class Marker:
    """Stands for an object of a standard type that is simply true and equal to nothing else, such as a match."""


def dumps(value: Any) -> str:
    """JSON text of an encoded value. Raises NotPlain when it is too large, too deep or not of a plain type."""
    try:
        text = _JSON.encode(_encode(value, [0]))
    except RecursionError:
        raise NotPlain("a value nested too deeply") from None
    if len(text) > MAX_BYTES:
        raise NotPlain(f"a value of {len(text)} bytes, over {MAX_BYTES}")
    return text


def loads(text: str | bytes) -> Any:
    """The value that `dumps` encoded, of exact types. Raises NotPlain on anything that `dumps` cannot have written."""
    if len(text) > MAX_BYTES:
        raise NotPlain(f"a message of {len(text)} bytes, over {MAX_BYTES}")
    try:
        return decode(json.loads(text))
    except NotPlain:
        raise
    except Exception as error:
        raise NotPlain(f"a malformed message ({type(error).__name__})") from None


def shortest(message: bytes) -> bytes:
    """The same JSON as this module writes it, without white space and other spellings."""
    return _JSON.encode(json.loads(message)).encode()


def _encode(value: Any, count: list[int]) -> Any:
    """A JSON value: scalars as they are, lists as lists, everything else as {tag: payload}. `count` has one cell."""
    count[0] += 1
    if count[0] > MAX_ITEMS:
        raise NotPlain(f"a value of more than {MAX_ITEMS} items")
    kind = type(value)
    if kind is bool or value is None or kind is float:
        return value
    if kind is str:
        return value if value.isascii() or not _PAIR.search(value) else {"text": value.encode(*_EVERY_CHARACTER).hex()}
    if kind is int:
        # JSON's decimal digits are quadratic and limited to 4,300; hexadecimal is neither.
        return value if -(1 << 62) < value < (1 << 62) else {"int": hex(value)}
    if (kind is list or kind is tuple) and count[0] + len(value) > MAX_ITEMS:
        raise NotPlain(f"a value of more than {MAX_ITEMS} items")  # before time is spent on those that would fit
    if kind is list:
        return [_encode(item, count) for item in value]
    if kind is tuple:
        return {"tuple": [_encode(item, count) for item in value]}
    if kind in _DICTS:
        # Not dict.items: an OrderedDict keeps its order apart.
        return {"dict": [[_encode(key, count), _encode(item, count)] for key, item in value.items()]}
    if kind is set or kind is frozenset or kind is deque:
        return {kind.__name__: [_encode(item, count) for item in value]}
    return _encode_rare(value, kind, count)


def _encode_rare(value: Any, kind: type, count: list[int]) -> Any:
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if kind is bytes or kind is bytearray:
        return {kind.__name__: value.hex()}
    if kind is range:
        return {"range": [_encode(part, count) for part in (value.start, value.stop, value.step)]}
    if kind is Fraction:
        return {"fraction": [_encode(value.numerator, count), _encode(value.denominator, count)]}
    if kind is Decimal:
        return {"decimal": str(value)}
    if kind is array.array:
        return {"typed": [value.typecode, _encode(value.tolist(), count)]}
    if kind in _ITERATORS:
        return {"iterator": [_encode(item, count) for item in itertools.islice(value, MAX_ITEMS)]}
    if kind in _VIEWS:
        return {_VIEWS[kind]: [_encode(item, count) for item in value]}
    if kind is re.Match:
        return {"match": None}
    if kind in _WRAPPERS:
        return _encode(_WRAPPERS[kind](value), count)
    numpy = sys.modules.get("numpy")
    if numpy is not None and _module(kind) == "numpy" and issubclass(kind, numpy.generic | numpy.ndarray):
        if kind is numpy.str_:
            return {"scalar": [_NUMPY_TEXT, _encode(str.__str__(value), count)]}
        values = numpy.asarray(value)
        if _NUMPY_TYPES.fullmatch(values.dtype.str):
            if issubclass(kind, numpy.generic):
                return {"scalar": [values.dtype.str, _encode(values.item(), count)]}
            if values.nbytes > MAX_ARRAY_BYTES:
                raise NotPlain(f"an array of {values.nbytes} bytes, over {MAX_ARRAY_BYTES}")
            return {"array": [values.dtype.str, list(values.shape), _encode(values.ravel().tolist(), count)]}
    return _encode(_base_value(value, kind), count)


def _base_value(value: Any, kind: type) -> Any:
    """The builtin value of a subclass that changes nothing of it, such as a named tuple. Raises NotPlain."""
    if type(kind) is type or type(kind) is enum.EnumType:
        for parent in kind.__mro__:
            if parent in _BASES:
                return _BASES[parent](value)
            if parent not in _ENUMS and any(name.startswith("__") and name not in _HARMLESS for name in vars(parent)):
                break
    raise NotPlain(f"an object of type {_module(kind)}.{kind.__qualname__}"[:120])


def _module(kind: type) -> str:
    """Where a class is from; one that `type()` made in an answer's bare namespace does not say."""
    return getattr(kind, "__module__", "?")


_BASES: dict[type, Callable[[Any], Any]] = {
    int: lambda value: int.__add__(value, 0),
    float: lambda value: float.__pos__(value),
    str: lambda value: str.__str__(value),
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
    set: lambda value: set(set.__iter__(value)),
}


class Decoder:
    """Rebuilds values. `numpy_value` is what becomes of each NumPy scalar and array."""

    def __init__(self, numpy_value: Callable[[Any], Any] = lambda value: value) -> None:
        self.tags: dict[str, Callable[[Any], Any]] = {
            "text": lambda payload: bytes.fromhex(payload).decode(*_EVERY_CHARACTER),
            "int": lambda payload: int(payload, 16),
            "tuple": lambda payload: tuple(self._items(payload)),
            "dict": lambda payload: {self.value(key): self.value(item) for key, item in payload},
            "set": lambda payload: set(self._items(payload)),
            "frozenset": lambda payload: frozenset(self._items(payload)),
            "deque": lambda payload: deque(self._items(payload)),
            "complex": lambda payload: complex(float(payload[0]), float(payload[1])),
            "bytes": bytes.fromhex,
            "bytearray": bytearray.fromhex,
            "range": lambda payload: range(*self._integers(payload)),
            "fraction": lambda payload: Fraction(*self._integers(payload)),
            "decimal": Decimal,
            "typed": lambda payload: array.array(*self._items(payload)),
            "iterator": lambda payload: iter(self._items(payload)),
            "keys": lambda payload: dict.fromkeys(self._items(payload)).keys(),
            "values": lambda payload: dict(enumerate(self._items(payload))).values(),
            "items": lambda payload: dict(self._items(payload)).items(),
            "match": lambda _: Marker(),
            "array": lambda payload: numpy_value(_numpy_array(*self._items(payload))),
            "scalar": lambda payload: numpy_value(_numpy_scalar(*self._items(payload))),
        }

    def value(self, data: Any) -> Any:
        """The value of an encoded one. Raises NotPlain, TypeError or ValueError on what `_encode` cannot have made."""
        if type(data) is list:
            return [self.value(item) for item in data]
        if type(data) is not dict:
            return data
        if len(data) != 1:
            raise NotPlain("a malformed message")
        [(tag, payload)] = data.items()
        decoder = self.tags.get(tag)
        if decoder is None:
            raise NotPlain("a malformed message")
        return decoder(payload)

    def _items(self, payload: Any) -> list[Any]:
        if type(payload) is not list:
            raise NotPlain("a malformed message")
        return [self.value(item) for item in payload]

    def _integers(self, payload: Any) -> list[int]:
        parts = self._items(payload)
        if any(type(part) is not int for part in parts):
            raise NotPlain("a malformed message")
        return parts


def _numpy_array(name: Any, shape: Any, values: Any) -> Any:
    """A NumPy array; NumPy is loaded when the first one comes."""
    if type(name) is not str or not _NUMPY_TYPES.fullmatch(name) or type(values) is not list:
        raise NotPlain("a malformed message")
    numpy = importlib.import_module("numpy")
    kind = numpy.dtype(name)
    if kind.itemsize * len(values) > MAX_ARRAY_BYTES:
        raise NotPlain("a malformed message")
    return numpy.array(values, dtype=kind).reshape(tuple(shape))


def _numpy_scalar(name: Any, value: Any) -> Any:
    if name == _NUMPY_TEXT and type(value) is str:
        return importlib.import_module("numpy").str_(value)
    return _numpy_array(name, (), [value])[()]


decode = Decoder().value
"""The value of an encoded one, NumPy's as they were."""
