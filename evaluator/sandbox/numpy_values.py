"""NumPy's values as a test may see them: no kinder than Python's own, and true only where they are one value.

NumPy casts the number that it compares with down to its own type, so `float16("inf") == 125411328000` and
`float64(2**53) == 2**53 + 1`; its integers wrap around; `[[[5]]] == 5` is true. A test that was written for Python's
numbers would call wrong results right. Here numbers are as wide as Python's, a number's operators are those of Python's
numbers, and an array that has a shape is never true or false by itself, nor a number. They remain instances of NumPy's
types.

What a test does with NumPy's own functions (`allclose`, `.all()`) is its own affair, broadcasting included.
Only the judge's side loads this; NumPy is loaded with the first value.
"""

from __future__ import annotations

import functools
import importlib
import operator
from collections.abc import Callable
from typing import Any

_Operator = Callable[..., Any]
_COMPUTING: dict[str, _Operator] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "divmod": divmod, "pow": pow,
}  # fmt: skip
_OPERATORS: dict[str, _Operator] = {
    **{f"__{name}__": getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs")},
    **{f"__{name}__": operate for name, operate in _COMPUTING.items()},
    **{f"__r{name}__": lambda a, b, operate=operate: operate(b, a) for name, operate in _COMPUTING.items()},
}
_TRUTH: dict[str, _Operator] = {
    "__bool__": bool, "__float__": float, "__int__": int, "__index__": operator.index, "__complex__": complex,
}  # fmt: skip
_WIDE: dict[str, tuple[str, type]] = {"f": ("f8", float), "c": ("c16", complex), "i": ("i8", int), "u": ("u8", int)}
"""The kinds, by `numpy.dtype.kind`: the widest type, and the type of Python whose operators it gets."""


def judged(value: Any) -> Any:
    """What a test gets in the place of a NumPy scalar or array."""
    if value.dtype.kind in _WIDE:
        value = value.astype(_WIDE[value.dtype.kind][0])
    return value.view(_array()) if value.shape or type(value) is _numpy().ndarray else _scalar(value)


def _numpy() -> Any:
    return importlib.import_module("numpy")


def _scalar(value: Any) -> Any:
    """A scalar with Python's operators; NumPy's own truth values and texts have none that would be kinder."""
    return _number(value.dtype.type)(value) if value.dtype.kind in _WIDE else value


@functools.cache
def _number(kind: Any) -> Any:
    """A subclass of a NumPy scalar type that compares and computes as Python's type does."""
    python = _WIDE[kind().dtype.kind][1]

    def by_python(operate: _Operator) -> _Operator:
        return lambda self, *others: operate(python(self), *others)

    members = {name: by_python(operate) for name, operate in (*_OPERATORS.items(), ("__hash__", hash))}
    return type(kind.__name__, (kind,), members)


@functools.cache
def _array() -> Any:
    """A subclass of `numpy.ndarray`: as a number or a truth where it has no shape, and as neither where it has one."""
    ndarray = _numpy().ndarray

    def by_shape(name: str, operate: _Operator) -> _Operator:
        def operated(self: Any, *others: Any) -> Any:
            if self.shape == ():
                return operate(self[()], *others)
            if name in _TRUTH:
                raise ValueError(f"an array of shape {self.shape} is no single value")
            return getattr(ndarray, name)(self, *others)

        return operated

    def item(self: Any, key: Any) -> Any:
        found = ndarray.__getitem__(self, key)
        return found if isinstance(found, ndarray) else _scalar(found)

    members = {name: by_shape(name, operate) for name, operate in (*_OPERATORS.items(), *_TRUTH.items())}
    members |= {"__getitem__": item, "__iter__": lambda self: (self[place] for place in range(len(self)))}
    return type("ndarray", (ndarray,), {**members, "__hash__": None})
