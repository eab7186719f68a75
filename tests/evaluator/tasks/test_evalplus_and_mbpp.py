"""HumanEval+ and MBPP+ in every published form, and MBPP's tasks of every kind: references pass, wrong answers fail.

The tasks are invented; each has the shape of a published one, which its name says.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluator import Answer, BenchmarkUnreadable, Scorer, ScoringSettings, load_benchmark, score_answers, score_samples
from evaluator.tasks.benchmarks import benchmark_name
from evaluator.tasks.published import NAMES, published_file
from evaluator.tasks.task import benchmark_digest

BOTH = "passed", "passed"


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def verdicts(path: Path, *programs: str, kind: str = "solution") -> list[tuple[str, str | None]]:
    """(verdict, by the base tests) of programs as answers to a file's only task."""
    [task] = load_benchmark(path)
    answers = [Answer(task.id, number, f"{code}\n# {number}\n", kind) for number, code in enumerate(programs)]
    return [(one.verdict, one.base) for one in score_answers([task], answers, ScoringSettings(workers=1))]


def mbpp(code: str, *tests: str, **fields: object) -> dict[str, object]:
    return {"task_id": 7, "text": "Write it.", "code": code, "test_list": list(tests), "test_setup_code": "", **fields}


MBPP_KINDS = {
    "a function called check (56, 349, 899, 967)": (
        mbpp("def check(n):\n    return n > 0", "assert check(3) == True", "assert check(-3) == False"),
        "def check(n):\n    return n > -9",
    ),
    "a class of the answer's (601)": (
        mbpp(
            "class Span:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n"
            "def widest(spans):\n    return max(one.b - one.a for one in spans)",
            "assert widest([Span(1, 4), Span(2, 9)]) == 7",
            "assert (widest([Span(0, 1)])) == 1 ",
        ),
        "class Span:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\ndef widest(spans):\n    return 7",
    ),
    "objects that the set-up makes (367, 927)": (
        mbpp(
            "class Leaf:\n    def __init__(self, data):\n        self.data, self.next = data, None\n"
            "def depth(leaf):\n    return 1 + depth(leaf.next) if leaf else 0",
            "assert depth(one) == 1",
            "assert depth(two) == 2",
            test_setup_code="one = Leaf(1)\ntwo = Leaf(2)\ntwo.next = Leaf(3)\n",
        ),
        "class Leaf:\n    def __init__(self, data):\n        self.data = data\ndef depth(leaf):\n    return 1",
    ),
    "a module that only the answer imports (596)": (
        mbpp(
            "import sys\ndef size(t):\n    return sys.getsizeof(t)", 'assert size((1, "a")) == sys.getsizeof((1, "a"))'
        ),
        "def size(t):\n    return 0",
    ),
    "a type as an argument (533)": (
        mbpp(
            "def without(row, kind):\n    return [one for one in row if not isinstance(one, kind)]",
            "assert without((4, 7.7, 'a'), int) == [7.7, 'a']",
            "assert without((4, 7.7, 'a'), str) == [4, 7.7]",
        ),
        "def without(row, kind):\n    return [7.7, 'a']",
    ),
}


@pytest.mark.parametrize("kind", MBPP_KINDS)
def test_mbpp_references_of_every_kind_pass_and_wrong_answers_fail(tmp_path, kind):
    row, wrong = MBPP_KINDS[kind]
    path = lines(tmp_path / "mbpp.jsonl", row)
    assert [one for one, _ in verdicts(path, row["code"], wrong)] == ["passed", "wrong"]


def test_an_answer_without_the_class_that_the_test_hands_over_is_wrong(tmp_path):
    row, _ = MBPP_KINDS["a class of the answer's (601)"]
    [task] = load_benchmark(lines(tmp_path / "mbpp.jsonl", row))
    [scored] = score_answers([task], [Answer(task.id, 0, "def widest(spans):\n    return 7", "solution")])
    assert (scored.verdict, scored.message) == ("wrong", "NameError: name 'Span' is not defined")


@pytest.mark.parametrize("given", [7, "7", "Mbpp/7", "MBPP/7"])
def test_a_task_of_mbpp_has_one_name(tmp_path, given):
    rows = [mbpp("def f(): return 1", "assert f() == 1", task_id=given), {**INPUTS, "task_id": "Mbpp/8"}]
    assert [task.id for task in load_benchmark(lines(tmp_path / "m.jsonl", *rows))] == ["MBPP/7", "MBPP/8"]


