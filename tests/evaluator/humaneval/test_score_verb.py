"""`bakeoff score` on files, from outside: figures on stdout, progress on stderr, mistakes in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from evaluator import Answer, load_benchmark, read_samples, write_samples

TASKS = load_benchmark("humaneval")[:2]


def score(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bakeoff", "score", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.slow
def test_samples_are_scored(tmp_path):
    answers = [
        Answer(task.id, i, code) for task in TASKS for i, code in enumerate((task.canonical_solution, "    pass\n"))
    ]
    write_samples(tmp_path / "samples.jsonl", answers)
    done = score(tmp_path / "samples.jsonl", "--json", "--output", tmp_path / "results.jsonl")
    found = json.loads(done.stdout)
    assert (found["n"], found["passed"], found["errors"]) == (4, 2, 0)
    assert [(each["metric"], each["value"]) for each in found["scores"]] == [("pass@1", 0.5)]
    assert found["verdicts"] == {"passed": 2, "wrong": 2}
    assert found["settings"]["before_completion"] == "prompt"
    assert "scoring" in done.stderr
    labels = [json.loads(line)["passed"] for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert labels == [True, False, True, False]
    assert read_samples(tmp_path / "results.jsonl") == answers


@pytest.mark.slow
def test_a_mistake_is_one_line(tmp_path):
    done = score(tmp_path / "none.jsonl")
    assert done.returncode == 2
    assert done.stderr.startswith("bakeoff: Cannot read") and done.stderr.count("\n") == 1
