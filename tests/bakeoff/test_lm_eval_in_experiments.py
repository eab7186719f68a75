"""Tasks of lm-eval in an experiment file: read and refused before training, counted by plan, measured with the rest."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import evaluator
from bakeoff.experiment.lm_eval_tests import TaskTest
from bakeoff.experiment.own_tests import check_tests, compare_with_training, own_tests
from bakeoff.experiment.pipeline import run_experiment
from bakeoff.main import app
from results import BakeoffError, Workspace
from tests.bakeoff.test_own_tests import ROWS, experiment
from tests.evaluator.question_sets.lm_eval_tasks.written import written
from trainer import load_experiment, miniature, validation_rows, variants

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install -r requirements-lm-eval.txt")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def test_tasks_beside_the_experiment_and_published_sets_are_tests_by_name(folder: Path) -> None:
    what = experiment(
        folder, {"file": "lm-eval:sums.yaml", "tasks": 3, "num_fewshot": 1}, "lm-eval:./colours.yaml", "openbookqa"
    )
    assert [test["file"] for test in what.evaluate.tests[1:]] == [f"lm-eval:{folder}/colours.yaml", "openbookqa"]
    check_tests(what.evaluate, rows=True)
    sums, colours, published = own_tests(what, Workspace(folder / "workspace"))
    assert isinstance(sums, TaskTest) and isinstance(colours, TaskTest)
    assert (sums.name, sums.answers, sums.forms) == ("lm-eval:sums", 3, ("adapter",))
    assert (published.name, published.answers) == ("openbookqa", 500)
    assert sums.told(False) == "lm-eval:sums: 3 answers a model, asked and judged by lm-eval's task, raw prompts"
    assert "the likelihoods of 6 items a model" in colours.told(True) and "at most" not in colours.told(True)
    assert colours.foretold["choices"] == "likelihood" and sums.foretold["choices"] == "answer"
    assert 30 < sums.characters < 60, "one example stands before the question"
    assert sums.texts[next(iter(sums.texts))] == "What is 1 and 2?\n3"
    assert next(iter(colours.texts.values())) == "Question: What colour has a rose?\nAnswer:\nred"


@pytest.mark.slow
def test_plan_says_what_tasks_ask_and_how_long_it_takes(folder: Path) -> None:
    base = miniature("smollm2", folder / "base")
    experiment(folder, "lm-eval:sums.yaml", "boolq", base=str(base))
    asked = ["plan", str(folder / "mini.yaml"), "--json", "--workspace", str(folder / "w")]
    found = json.loads(CliRunner().invoke(app, asked).stdout)
    assert [one.split(":")[0] for one in found["tests"]] == ["lm-eval", "boolq"] and not found["problems"]
    assert any("tests" in part.values() and part["seconds"] > 0 for part in found["time"][0]["parts"])
    experiment(folder, "lm-eval:no_such_task", base=str(base))
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 1 and "has no task 'no_such_task'" in json.loads(told.stdout)["problems"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("lm-eval:gone.yaml", "there is no task, file or folder"), ("lm-eval:no_such_task", "has no task"),
        ({"file": "lm-eval:sums.yaml", "check": "exact"}, "says itself what it is called and how it is checked"),
        ({"file": "lm-eval:sums.yaml", "samples": 3}, "samples"), ("lm-eval:mbpp", "is refused"),
        ({"file": "lm-eval:colours.yaml", "engine": "llamacpp"}, "leave engine out"),
        ({"file": "lm-eval:sums.yaml", "num_fewshot": 2}, "two tests are called 'lm-eval:sums'"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused_before_training(folder: Path, test: Any, said: str) -> None:
    what = experiment(folder, "lm-eval:sums.yaml", test)
    with pytest.raises(BakeoffError, match=said):
        check_tests(what.evaluate, rows=True)


def test_a_task_is_refused_before_training_where_lm_eval_is_not_installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = experiment(folder, "lm-eval:gsm8k")
    assert evaluator.harness_settings({}) and evaluator.asked_documents, "loaded while Python finds packages"
    monkeypatch.setattr("sys.path", [path for path in sys.path if "site-packages" not in path])
    with pytest.raises(BakeoffError, match=r"not installed: pip install -c constraints\.txt"):
        check_tests(what.evaluate, rows=True)


def test_items_of_a_task_that_a_run_was_trained_on_are_found(folder: Path) -> None:
    what = experiment(folder, "lm-eval:sums.yaml")
    workspace = Workspace(folder / "workspace")
    held_out = {row.messages[0]["content"] for row in validation_rows(what, workspace)}
    trained = next(row for row in ROWS if row["prompt"] not in held_out)
    rows = [{"question": trained["prompt"], "answer": trained["completion"]}, {"question": "Why?", "answer": "Since."}]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with workspace.store() as store:
        (test,) = own_tests(what, workspace)
        said = compare_with_training(test, what, store, workspace)
        assert said == "lm-eval:sums: 1 of 2 items are in the training rows, and count for nobody"
        report = store.reports.get(variants(what)[0].id, "contamination")
        assert report is not None and report.payload["items"] == [next(iter(test.texts))]


@pytest.mark.slow
def test_an_experiment_is_measured_by_tasks_beside_its_own_tests(folder: Path) -> None:
    base = miniature("smollm2", folder / "base")
    tests = ("lm-eval:colours.yaml", {"file": "lm-eval:sums.yaml", "tasks": 2, "max_tokens": 4})
    what = experiment(folder, *tests, base=str(base))
    file = json.loads((folder / "mini.yaml").read_text())
    file["evaluate"]["until_decided"] = True
    (folder / "mini.yaml").write_text(json.dumps(file))
    what = load_experiment(folder / "mini.yaml")
    workspace, said = Workspace(folder / "workspace"), list[str]()
    with workspace.store() as store:
        first = run_experiment(what, store, workspace, lambda *_: None, said.append)
        assert first.complete, first.failures
        by_test = {(store.models.get(one.model_id).name, one.benchmark): one for one in first.evaluations}
        assert set(by_test) == {(m, t) for m in ("base", "mini") for t in ("lm-eval:colours", "lm-eval:sums")}
        assert by_test["mini", "lm-eval:sums"].subset == "2 of 4 items"
        assert "lm-eval:sums is no race here and is measured whole" in said
        again = run_experiment(what, store, workspace, lambda *_: None, lambda _: None)
        assert again.evaluations == first.evaluations