def test_the_sanitized_file_is_an_array(tmp_path):
    good = "def f(x): return x**0.5"
    row = mbpp(good, "assert isclose(f(4), 2)", test_imports=["from math import isclose"])
    row["prompt"] = row.pop("text")
    (tmp_path / "sanitized-mbpp.json").write_text(json.dumps([row], indent=2))
    assert verdicts(tmp_path / "sanitized-mbpp.json", good, "def f(x): return x") == [("passed", None), ("wrong", None)]
    [task] = load_benchmark(tmp_path / "sanitized-mbpp.json")
    assert benchmark_name(str(tmp_path / "sanitized-mbpp.json"), [task]) == "mbpp"


INPUTS = {
    "task_id": "HumanEval/0",
    "prompt": 'def scaled(xs, factor):\n    """The list times the factor."""\n',
    "entry_point": "scaled",
    "canonical_solution": "    xs[:] = [x * factor for x in xs]\n    return xs\n",
    "base_input": [[[1, 2], 3], [[0.1, 0.7], 3.0]],
    "plus_input": [[[], 1], [[1e9], 0.1]],
    "atol": 0,
}
OWN_TEST = "def check(candidate):\n    assert candidate([1, 2], 3) == [3, 6]\n"
WRITTEN = """
import numpy as np

def assertion(out, exp, atol):
    exact_match = out == exp
    if not exact_match and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match


"""
CHECK = (
    "def check(candidate):\n    inputs = {}\n    results = {}\n    for inp, exp in zip(inputs, results):\n        {}\n"
)


@pytest.mark.slow
@pytest.mark.parametrize("besides", [{}, {"test": OWN_TEST}], ids=["inputs alone", "a test besides"])
@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (INPUTS["canonical_solution"], BOTH),
        ("    return [x * factor * (1 + 1e-9) if type(x) is float else x * factor for x in xs]\n", BOTH),
        ("    return [x * factor * (1 + 1e-5) if type(x) is float else x * factor for x in xs]\n", ("wrong", "wrong")),
        ("    return tuple(x * factor * (1 + 1e-9) if type(x) is float else x * factor for x in xs)\n", ("wrong",) * 2),
        ("    return [x * factor for x in xs] or None\n", ("wrong", "passed")),
        ("    return xs\n", ("wrong", "wrong")),
    ],
)
def test_evalplus_inputs_are_compared_with_the_reference(tmp_path, body, verdict, besides):
    """The file with both `test` and `plus_input`, as EvalPlus publishes it, is scored by the inputs."""
    path = lines(tmp_path / "plus.jsonl", {**INPUTS, **besides})
    assert verdicts(path, body, body, kind="completion") == [verdict] * 2


@pytest.mark.slow
def test_roots_are_judged_by_the_polynomial_alone(tmp_path):
    """As EvalPlus does for HumanEval/32, the one task with more than one right answer to an input; and as it is written
    out, where the published test takes the root for the polynomial."""
    task = load_benchmark("humaneval")[32]
    row = {**INPUTS, "task_id": task.id, "prompt": task.prompt, "entry_point": task.entry_point, "atol": 0.0001}
    row |= {"canonical_solution": task.canonical_solution, "base_input": [[[1, 2]]], "plus_input": [[[-6, 11, -6, 1]]]}
    near = task.canonical_solution.replace("return begin", "return begin + 1e-7")
    off = task.canonical_solution.replace("return begin", "return begin + 1e-2")
    other = task.canonical_solution.replace("return begin", "return 3.0 if len(xs) == 4 else begin")
    assert len({near, off, other, task.canonical_solution}) == 4
    programs = (task.canonical_solution, near, other, off)
    found = verdicts(lines(tmp_path / "roots.jsonl", row), *programs, kind="completion")
    assert found == [BOTH, BOTH, BOTH, ("wrong", "wrong")]
    poly = "def _poly(xs: list, x: float):\n    return sum(c * x**i for i, c in enumerate(xs))\n\n"
    written = poly + CHECK.format([[[1, 2]]], [-0.5], "assert _poly(*candidate(*inp), inp) <= 0.0001")
    row = {key: row[key] for key in ("prompt", "entry_point", "canonical_solution")} | {
        "task_id": "Own/32",
        "test": written,
    }
    programs = (task.canonical_solution, near, off)
    found = verdicts(lines(tmp_path / "hub.jsonl", row), *programs, kind="completion")
    assert found == [("passed", None), ("passed", None), ("wrong", None)]


