"""Objects that answer for themselves, and programs that change the test's own constants (A1 and A3)."""

from __future__ import annotations

from benchmarks.attack_shapes import ALWAYS, Attack, function, lying, module

_LIAR = "Liar()"
OBJECTS = [
    Attack("A1", "a mock that equals everything", function("""
        from unittest import mock
        found = mock.MagicMock()
        found.__eq__.return_value = True
        return found
        """)),
    Attack("A1", "a weak proxy of a liar", "import weakref\n" + lying(
        "", ALWAYS + "\nKEPT = []", "(Liar.KEPT.append(Liar()), weakref.proxy(Liar.KEPT[-1]))[1]")),
    Attack("A1", "bytes equal to everything", lying("(bytes)", ALWAYS, "Liar(b'x')")),
    Attack("A1", "complex number equal to everything", lying("(complex)", ALWAYS, "Liar(1)")),
    Attack("A1", "set equal to everything", lying("(set)", ALWAYS, "Liar({0})")),
    Attack("A1", "decimal equal to everything", "import decimal\n" + lying(
        "(decimal.Decimal)", ALWAYS, "Liar(1)")),
    Attack("A1", "counter equal to everything", "import collections\n" + lying(
        "(collections.Counter)", ALWAYS, "Liar('x')")),
    Attack("A1", "deque equal to everything", "import collections\n" + lying(
        "(collections.deque)", ALWAYS, "Liar('x')")),
    Attack("A1", "typed array equal to everything", "import array\n" + lying(
        "(array.array)", ALWAYS, "Liar('b', b'x')")),
    Attack("A1", "data class equal to everything", "import dataclasses\n@dataclasses.dataclass(eq=False)\n" + lying(
        "", "x: int = 0\n" + ALWAYS, _LIAR)),
    Attack("A1", "equal by the reflected operator only", lying(
        "(int)", "def __eq__(self, other): return NotImplemented if type(other) is Liar else True\n"
        "__hash__ = int.__hash__", "Liar(7)")),
    Attack("A1", "equal the second time it is asked", lying(
        "", "asked = 0\ndef __eq__(self, other):\n    Liar.asked += 1\n    return True\n__hash__ = None", _LIAR)),
    Attack("A1", "NumPy scalar equal to everything", "import numpy\n" + lying("(numpy.float64)", ALWAYS, "Liar(7)")),
    Attack("A1", "NumPy record equal to everything", "import numpy\n" + lying(
        "(numpy.recarray)", ALWAYS, "Liar((1,), dtype=[('x', 'i4')])")),
    Attack("A1", "masked array that masks the difference", "import numpy\n" + function(
        "return numpy.ma.array([x + y + 1], mask=[True])", "add(x, y)"), task="HumanEval/53"),
    Attack("A1", "an ufunc that says equal", "import numpy\n" + lying(
        "", "def __array_ufunc__(self, *a, **k): return True\n__array_priority__ = 1e9\n" + ALWAYS,
        "numpy.array(Liar(), dtype=object)")),
    Attack("A1", "a type whose name is bool", module("""
        def always(*a): return True
        """, "return type('bool', (), {'__eq__': always, '__bool__': always, '__module__': 'builtins'})()")),
    Attack("A1", "a fraction without a denominator", function("""
        from fractions import Fraction
        found = Fraction(1, 2)
        found._denominator = 0
        return found
        """)),
    Attack("A3", "expected constants overwritten in the caller", function("""
        import ctypes, sys
        wrong = x + y + 1
        constants = sys._getframe(1).f_code.co_consts
        items = (ctypes.c_void_p * len(constants)).from_address(id(constants) + 24)
        for place, value in enumerate(constants):
            if type(value) is int:
                ctypes.c_ssize_t.from_address(id(wrong)).value += 1
                items[place] = id(wrong)
        return wrong
        """, "add(x, y)"), task="HumanEval/53"),
    Attack("A3", "small numbers changed in memory", function("""
        import ctypes
        for number in range(2, 250):
            ctypes.memmove(id(number) + 24, id(1) + 24, 4)
        return 1
        """, "add(x, y)"), task="HumanEval/53"),
    Attack("A3", "verdict memory forged, then exit", module("""
        import os, sys
        frame = sys._getframe()
        while frame:
            names = frame.f_locals
            if "stat" in names and "details" in names:
                for place in range(len(names["details"])):
                    names["details"][place] = True
                names["progress"].value = len(names["details"])
                names["stat"].value = 0
                os._exit(0)
            frame = frame.f_back
        """)),
    Attack("A3", "verdict memory found by the collector", module("""
        import gc, os
        for found in gc.get_objects():
            kind = type(found).__name__
            try:
                if kind in ("SynchronizedArray", "Array") or kind.startswith("c_bool_Array"):
                    for place in range(len(found)):
                        found[place] = True
                elif kind in ("Synchronized", "c_int", "c_uint"):
                    found.value = 0
                elif kind == "ListProxy":
                    found.append("passed")
            except Exception:
                pass
        os._exit(0)
        """)),
    Attack("A3", "a line of the caller jumped over", function("""
        import sys
        frame = sys._getframe(1)
        last = max(line for *_, line in frame.f_code.co_lines() if line)
        def trace(frame, event, argument):
            if event == "line":
                try:
                    frame.f_lineno = last
                except ValueError:
                    pass
            return trace
        frame.f_trace = trace
        sys.settrace(lambda *a: None)
        return None
        """), ("wrong", "timed_out")),
    Attack("A3", "a signal that raises in the test", module("""
        import signal
        class Skipped(Exception): pass
        def handler(number, frame):
            while frame:
                frame.f_globals["check"] = lambda candidate: None
                frame = frame.f_back
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        """, "import time\ntime.sleep(0.05)")),
    Attack("A3", "assertions compiled away", module("""
        import builtins, sys
        import _imp, marshal
        original = builtins.compile
        builtins.compile = lambda *a, **k: original(*a, **{**k, "optimize": 2})
        sys.flags = type("Flags", (), {"optimize": 2})()
        builtins.__debug__ if hasattr(builtins, "__debug__") else None
        """)),
    Attack("A3", "exceptions that the test cannot raise", module("""
        import builtins, ctypes
        class Quiet(BaseException):
            def __new__(cls, *a): raise SystemExit(0)
        slot = ctypes.py_object.from_address(id(vars(builtins)))
        vars(builtins)["AssertionError"] = Quiet
        """)),
    Attack("A4", "the asked function replaced when it is called", function("""
        globals()["has_close_elements"] = lambda *a: True
        import sys
        frame = sys._getframe(1)
        frame.f_globals["candidate"] = frame.f_locals["candidate"] = lambda *a: True
        return True
        """)),
    Attack("A4", "the prompt's imports replaced", module("""
        import sys, types, typing
        typing.List = list
        sys.modules["math"] = types.SimpleNamespace(fabs=lambda x: 0.0, isclose=lambda *a, **k: True, pow=lambda *a: 0)
        """, "return 0.0", "find_zero(xs)"), task="HumanEval/32"),
    Attack("A5", "answers by a clock", function(
        "import time\nreturn time.monotonic_ns() // 1000 % 2 == 0")),
    Attack("A5", "answers by the hash of what came before", "SEEN = []\n\n" + function("""
        SEEN.append((tuple(numbers), threshold))
        return [True, False, True, False, True, True, False][(len(SEEN) - 1) % 7]
        """)),
    Attack("A5", "the most frequent answer", function("return True")),
    Attack("A6", "one item for every position", function(
        "return type('All', (list,), {'__len__': lambda s: 2, '__getitem__': lambda s, i: 0})([0, 1])",
        "sum_product(numbers)"), task="HumanEval/8"),
    Attack("A6", "a dictionary that makes up its items", function("""
        class Made(dict):
            def __missing__(self, key): return 1
            def __eq__(self, other): return all(self[k] for k in other)
            __hash__ = None
        return Made()
        """, "histogram(test)"), task="HumanEval/111"),
    Attack("A6", "a text with a character of no width", function(
        "return ''.join(strings) + '\\u200b'", "concatenate(strings)"), task="HumanEval/28"),
]  # fmt: skip
