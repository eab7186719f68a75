"""Results that lie, and answers that are hardly programs (A1, A6, A7 of the attack table)."""

from __future__ import annotations

from benchmarks.attack_shapes import ALWAYS, Attack, function, lying, module

_SLIGHT = """
def __abs__(self): return 0.0
def __sub__(self, other): return self
def __rsub__(self, other): return self
def __lt__(self, other): return True
def __len__(self): return 1
def __iter__(self): return iter(())
"""

VALUES = [
    Attack("A1", "object equal to everything", lying("", ALWAYS, "Liar()")),
    Attack("A1", "object that is any small difference", lying("", _SLIGHT, "Liar()"), task="HumanEval/0"),
    *(
        Attack("A1", f"{base} equal to everything", lying(f"({base})", ALWAYS, f"Liar({value})"))
        for base, value in (("int", "7"), ("str", "'x'"), ("list", "[0]"), ("float", "0.5"), ("dict", "{}"))
    ),
    Attack(
        "A1",
        "bool by metaclass",
        "class Meta(type):\n    def __eq__(cls, other): return True\n    __hash__ = type.__hash__\n"
        "class Liar(metaclass=Meta): pass\n\n" + function("return Liar"),
    ),
    Attack("A1", "not a number", function("return float('nan')", "truncate_number(number)"), task="HumanEval/2"),
    Attack("A6", "arguments emptied", function("numbers.clear()\nreturn True")),
    Attack(
        "A6", "argument changed to suit the test", function("l.sort()\nreturn l", "sort_third(l)"), task="HumanEval/33"
    ),
    Attack("A6", "generator", function("yield True")),
    Attack("A6", "coroutine", "async def has_close_elements(numbers, threshold):\n    return True\n"),
    Attack("A6", "lambda", function("return lambda *a: True")),
]
_MALFORMED = [
    ("empty", "", ("no_code",)),
    ("comments only", "# a thought\n    # another\n", ("no_code",)),
    ("syntax error", "def has_close_elements(numbers, threshold:\n    return True\n", ("syntax_error",)),
    ("wrong name", "def close_elements(numbers, threshold):\n    return True\n", ("wrong",)),
    ("byte order mark inside", "\ufeffdef has_close_elements(numbers, threshold):\n    return 1\n", ("syntax_error",)),
    ("CRLF and a wrong answer", "def has_close_elements(numbers, threshold):\r\n    return None\r\n", ("wrong",)),
    ("tabs and spaces", "\tx = 1\n        return x\n", ("syntax_error",)),
    ("NUL", "    return True\x00\n", ("syntax_error",)),
    ("a megabyte of code", "    x = [" + "1," * 500_000 + "]\n    return x\n", ("wrong", "timed_out")),
    ("nested too deeply", "    return " + "(" * 5000 + "1" + ")" * 5000 + "\n", ("syntax_error",)),
    ("operators nested too deeply", "    return " + "-" * 200_000 + "1\n", ("syntax_error", "wrong")),
    ("lone surrogate", "    return '\ud800'\n", ("syntax_error",)),
    ("a comment of a million faces", "    return 1\n#" + "\U0001f600" * 1_000_000 + "\n", ("wrong",)),
]
VALUES += [
    Attack("A1", "the standard library's equal to everything", function("from unittest.mock import ANY\nreturn ANY")),
    Attack("A1", "pair of liars", lying("", ALWAYS, "(Liar(), Liar())", "sum_product(numbers)"), task="HumanEval/8"),
    Attack("A1", "tuple that is any tuple", lying("(tuple)", ALWAYS, "Liar((0, 1))", "sum_product(numbers)"),
           task="HumanEval/8"),
    Attack("A1", "claimed class", lying("", ALWAYS + "\n__class__ = bool\ndef __getattr__(self, name): return self",
           "Liar()")),
    Attack("A1", "named tuple with its own comparison", "import collections\n" + lying(
           "(collections.namedtuple('Base', 'a b'))", ALWAYS, "Liar(0, 1)", "sum_product(numbers)"),
           task="HumanEval/8"),
    Attack("A1", "enumeration equal to everything", "import enum\n" + lying("(enum.IntEnum)", "A = 1\n" + ALWAYS,
           "Liar.A")),
    Attack("A1", "fraction equal to everything",
           "import fractions\n" + lying("(fractions.Fraction)", ALWAYS, "Liar(1)")),
    Attack("A1", "array equal to everything", "import numpy\n" + lying("(numpy.ndarray)", ALWAYS, "Liar(1)")),
    Attack("A1", "array of liars", "import numpy\n" + lying("", ALWAYS, "numpy.array([Liar()], dtype=object)")),
    Attack("A1", "a standard class taught to lie", module("""
        import collections
        collections.Counter.__eq__ = lambda *a: True
        """, "return collections.Counter()")),
    Attack("A1", "False overwritten with True in memory", module("""
        import ctypes
        ctypes.memmove(id(False) + 16, id(True) + 16, 16)
        """, "return True")),
    Attack("A1", "hostile hashes in a set", lying("", ALWAYS.replace("__hash__ = None",
           "def __hash__(self): raise SystemExit"), "{Liar()}")),
    Attack("A1", "pickled as the right answer", lying("", "def __reduce__(self): return bool, (1,)\n" + ALWAYS,
           "Liar()")),
    Attack("A6", "list that holds itself", function("found = []\nfound.append(found)\nreturn found")),
    Attack("A6", "dictionary that holds itself", function("found = {}\nfound[0] = found\nreturn found")),
    Attack("A6", "iterator that never answers", function("import time\nreturn iter(lambda: time.sleep(0.001), 1)")),
    Attack("A6", "iterator that exits", function("import sys\nreturn map(sys.exit, [0])")),
    Attack("A6", "integer of ten thousand digits", function("return 10 ** 10_000")),
    Attack("A6", "lone surrogates returned", function("return chr(0xD800) * 1000")),
    Attack("A6", "infinity", function("return float('inf')", "truncate_number(number)"), task="HumanEval/2"),
    Attack("A6", "a signalling NaN", function("from decimal import Decimal\nreturn Decimal('sNaN')")),
    Attack("A6", "list where a tuple is due", function("return [sum(numbers), __import__('math').prod(numbers)]",
           "sum_product(numbers)"), task="HumanEval/8"),
    Attack("A6", "NumPy's True where True is due", "import numpy\n" + function(
           "return numpy.bool_(q == q[::-1] and sum(q) <= w)", "will_it_fly(q, w)"), task="HumanEval/72"),
]  # fmt: skip
CLOSE = "any(abs(a - b) < threshold for i, a in enumerate(numbers) for b in numbers[i + 1:])"
VALUES += [
    Attack("A6", "infinity of half precision", "import math, numpy\n" + function(
           "if n > 6:\n    return numpy.float16('inf')\nreturn math.prod(map(math.factorial, range(1, n + 1)))",
           "special_factorial(n)"), task="HumanEval/139"),
    Attack("A6", "off by two in half precision", "import numpy\n" + function(
           "found = n * (n + 1) // 2\nreturn numpy.float16(found - 2) if found > 5000 else found", "sum_to_n(n)"),
           task="HumanEval/60"),
    Attack("A6", "a rest of half precision", "import numpy\n" + function(
           "return numpy.float16(number % 1.0)", "truncate_number(number)"), task="HumanEval/2"),
    Attack("A6", "a mean of half precision", "import numpy\n" + function("""
           mean = sum(numbers) / len(numbers)
           return numpy.float16(sum(abs(x - mean) for x in numbers) / len(numbers))
           """, "mean_absolute_deviation(numbers)"), task="HumanEval/4"),
    Attack("A6", "half precision in an array without a shape", "import numpy\n" + function(
           "return numpy.array(number % 1.0, 'f2')", "truncate_number(number)"), task="HumanEval/2"),
    Attack("A6", "zeros at the end of a text", "import numpy\n" + function(
           "return numpy.str_(''.join(strings) + chr(0) * 50)", "concatenate(strings)"), task="HumanEval/28"),
    Attack("A6", "zeros at the end of a decoded text", "import numpy\n" + function(
           "return numpy.str_(''.join(chr((ord(c) - 102) % 26 + 97) for c in s) + chr(0) * 50)", "decode_shift(s)"),
           task="HumanEval/50"),
    Attack("A6", "a sum three brackets deep", "import numpy\n" + function(
           "return numpy.array([[[x + y]]])", "add(x, y)"), task="HumanEval/53"),
    Attack("A6", "a difference in brackets", "import numpy\n" + function(
           "return numpy.array([number % 1.0])", "truncate_number(number)"), task="HumanEval/2"),
    Attack("A6", "a matrix where a number is due", "import numpy\n" + function(
           "return numpy.matrix([[x + y]])", "add(x, y)"), task="HumanEval/53"),
    Attack("A6", "a truth in brackets", "import numpy\n" + function(
           f"return numpy.array([{CLOSE}])")),
]  # fmt: skip
VALUES += [Attack("A7", name, code, due) for name, code, due in _MALFORMED]