@pytest.mark.slow
def test_mbpp_plus_has_its_own_types_and_rules(tmp_path):
    """Tuples that JSON has made lists of (Mbpp/2's number says so), equality as sets (its function's name), nothing
    added (an empty object, as in Mbpp/793)."""
    code = "\ndef similar_elements(a, b):\n    assert type(a) is type(b) is tuple\n    return tuple(set(a) & set(b))\n"
    row = {**INPUTS, "task_id": "Mbpp/2", "prompt": '"""Shared."""\n', "entry_point": "similar_elements"}
    row |= {
        "canonical_solution": code,
        "base_input": [[[1, 2], [2]]],
        "plus_input": [[[1, 2, 3], [3, 2]]],
        "assertion": "",
    }
    turned = "def similar_elements(a, b):\n    return [x for x in reversed(a) if x in b]"
    wrong = "def similar_elements(a, b):\n    return (2,)"
    path = lines(tmp_path / "plus.jsonl", row)
    assert verdicts(path, code, turned, wrong) == [BOTH, BOTH, ("wrong", "passed")]
    assert verdicts(lines(tmp_path / "none.jsonl", row | {"plus_input": {}}), code, wrong) == [BOTH, BOTH]


@pytest.mark.slow
def test_tests_that_are_written_out_count_with_the_benchmarks_own(tmp_path):
    """The Hub's HumanEval+ has `check`, its MBPP+ statements that call the function; even where that is `check`."""
    task = load_benchmark("humaneval")[2]
    check = WRITTEN + CHECK.format([[3.5], [1e9 + 0.25]], [0.5, 0.25], "assertion(candidate(*inp), exp, 1e-06)")
    row = {"task_id": task.id, "prompt": task.prompt, "entry_point": task.entry_point, "test": check}
    path = lines(tmp_path / "plus.jsonl", row | {"canonical_solution": task.canonical_solution})
    small = "    return number % 1.0 if number < 1e6 else 0.0\n"
    found = verdicts(path, task.canonical_solution, small, "    return number\n", kind="completion")
    assert found == [BOTH, ("wrong", "passed"), ("wrong", "wrong")]
    loop = WRITTEN + "inputs = [[3], [-3]]\nresults = [True, False]\nfor inp, exp in zip(inputs, results):\n"
    both = mbpp(
        "def check(n):\n    return n > 0", "assert check(3) == True", test=f"{loop}    assertion(check(*inp), exp, 0)\n"
    )
    path = lines(tmp_path / "mbpp.jsonl", both)
    assert verdicts(path, both["code"], "def check(n):\n    return True") == [BOTH, ("wrong", "passed")]
    assert benchmark_name(str(path), load_benchmark(path)) == "mbpp+"


@pytest.mark.slow
def test_results_of_a_million_values_cross(tmp_path):
    """As of HumanEval/15, /100 and /130, whose right results once were called too large."""
    row = {
        **INPUTS,
        "prompt": "def upto(n):\n",
        "entry_point": "upto",
        "canonical_solution": "    return list(range(n))\n",
    }
    path = lines(tmp_path / "large.jsonl", row | {"base_input": [[3]], "plus_input": [[1_000_005]]})
    assert verdicts(path, "    return [*range(n)]\n", "    return [0] * n\n", kind="completion") == [
        BOTH,
        ("wrong",) * 2,
    ]


@pytest.mark.slow
def test_a_task_whose_reference_fails_is_an_error_by_name_and_in_no_denominator(tmp_path):
    broken = INPUTS | {"task_id": "HumanEval/1", "canonical_solution": "    return xs[0] * factor\n"}
    tasks = load_benchmark(lines(tmp_path / "plus.jsonl", INPUTS, broken))
    answers = [Answer(task.id, 0, "    return [x * factor for x in xs]\n") for task in tasks]
    found = score_samples(answers, tasks)
    assert (found.n, found.passed, found.errors) == (1, 1, 1)
    assert {score.metric: (score.value, score.n) for score in found.scores} == {
        "pass@1": (1.0, 1),
        "pass@1_base": (1.0, 1),
    }
    [note] = [note for note in found.notes if "reference" in note]
    assert "HumanEval/1 (wrong: IndexError: list index out of range)" in note
    assert "reference solution of HumanEval/1 does not pass" in found.answers[1].message


