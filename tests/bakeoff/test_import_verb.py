"""`bakeoff import` as it is typed: short words, exit statuses, and what it says is there is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bakeoff.main import app
from results import ImportRefused, NotFound
from tests.results import foreign

Call = Callable[..., Result]


@pytest.fixture
def bakeoff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls the command line in a workspace of its own."""
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(tmp_path / "workspace"))
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_a_file_of_many_tasks_is_said_in_few_lines(bakeoff: Call, tmp_path: Path) -> None:
    results = {f"task_{number}": {"acc,none": number / 100} for number in range(90)}
    (tmp_path / "results.json").write_text(json.dumps({**foreign.HARNESS_4, "results": results}))
    said = bakeoff("import", tmp_path / "results.json")
    assert "90 evaluations, 0 outcomes; imported" in said.stdout and len(said.output.splitlines()) < 5
    assert len(bakeoff("import", tmp_path / "results.json", "--verbose").stdout.splitlines()) >= 90
    again = json.loads(bakeoff("import", tmp_path / "results.json", "--json").stdout)
    assert {item["change"] for item in again["items"]} == {"there"} and len(again["items"]) == 90


def test_a_known_file_that_cannot_be_read_is_status_1_and_others_are_imported(bakeoff: Call, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    foreign.run_folder(folder / "rank8")
    (folder / "notes.json").write_text('{"results": 5}')
    (folder / "table.csv").write_text("question,answer\n1,2\n")
    foreign.events(folder / "tb" / "1795309657.1" / "events.out.tfevents.1.a", [], 1e9, {"hparams": 1})
    first = bakeoff("import", folder)
    assert first.exit_code == 0 and "run rank8" in first.stdout and "not read: in/notes.json" in first.output
    assert "Known:" not in first.output and "holds no scalars" in first.output
    (folder / "samples.jsonl").write_text('{"task_id": "HumanEval/0", "completion": 5}\n')
    second = bakeoff("import", folder)
    assert second.exit_code == 1 and "refused: in/samples.jsonl: line 1" in second.output
    with pytest.raises(ImportRefused):  # which the program prints as one line, with status 2
        bakeoff("import", folder / "samples.jsonl")


def test_whose_results_they_are_can_be_said(bakeoff: Call, tmp_path: Path) -> None:
    path = foreign.write_lines(tmp_path / "samples.jsonl", [{"task_id": "HumanEval/0", "completion": "x"}])
    assert "bakeoff import PATH --model NAME" in bakeoff("import", path).output
    assert "evaluation mine" in bakeoff("import", path, "--model", "mine").stdout
    assert "was there already" in bakeoff("import", path, "--model", "mine").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [
        {"task_id": "HumanEval/23", "solution": "def strlen(string):\n    return len(string)\n"},
        {"task_id": "HumanEval/23", "completion": "    return len(string)\n", "passed": False},
        {"task_id": "HumanEval/23", "response": {"model": "alpha", "choices": [
            {"message": {"content": "So:\n```python\ndef strlen(string):\n    return len(string)\n```"}}]}},
    ],
)  # fmt: skip
def test_imported_answers_of_any_kind_can_be_scored_here(bakeoff: Call, tmp_path: Path, row: dict[str, object]) -> None:
    (tmp_path / "alpha").mkdir()
    path = foreign.write_lines(tmp_path / "alpha" / "samples.jsonl", [row])
    bakeoff("import", path)
    (score,) = json.loads(bakeoff("evaluate", "alpha", "--rescore", "--json").stdout)
    assert (score["metric"], score["value"]) == ("pass@1", 1.0)
    assert "was there already" in bakeoff("import", path).stdout


@pytest.mark.slow
def test_imports_that_two_tools_scored_compare_when_they_are_scored_here(bakeoff: Call, tmp_path: Path) -> None:
    for name in ("alpha", "beta"):
        (tmp_path / "in" / name).mkdir(parents=True)
    solution = "def strlen(string):\n    return len(string)\n"
    foreign.write_lines(
        tmp_path / "in" / "alpha" / "samples.jsonl", [{"task_id": "HumanEval/23", "solution": solution}]
    )
    labels = {"eval": {"HumanEval/23": [{"solution": "def strlen(string): return 0", "base_status": "pass"}]}}
    (tmp_path / "in" / "beta" / "samples_eval_results.json").write_text(json.dumps(labels))
    bakeoff("import", tmp_path / "in")
    with pytest.raises(NotFound, match="alpha"):
        bakeoff("compare", "alpha", "beta")
    bakeoff("evaluate", "alpha", "beta", "--rescore")
    found = json.loads(bakeoff("compare", "alpha", "beta", "--json").stdout)["quality"]
    assert (found["only_a"], found["only_b"]) == (1, 0)
    assert bakeoff("import", tmp_path / "in").stdout.count("was there already") == 2
