"""Plain values between two processes that do not trust each other: encoded as JSON, rebuilt as exact builtin types.

The candidate's process encodes; the judge's decodes. Only what is decoded here is ever compared, and every decoded
object is of an exact builtin or standard type made on the judge's side, so no method of the candidate's can take
part: the worst that a hostile process can send is a wrong value. What cannot cross is refused by name.

Equality stays Python's: a range is not a list, 1 == 1.0, an OrderedDict equals a dict. Iterators cross as iterators
over their items. The standard dict subclasses and wrappers cross as their builtin values. NumPy's scalars and arrays
stay NumPy's, since `is True` and `==` see the difference.

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

MAX_ITEMS = 1_000_000
"""Values in one result, nested ones included. HumanEval's largest has a few hundred."""
MAX_BYTES = 8_000_000
"""Encoded size of one result."""

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


def _encode(value: Any, count: list[int]) -> Any:
    """A JSON value: scalars as they are, lists as lists, everything else as {tag: payload}. `count` has one cell."""
    count[0] += 1
    if count[0] > MAX_ITEMS:
        raise NotPlain(f"a value of more than {MAX_ITEMS} items")
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is float:
        return value
    if kind is int:
        # JSON's decimal digits are quadratic and limited to 4,300; hexadecimal is neither.
        return value if -(1 << 62) < value < (1 << 62) else {"int": hex(value)}
    if kind is list:
        return [_encode(item, count) for item in value]
    if kind is tuple:
        return {"tuple": [_encode(item, count) for item in value]}
    if kind in _DICTS:
        return {"dict": [[_encode(key, count), _encode(item, count)] for key, item in dict.items(value)]}
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
        values = numpy.asarray(value)
        if _NUMPY_TYPES.fullmatch(values.dtype.str):
            tag = "array" if issubclass(kind, numpy.ndarray) else "scalar"
            return {tag: [values.dtype.str, _encode(values.tolist(), count)]}
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
    float: lambda value: float.__add__(value, 0.0),
    str: lambda value: str.__str__(value),
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
    set: lambda value: set(set.__iter__(value)),
}


def decode(data: Any) -> Any:
    """The value of an encoded one. Raises NotPlain, TypeError or ValueError on what `_encode` cannot have made."""
    if type(data) is list:
        return [decode(item) for item in data]
    if type(data) is not dict:
        return data
    if len(data) != 1:
        raise NotPlain("a malformed message")
    [(tag, payload)] = data.items()
    decoder = _DECODERS.get(tag)
    if decoder is None:
        raise NotPlain("a malformed message")
    return decoder(payload)


def _items(payload: Any) -> list[Any]:
    if type(payload) is not list:
        raise NotPlain("a malformed message")
    return [decode(item) for item in payload]


def _integers(payload: Any) -> list[int]:
    parts = _items(payload)
    if any(type(part) is not int for part in parts):
        raise NotPlain("a malformed message")
    return parts


def _decode_values(payload: Any) -> Any:
    return dict(enumerate(_items(payload))).values()


def _numpy_array(payload: Any) -> Any:
    """A NumPy array; NumPy is loaded when the first one comes."""
    name, values = _items(payload)
    if type(name) is not str or not _NUMPY_TYPES.fullmatch(name):
        raise NotPlain("a malformed message")
    return importlib.import_module("numpy").array(values, dtype=name)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda payload: int(payload, 16),
    "tuple": lambda payload: tuple(_items(payload)),
    "dict": lambda payload: {decode(key): decode(item) for key, item in payload},
    "set": lambda payload: set(_items(payload)),
    "frozenset": lambda payload: frozenset(_items(payload)),
    "deque": lambda payload: deque(_items(payload)),
    "complex": lambda payload: complex(float(payload[0]), float(payload[1])),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": lambda payload: range(*_integers(payload)),
    "fraction": lambda payload: Fraction(*_integers(payload)),
    "decimal": Decimal,
    "typed": lambda payload: array.array(*_items(payload)),
    "iterator": lambda payload: iter(_items(payload)),
    "keys": lambda payload: dict.fromkeys(_items(payload)).keys(),
    "values": _decode_values,
    "items": lambda payload: dict(_items(payload)).items(),
    "match": lambda _: Marker(),
    "array": _numpy_array,
    "scalar": lambda payload: _numpy_array(payload)[()],
}