@pytest.mark.slow
def test_base_and_plus_are_two_scores_of_one_set_of_answers(tmp_path):
    tasks = load_benchmark(lines(tmp_path / "plus.jsonl", INPUTS))
    found = score_samples([Answer("HumanEval/0", 0, "    return [x * factor for x in xs] or None\n")], tasks)
    assert {score.metric: score.value for score in found.scores} == {"pass@1": 0.0, "pass@1_base": 1.0}
    assert (found.answers[0].verdict, found.answers[0].base) == ("wrong", "passed")


def test_a_files_measurements_are_named_by_what_it_holds(tmp_path):
    original = load_benchmark("humaneval")[0]
    row = {
        "task_id": original.id,
        "prompt": original.prompt,
        "entry_point": original.entry_point,
        "test": original.test,
    }
    named = {
        "humaneval": lines(tmp_path / "mine.jsonl", row),
        "humaneval+": lines(tmp_path / "humaneval.jsonl", {**INPUTS, "test": OWN_TEST}),
        "own": lines(tmp_path / "own.v2.jsonl", row | {"task_id": "Own/1"}),
        "humaneval (a file)": lines(tmp_path / "HumanEval.jsonl", row | {"test": "def check(candidate):\n    pass\n"}),
    }
    for name, path in named.items():
        assert benchmark_name(str(path), load_benchmark(path)).lower() == name
    assert benchmark_digest(load_benchmark(named["humaneval"])) != benchmark_digest(load_benchmark("humaneval"))


def test_a_benchmark_by_name_is_found_where_its_tools_put_it(tmp_path, monkeypatch):
    for variable in ("HUMANEVAL_OVERRIDE_PATH", "MBPP_OVERRIDE_PATH", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "ours"))
    for name, said in (
        ("humaneval+", "humanevalplus_release"),
        ("mbpp", "google-research"),
        ("mbpp+", "mbppplus_release"),
    ):
        with pytest.raises(
            BenchmarkUnreadable, match=f"No file of .*{said}.*{tmp_path}/ours/benchmarks.*--benchmark PATH"
        ):
            load_benchmark(name)
    (tmp_path / "evalplus").mkdir()
    lines(tmp_path / "evalplus" / "HumanEvalPlus-v0.1.9.jsonl", INPUTS)
    newest = lines(tmp_path / "evalplus" / "HumanEvalPlus-v0.1.10.jsonl", INPUTS)
    lines(tmp_path / "evalplus" / "HumanEvalPlus-Mini-v0.1.10.jsonl", INPUTS)
    assert published_file("humaneval+") == newest
    plain = lines(tmp_path / "plain.jsonl", {**INPUTS, "plus_input": None, "base_input": None, "test": OWN_TEST})
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(plain))
    with pytest.raises(BenchmarkUnreadable, match="no tests beside humaneval's own"):
        load_benchmark("humaneval+")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"plus_input": None}, "'plus_input' is NoneType.*HumanEvalPlus.jsonl or MbppPlus.jsonl as it is"),
        ({"canonical_solution": 1}, "needs base_input and plus_input .* canonical_solution .* is int"),
        ({"base_input": [3]}, "must hold lists of arguments"),
        ({"base_input": [], "plus_input": {}}, "must hold lists of arguments, at least one"),
        ({"atol": "much"}, "'atol' must be a number"),
        ({"entry_point": 3}, "'entry_point' must be a string"),
    ],
)
def test_rows_of_inputs_that_cannot_be_judged_name_the_field_and_a_way(tmp_path, change, said):
    with pytest.raises(BenchmarkUnreadable, match=f"line 1: .*{said}"):
        load_benchmark(lines(tmp_path / "plus.jsonl", {**INPUTS, **change}))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_published_reference_passes_or_is_named(name):
    """Of the files that are on this machine; the ones that are not are skipped by name."""
    try:
        tasks = load_benchmark(name)
    except BenchmarkUnreadable as missing:
        pytest.skip(str(missing))
    with Scorer(tasks) as scorer:
        found = scorer.calibrate()
    # 128 million values in one result: no limit of ours that a machine could bear lets them cross.
    assert found.failed.keys() <= {"MBPP/255"}, found.failed
