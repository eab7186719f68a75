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
    for named, said in (
        ("none.jsonl", "Cannot read {}: there is no such file"),
        ("nope.json", "Cannot read {}: there is no such file"),
        ("folder", "{} is a folder without programs such as HumanEval_0/0.py"),
    ):
        (tmp_path / "folder").mkdir(exist_ok=True)
        done = score(tmp_path / named, "--workspace", tmp_path / "workspace")
        assert done.returncode == 2
        assert done.stderr.startswith(f"bakeoff: {said.format(tmp_path / named)}") and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_rule_the_labels_and_the_offer_are_printed(tmp_path):
    """Integer names and labels; a fenced answer is run as given, and --extract takes its code out."""
    fenced = f"```python\n{TASKS[1].prompt}{TASKS[1].canonical_solution}```"
    rows = [{"task_id": 0, "completion": TASKS[0].canonical_solution}, {"task_id": 1, "completion": fenced}]
    path = tmp_path / "samples.json"
    path.write_text(json.dumps([row | {"passed": True} for row in rows]))
    given, taken = score(path).stdout, score(path, "--extract").stdout
    assert "1 of 2 answers to 2 tasks pass" in given and "extraction  none: answers are run as given" in given
    assert (
        "labels      1 of 2 agree" in given
        and "HumanEval/1 sample 0: passed says it passes, here syntax_error" in given
    )
    assert (
        "1 of 2 answers look like a chat's (code fences in 1)" in given and "--extract would change 1 program" in given
    )
    assert "2 of 2 answers to 2 tasks pass" in taken and "extraction  extracted (as given 1, fence 1)" in taken
    assert "before solution: imports" in taken and "--extract" not in taken
