"""An experiment to its end: adapters share one exported base, one failure ends nothing else, and it is tried again."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from bakeoff.experiment import summary
from bakeoff.experiment.failures import Failure, each_measured, ends_everything, told
from bakeoff.experiment.measurements import fits, measured
from bakeoff.experiment.pipeline import Outcome, exports, run_experiment, without_sandbox
from bakeoff.main import app
from engines import prove
from evaluator.sandbox.bubblewrap import sandbox_description
from results import BakeoffError, Evaluation, Model, Store, StoreError, Workspace
from trainer import Experiment, miniature
from trainer.experiment.reading import experiment_of, with_settings


def experiment(base: Path, **changes: Any) -> Experiment:
    """Two variants of two steps on a miniature, shipped beside one exported base and merged."""
    file = {
        "name": "mini",
        "bases": [str(base)],
        "data": {"sources": [{"name": "python-stdlib", "limit": 24}], "validation_limit": 2, "decontaminate": []},
        "training": {"max_steps": 2, "batch_size": 1, "max_length": 128, "learning_rate": 0.01},
        "sweep": {"grid": {"lora.rank": [2, 4]}},
        "evaluate": {"heldout": {}, "forms": ["adapter", "lora-gguf", "gguf-q8_0"]},
    }
    return with_settings(experiment_of(file, "a test"), changes)


def silent(what: str, done: int, total: int) -> None:
    """No progress."""


def run(what: Experiment, store: Store, workspace: Workspace) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    return run_experiment(what, store, workspace, silent, lines.append), lines


@pytest.mark.slow
def test_what_fails_ends_nothing_else_and_alone_is_tried_again(tmp_path: Path) -> None:
    base = miniature("llama", tmp_path / "base")
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        run(experiment(base, **{"evaluate.forms": ["adapter"], "evaluate.heldout": None}), store, workspace)
        adapter = next(one for one in store.models.list() if one.name == "mini-rank4")
        weights = workspace.resolve(adapter.path) / "adapter_model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-4] + bytes(4))

        outcome, lines = run(experiment(base), store, workspace)
        assert [(one.model, one.what) for one in outcome.failures] == [
            ("mini-rank4", "lora-gguf"), ("mini-rank4", "gguf-q8_0"), ("mini-rank4", "heldout"),
        ]  # fmt: skip
        assert all("is not what was registered" in one.reason and not one.trace for one in outcome.failures)
        made = {"base", "base@q8_0", "mini-rank2", "mini-rank4", "mini-rank2@lora-q8_0", "mini-rank2@q8_0"}
        assert {model.name for model in outcome.models} == made
        names = {store.models.get(one.model_id).name for one in outcome.evaluations if one.status == "finished"}
        assert names == made - {"mini-rank4"}
        assert not outcome.complete and any("mini-rank4 is not exported as lora-gguf" in line for line in lines)
        report = store.reports.get("mini", "failures")
        assert report is not None and len(report.payload["failures"]) == 3

        weights.write_bytes(whole)
        again, _ = run(experiment(base), store, workspace)
        assert again.complete and {model.name for model in again.models} - made == {
            "mini-rank4@lora-q8_0", "mini-rank4@q8_0"
        }  # fmt: skip
        fresh = {one.id for one in again.evaluations} - {one.id for one in outcome.evaluations}
        assert {store.models.get(store.evaluations.get(one).model_id).name for one in fresh} == {
            "mini-rank4", "mini-rank4@lora-q8_0", "mini-rank4@q8_0"
        }  # fmt: skip
        files = {model.base_path for model in again.models if model.form == "lora-gguf"}
        assert files == {store.models.find("base@q8_0").path}


@pytest.mark.slow
def test_what_was_removed_is_rebuilt_from_its_checkpoint_and_said(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    what = experiment(
        miniature("llama", tmp_path / "base"), **{"evaluate.forms": ["adapter", "gguf-q8_0"], "evaluate.heldout": None}
    )
    with workspace.store() as store:
        first, _ = run(what, store, workspace)
        ranks = {one.name: workspace.resolve(one.path) for one in first.models}
        shutil.rmtree(ranks["mini-rank2"])
        (ranks["mini-rank4"] / "adapter_model.safetensors").unlink()
        ranks["mini-rank2@q8_0"].unlink()
        shutil.rmtree(workspace.path / "runs" / str(store.models.find("mini-rank4").run_id) / "best")

        again, lines = run(what, store, workspace)
        rebuilt = [line for line in lines if "SHA-256" in line]
        assert [line.split(":")[0] for line in rebuilt] == ["mini-rank2", "mini-rank2@q8_0"]
        assert any(line.startswith("mini-rank4: its files are gone, and no whole checkpoint") for line in lines)
        assert {one.identity for one in again.models} == {one.identity for one in first.models}
        for name in ("mini-rank2", "mini-rank2@q8_0"):
            prove(store.models.find(name), workspace)
        with pytest.raises(BakeoffError, match=r"adapter_model\.safetensors"):
            prove(store.models.find("mini-rank4"), workspace)


@pytest.mark.slow
def test_a_base_without_a_chat_template_is_measured_and_exported_in_that_of_its_training(tmp_path: Path) -> None:
    base = miniature("llama", tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        what = experiment(base, **{"evaluate.forms": ["adapter", "lora-gguf"], "sweep.grid": {}})
        outcome, _ = run(what, store, workspace)
    assert outcome.failures == () and {model.name for model in outcome.models} == {
        "base", "base@q8_0", "mini", "mini@lora-q8_0"
    }  # fmt: skip
    assert {one.status for one in outcome.evaluations} == {"finished"} and len(outcome.evaluations) == 4


@pytest.fixture
def no_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """bubblewrap fails as it does where user namespaces are off."""
    place = tmp_path / "refusing"
    place.mkdir()
    (place / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (place / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    sandbox_description.cache_clear()
    yield
    sandbox_description.cache_clear()


@pytest.mark.slow
@pytest.mark.usefixtures("no_sandbox")
def test_a_missing_sandbox_is_said_first_and_everything_else_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    what = experiment(
        miniature("llama", tmp_path / "base"),
        **{"evaluate.forms": ["adapter"], "evaluate.humaneval": {"tasks": 2, "max_tokens": 4}, "sweep.grid": {}},
    )
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        outcome, lines = run(what, store, workspace)
        assert "stored unscored" in lines[0] and "No permissions" in lines[0] and "--rescore" in lines[0]
        by_benchmark = {(one.benchmark, one.status) for one in outcome.evaluations}
        assert by_benchmark == {("humaneval", "unscored"), ("heldout", "finished")}
        assert outcome.complete and len(outcome.unscored) == 2
        summary.show(outcome, store)
    told = capsys.readouterr().out
    assert "Answered and not scored" in told and "bakeoff evaluate --rescore" in told


@pytest.mark.slow
@pytest.mark.usefixtures("no_sandbox")
def test_a_plan_says_that_there_is_no_sandbox(tmp_path: Path) -> None:
    what = experiment(miniature("llama", tmp_path / "base"), **{"evaluate.humaneval": {}})
    assert "stored unscored" in without_sandbox(what)
    assert without_sandbox(experiment(tmp_path)) == ""  # nobody asked for HumanEval
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(what.model_dump(mode="json")), "utf-8")
    words = ["plan", str(file), "--json", "--workspace", str(tmp_path / "workspace")]
    planned = json.loads(CliRunner().invoke(app, words).stdout)
    assert any("stored unscored" in warning for warning in planned["warnings"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"evaluate.forms": ["gguf-q8_0"]}, "'phi3' models are not exported"),
        ({"evaluate.forms": ["lora-gguf"], "lora.method": "full"}, "no adapter"),
        ({"evaluate.forms": ["adapter", "ggml"]}, "Nothing can be exported as 'ggml'"),
        ({"evaluate.humaneval": {"taks": 3}}, "taks"),
        ({"evaluate.latency": {"prompts": ["moon"]}}, "moon"),
        ({"evaluate.stopping": {"max_tokens": 0}}, "max_tokens"),
    ],
)
def test_what_can_be_known_is_refused_before_the_first_step(
    changes: dict[str, Any], named: str, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    base = miniature("phi3", tmp_path / "base")
    with workspace.store() as store:
        with pytest.raises(BakeoffError, match=named):
            run(experiment(base, **{"evaluate.forms": ["adapter"], **changes}), store, workspace)
        assert store.runs.list() == []


def model(name: str, form: Any = "adapter", run_id: str | None = "r", path: str = "x", **details: Any) -> Model:
    return Model(name, name, form, "b", name, 1, path, run_id=run_id, details=details)


def test_each_form_is_exported_once_and_bases_have_their_counterparts(tmp_path: Path) -> None:
    base, tuned, whole = model("base", "base", None), model("tuned"), model("whole", "merged")
    what = experiment(tmp_path, **{"evaluate.forms": ["adapter", "lora-gguf", "gguf-q8_0", "merged"]})
    assert exports(what, [base], [tuned, whole]) == [
        (base, "gguf-q8_0"), (tuned, "lora-gguf"), (tuned, "gguf-q8_0"), (whole, "gguf-q8_0"), (tuned, "merged"),
    ]  # fmt: skip
    given = model("given", "base", None, "base.gguf")
    assert exports(what, [given], [tuned])[0] == (tuned, "lora-gguf")


def test_a_measurement_measures_its_forms_and_the_bases_counterparts(tmp_path: Path) -> None:
    what = experiment(tmp_path, **{"evaluate.lora_base": "gguf-q4_0"})
    counterpart, other = model("base-q4_0", "gguf-q4_0", None), model("base@q8_0", "gguf-q8_0", None)
    assert fits(counterpart, ["lora-gguf"], what) and not fits(other, ["lora-gguf"], what)
    assert fits(model("whole", "merged"), ["adapter"], what)  # full fine-tuning: what training left
    assert not fits(model("merged", "merged", source="tuned"), ["adapter"], what)
    assert not fits(counterpart, ["lora-gguf"], with_settings(what, {"evaluate.base": False}))


def test_a_measurement_that_no_model_fits_is_said(tmp_path: Path) -> None:
    what = experiment(tmp_path, **{"evaluate.heldout": None, "evaluate.stopping": {"forms": ["merged"]}})
    workspace, said = Workspace(tmp_path / "workspace"), list[str]()
    with workspace.store() as store:
        found = measured(what, [model("tuned")], store, workspace, silent, said.append)
    assert found == ((), ())
    assert said == ["stopping measures nothing: no model is there as merged; add that to evaluate.forms"]


def measuring(broken: str, calls: list[list[str]]) -> Callable[[Sequence[Model]], list[Evaluation]]:
    """A measurement that fails whenever one model is among those that it is given."""

    def measure(models: Sequence[Model]) -> list[Evaluation]:
        calls.append([one.id for one in models])
        if broken in calls[-1]:
            raise ValueError(f"{broken} is broken")
        return [Evaluation(one.id, one.id, "any", {}, "m", "finished") for one in models]

    return measure


def test_a_failure_is_narrowed_down_to_the_model_it_belongs_to() -> None:
    models, calls = [model(name) for name in "abcde"], list[list[str]]()
    found = list(each_measured(models, "heldout", measuring("d", calls)))
    failures = [one for one in found if isinstance(one, Failure)]
    assert [(one.model, one.what, one.reason) for one in failures] == [("d", "heldout", "ValueError: d is broken")]
    assert "in measure" in failures[0].trace  # a bug keeps its traceback
    assert [one.id for one in found if isinstance(one, Evaluation)] == ["a", "b", "c", "e"]
    assert calls[0] == list("abcde")  # all together where nothing fails


def test_a_full_disk_and_a_lost_store_end_everything() -> None:
    def full(models: Sequence[Model]) -> list[Evaluation]:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise BakeoffError("cannot write") from error

    with pytest.raises(BakeoffError, match="cannot write"):
        list(each_measured([model("a"), model("b")], "heldout", full))
    assert ends_everything(StoreError("gone")) and ends_everything(RuntimeError("database or disk is full"))
    assert not ends_everything(BakeoffError("no such model"))


def test_one_reason_is_one_line() -> None:
    alike = [
        Failure("a", "heldout", "no weights"),
        Failure("b", "heldout", "no weights"),
        Failure("b", "lora-gguf", "x"),
    ]
    assert told(alike) == ["heldout of a, heldout of b: no weights", "lora-gguf of b: x"]
