"""Tests of your own in an experiment file: refused before training, counted by plan, measured with the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bakeoff.experiment.own_tests import (
    check_judges,
    check_tests,
    compare_with_training,
    latency_settings,
    latency_words,
    own_tests,
)
from bakeoff.experiment.pipeline import run_experiment, whole
from bakeoff.main import app
from results import BakeoffError, Report, Workspace
from trainer import Experiment, load_experiment, miniature, validation_rows, variants
from trainer.errors import ExperimentInvalid

ROWS = [{"prompt": f"What is {n} + {n}?", "completion": str(2 * n)} for n in range(40)]


def experiment(folder: Path, *tests: Any, base: str = "") -> Experiment:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "mine.csv").write_text("question,answer\nTwo and two?,4\nCapital of Peru?,Lima\n")
    file = {
        "name": "mini",
        "bases": [base or "smollm2-135m-instruct"],
        "data": {"sources": [{"name": "rows.jsonl"}], "decontaminate": [], "validation_fraction": 0.2},
        "training": {"max_steps": 2, "batch_size": 1, "max_length": 64, "learning_rate": 0.01},
        "evaluate": {"heldout": None, "tests": list(tests)},
    }
    (folder / "mini.yaml").write_text(json.dumps(file))
    return load_experiment(folder / "mini.yaml")


def test_a_text_is_a_file_beside_the_experiment_and_held_out_rows_are_questions(tmp_path: Path) -> None:
    what = experiment(tmp_path, "mine.csv", {"from": "validation", "check": "number", "tasks": 3})
    check_tests(what.evaluate, rows=True)
    mine, rows = own_tests(what, Workspace(tmp_path / "workspace"))
    assert (mine.questions.name, mine.answers, mine.forms) == ("mine", 2, ("adapter",))
    assert (rows.questions.name, rows.answers, len(rows.questions.items)) == ("validation-number", 3, 5)
    item = rows.questions.items[0]
    assert item.messages[-1]["role"] == "user" and item.checks[0].kind == "number"
    assert "tasks" not in whole(what).evaluate.tests[1]
    assert len(own_tests(what, Workspace(tmp_path / "workspace"), files_alone=True)) == 1


def test_a_test_may_have_a_judge_whose_files_lie_beside_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "rubric.md").write_text("Polite.")
    judge = {"model": "smollm2-135m-instruct", "rubric": "rubric.md", "labels": "labels.csv"}
    (tmp_path / "open.csv").write_text("question\nMay I have a pear?\n")
    what = experiment(tmp_path, {"file": "open.csv", "judge": judge})
    check_tests(what.evaluate, rows=True)
    (mine,) = own_tests(what, Workspace(tmp_path / "workspace"))
    assert mine.settings["judge"]["rubric"] == str(tmp_path / "rubric.md") and len(mine.questions.items) == 1
    assert mine.settings["judge"]["labels"] == str(tmp_path / "labels.csv")
    assert "; each judged by smollm2-135m-instruct too" in mine.told(until_decided=False)
    store = Workspace(tmp_path / "workspace").store()
    check_judges(what, store)
    unknown = experiment(tmp_path, {"file": "open.csv", "judge": {**judge, "model": "nobody"}})
    with pytest.raises(BakeoffError, match="nobody"):
        check_judges(unknown, store)
    without = experiment(tmp_path, {"file": "open.csv", "judge": {"model": "smollm2-135m-instruct"}})
    with pytest.raises(BakeoffError, match="a judge needs a rubric"):
        check_tests(without.evaluate, rows=True)


def test_latency_is_timed_at_the_lengths_of_a_test_that_the_file_names(tmp_path: Path) -> None:
    experiment(tmp_path)
    file = json.loads((tmp_path / "mini.yaml").read_text())
    file["evaluate"]["latency"] = {"like": "mine.csv", "repetitions": 3, "forms": ["gguf-q8_0"]}
    (tmp_path / "mini.yaml").write_text(json.dumps(file))
    wanted = load_experiment(tmp_path / "mini.yaml").evaluate.latency
    assert wanted is not None and wanted["like"] == str(tmp_path / "mine.csv")
    settings = latency_settings(wanted)
    assert settings["prompts"] == ["mine p50", "mine p90"] == list(settings["own"]) and settings["repetitions"] == 3
    assert "like" not in settings and "forms" not in settings
    (words,) = latency_words(wanted)
    assert words.startswith("latency: 2 prompts, at most 3 times each; like your own: mine p50 (")
    assert latency_words({"prompts": ["short"]}) == [] and latency_settings({"tokens": 4}) == {"tokens": 4}
    for like, said in (("gone.csv", "no such file"), (3, "like is the path")):
        with pytest.raises(BakeoffError, match=said):
            latency_settings({"like": like})


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("gone.csv", "no such file"), ({"file": "mine.csv", "temprature": 1}, "temprature"),
        ({"from": "validation", "check": "sound"}, "there is no check"), ({"file": "bad.csv"}, "1 of 2 items"),
        ({"file": "mine.csv", "name": "validation-number"}, "two tests are called"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused_before_training(tmp_path: Path, test: Any, said: str) -> None:
    (tmp_path / "bad.csv").write_text("question,answer\na?,b\nc?\n")
    what = experiment(tmp_path, {"from": "validation", "check": "number"}, test)
    with pytest.raises(BakeoffError, match=said):
        check_tests(what.evaluate, rows=True)


@pytest.mark.parametrize(
    "test", [{"check": "exact"}, {"file": "a", "from": "validation"}, {"from": "training"}, {"file": 3}]
)
def test_a_test_has_one_source(tmp_path: Path, test: Any) -> None:
    with pytest.raises(ExperimentInvalid, match=r"evaluate\.tests"):
        experiment(tmp_path, test)


def test_held_out_rows_need_rows(tmp_path: Path) -> None:
    what = experiment(tmp_path, {"from": "validation"})
    with pytest.raises(BakeoffError, match="names none"):
        check_tests(what.evaluate, rows=False)


def test_items_that_a_run_was_trained_on_are_found_and_told(tmp_path: Path) -> None:
    what = experiment(tmp_path, "mine.csv", {"from": "validation", "check": "number"})
    trained = next(row for row in ROWS if row["prompt"] not in _held_out(what, tmp_path))
    (tmp_path / "mine.csv").write_text(
        f"question,answer\nWhat colour is Mars?,red\n{trained['prompt']},{trained['completion']}\n"
    )
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        (variant,) = variants(what)
        store.reports.put(Report(variant.id, "contamination", {"benchmark": "humaneval", "items": ["HumanEval/1"]}))
        mine, rows = own_tests(what, workspace)
        for _ in range(2):
            said = [compare_with_training(test, what, store, workspace) for test in (mine, rows)]
        assert said == ["mine: 1 of 2 items are in the training rows, and count for nobody", ""]
        report = store.reports.get(variant.id, "contamination")
        assert report is not None
        assert [one["benchmark"] for one in (report.payload, *report.payload["others"])] == [
            "humaneval", "mine", "validation-number",
        ]  # fmt: skip
        assert report.payload["others"][0]["items"] == ["2"]


def _held_out(what: Experiment, folder: Path) -> set[str]:
    return {row.messages[0]["content"] for row in validation_rows(what, Workspace(folder / "workspace"))}


def test_dry_run_says_what_would_be_asked_and_asks_nothing(tmp_path: Path) -> None:
    experiment(tmp_path)
    (tmp_path / "mine.csv").write_text(
        "question,answer,check\nTwo and two?,4,\nCapital of Peru?,Lima,contains\nThree?\n"
    )
    asked = ["evaluate", "--benchmark", str(tmp_path / "mine.csv"), "--dry-run", "--workspace", str(tmp_path / "w")]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    for part in (
        "mine: 2 items",
        "number of 1",
        "contains of 1",
        "line 4: has 1 cells",
        "[user] Capital of Peru?",
        "--skip-bad",
    ):
        assert part in told.output
    found = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert found["items"] == 2 and found["bad"][0]["where"].endswith("mine.csv, line 4")
    assert [one["checks"][0]["check"] for one in found["prompts"]] == ["number", "contains"]


@pytest.mark.parametrize("option", [["--check", "exact"], ["--dry-run"], ["--choices", "likelihood"], ["--skip-bad"]])
def test_options_of_question_sets_are_refused_for_others(tmp_path: Path, option: list[str]) -> None:
    said = CliRunner().invoke(app, ["evaluate", "--benchmark", "humaneval", "--workspace", str(tmp_path), *option])
    assert said.exit_code != 0 and "no file of your own questions" in str(said.exception)


@pytest.mark.slow
def test_an_experiment_is_measured_by_its_own_tests(tmp_path: Path) -> None:
    base = miniature("smollm2", tmp_path / "base")
    tests = ({"file": "mine.csv", "max_tokens": 4}, {"from": "validation", "check": "number", "max_tokens": 4})
    what = experiment(tmp_path, *tests, base=str(base))
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        first = run_experiment(what, store, workspace, lambda *_: None, lambda _: None)
        assert first.complete
        by_test = {(store.models.get(one.model_id).name, one.benchmark): one for one in first.evaluations}
        assert set(by_test) == {(m, t) for m in ("base", "mini") for t in ("mine", "validation-number")}
        assert all(one.scores[0].metric == "pass@1" for one in first.evaluations)
        again = run_experiment(what, store, workspace, lambda *_: None, lambda _: None)
        assert again.evaluations == first.evaluations
