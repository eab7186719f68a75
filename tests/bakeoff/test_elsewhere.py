"""An experiment file that names models instead of training any: added, exported, measured, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bakeoff.experiment.elsewhere import added, bases_of, foreseen
from bakeoff.experiment.measurements import fits
from bakeoff.experiment.pipeline import run_experiment
from bakeoff.fine_tuning.plan_text import models_text
from bakeoff.main import app
from results import Model, Run, Store, Workspace
from tests.results import foreign
from trainer import Experiment, miniature
from trainer.experiment.reading import experiment_of


def experiment(*models: Any, **evaluate: Any) -> Experiment:
    """Models, and a few rows to measure their loss on."""
    data = {"sources": [{"name": "python-stdlib", "limit": 24}], "validation_limit": 2, "decontaminate": []}
    return experiment_of({"name": "compare", "models": list(models), "data": data, "evaluate": evaluate}, "a test")


def silent(what: str, done: int, total: int) -> None:
    """No progress."""


def adapter(base: Path, folder: Path, rank: int) -> Path:
    """An adapter as PEFT saves it, which changes what its base says, with its trainer's log beside it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(rank)
    settings = LoraConfig(r=rank, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
    model.peft_config["default"].base_model_name_or_path = str(base)
    model.save_pretrained(folder)
    (folder / "trainer_state.json").write_text(json.dumps(foreign.trainer_state()))
    return folder


@pytest.mark.slow
def test_models_are_added_exported_measured_and_only_what_is_missing_is_tried_again(tmp_path: Path) -> None:
    base = miniature("llama", tmp_path / "base")
    workspace, later = Workspace(tmp_path / "workspace"), tmp_path / "later"
    named = {"source": str(adapter(base, tmp_path / "other", 4)), "name": "second"}
    wanted = experiment(named, str(later), forms=["adapter", "gguf-q8_0"])
    with workspace.store() as store:
        lines: list[str] = []
        outcome = run_experiment(wanted, store, workspace, silent, lines.append)
        assert {one.name: one.form for one in outcome.models} == {
            "base": "base", "second": "adapter", "base@q8_0": "gguf-q8_0", "second@q8_0": "gguf-q8_0",
        }  # fmt: skip
        assert {one.status for one in outcome.evaluations} == {"finished"} and len(outcome.evaluations) == 4
        (missing,) = outcome.failures
        assert (missing.model, missing.what) == (str(later), "add") and "There is nothing at" in missing.reason
        assert not outcome.complete and any(f"{later} is not added" in line for line in lines)

        adapter(base, later, 8)
        again = run_experiment(wanted, store, workspace, silent, lines.append)
        assert again.complete and again.reused == 4
        assert {one.name for one in again.models} - {one.name for one in outcome.models} == {"later", "later@q8_0"}
        runs = {one.run.name: one.run for one in store.runs.list()}
        assert set(runs) == {"second", "later"} and {one.origin for one in runs.values()} == {"imported"}
        assert store.models.find("second@q8_0").run_id == runs["second"].id
        assert [runs[name].config["lora.rank"] for name in ("second", "later")] == [4, 8]
        assert len(store.curves.read(runs["later"].id, "loss")[0]) == 6

        # a model that is there already is named by its name
        there = added(experiment("second"), store, workspace, silent, lines.append)
        assert [one.name for one in there.models] == ["second"] and not there.failures
        assert [one.name for one in bases_of(there.models, store, workspace)] == ["base"]
        taken = added(
            experiment(str(adapter(base, tmp_path / "more" / "later", 16))), store, workspace, silent, lines.append
        )
        assert "Another model is called later" in taken.failures[0].reason and "name: NAME}" in taken.failures[0].reason
        changed = added(experiment({"source": "second", "base": str(base)}), store, workspace, silent, lines.append)
        assert "is in the store, where name, base and template are what they are" in changed.failures[0].reason


@pytest.mark.slow
def test_what_was_trained_over_a_4_bit_copy_is_measured_over_both_bases_and_the_better_is_said(tmp_path: Path) -> None:
    mine = adapter(miniature("llama", tmp_path / "base"), tmp_path / "mine", 4)
    settings = json.loads((mine / "adapter_config.json").read_text())
    copy = "unsloth/Miniature-Llama-unsloth-bnb-4bit"
    (mine / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": copy}))
    workspace = Workspace(tmp_path / "workspace")
    known = Model("base-1", "miniature", "base", "meta-llama/Miniature-Llama", "1" * 64, 0, str(tmp_path / "base"))
    with workspace.store() as store:
        store.models.add(known)
        lines: list[str] = []
        outcome = run_experiment(experiment(str(mine), forms=["adapter"]), store, workspace, silent, lines.append)
        (told,) = outcome.told
        assert outcome.complete and told in lines and copy in told and "mine-nf4" in told
        assert "bits per byte" in told
        assert "mine-nf4" not in {one.name for one in outcome.models}, "it is not what the file asks for"
        scored = {row.model for row in store.evaluations.scores() if row.benchmark == "heldout"}
        assert {"mine", "mine-nf4"} <= scored
        again = run_experiment(experiment(str(mine), forms=["adapter"]), store, workspace, silent, lines.append)
        assert again.told == outcome.told
        plain = {"source": str(mine), "base_quantization": "none"}
        assert run_experiment(experiment(plain, forms=["adapter"]), store, workspace, silent, lines.append).told == ()


@pytest.mark.slow
def test_a_plan_says_what_would_be_added_and_writes_nothing(tmp_path: Path) -> None:
    base = miniature("llama", tmp_path / "base")
    adapter(base, tmp_path / "mine", 2)
    file = tmp_path / "compare.yaml"
    file.write_text('name: compare\nmodels: [./mine, ./gone, "hub:x"]\nevaluate: {forms: [gguf-q8_0]}\n')
    done = CliRunner().invoke(app, ["plan", str(file), "--workspace", str(tmp_path / "workspace")])
    assert done.exit_code == 1
    for line in (
        "compare: nothing is trained",
        f"mine: peft over {base}, {tmp_path / 'mine'}",
        "in the formats gguf-q8_0; others as they are",
        "held-out loss is not measured: the file names no rows (data.sources)",
        "the whole experiment, within a factor of two (less what is measured already",
        f"Problem: models: There is nothing at {tmp_path / 'gone'}",
        "Problem: models: hub:x names no repository",
    ):
        assert line in done.stdout, done.stdout
    with Workspace(tmp_path / "workspace").store() as store:
        assert store.models.list() == [] and store.runs.list() == []


def test_a_plan_names_the_models_of_which_nobody_knows_the_training_rows_and_no_others(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        for origin in ("measured", "imported"):
            store.runs.add(Run(f"run-{origin}", origin, "e", "b", {}, 1, status="finished", origin=origin))
            store.models.add(model(f"{origin}-one", "adapter", run_id=f"run-{origin}"))
        store.models.add(model("b", "base"))
        found = foreseen(experiment("measured-one", "imported-one", "b"), store, workspace, silent)
        known = foreseen(experiment("measured-one", "b"), store, workspace, silent)
    assert found.untold == ("imported-one",)
    rows = experiment("measured-one", heldout={})
    assert any("whether imported-one was trained on" in line for line in models_text(found, rows))
    assert not any("trained on" in line for line in models_text(known, rows))


@pytest.mark.slow
def test_what_the_checklist_refuses_is_a_problem_of_the_plan(tmp_path: Path) -> None:
    mine = adapter(miniature("llama", tmp_path / "base"), tmp_path / "mine", 2)
    (mine / "adapter_model.safetensors").rename(mine / "adapter_model.bin")
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        found = foreseen(experiment(str(mine)), store, workspace, silent)
    assert len(found.problems) == 1 and found.problems[0].startswith("models: mine would not be added: ")
    assert "adapter_model.bin" in found.problems[0]


def test_an_experiment_without_bases_is_not_rehearsed(tmp_path: Path) -> None:
    file = tmp_path / "compare.yaml"
    file.write_text("name: compare\nmodels: [demo-rank8]\n")
    done = CliRunner().invoke(app, ["run", str(file), "--rehearse", "--workspace", str(tmp_path / "workspace")])
    assert done.exit_code != 0 and "trains nothing" in str(done.exception or done.output)


def model(name: str, form: Any, **more: Any) -> Model:
    return Model(name, name, form, "b", f"identity of {name}", 1, f"{name}.gguf", **more)


def test_what_was_made_elsewhere_is_measured_in_the_forms_asked_for_or_in_the_one_it_has() -> None:
    wanted = experiment("x", forms=["gguf-q8_0"], base=False)
    elsewhere = {"identity of file", "identity of lora"}
    export = model("lora-q8_0", "gguf-q8_0", details={"source": "identity of lora"})
    other = model("other-q8_0", "gguf-q8_0", details={"source": "identity of other"})
    kept = [model("file", "gguf-other"), model("lora", "adapter"), export, other]
    assert [one.name for one in kept if fits(one, wanted.evaluate.forms, wanted, elsewhere)] == ["file", "lora-q8_0"]
    assert [one.name for one in kept if fits(one, ["adapter"], wanted, elsewhere)] == ["file", "lora"]


def test_stores_without_models_have_no_bases(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'results.db'}") as store:
        assert bases_of([], store, Workspace(tmp_path)) == []
