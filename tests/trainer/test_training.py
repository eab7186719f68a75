"""Real training of a miniature: curves, reuse, resuming bit for bit, divergence, early stopping, TRL and our loop."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from results import Run, Workspace
from tests.trainer.small_runs import curves, experiment, laid_ground, losses
from trainer import miniature, train
from trainer.errors import CheckpointInvalid, TrainerError
from trainer.experiment.schema import Experiment
from trainer.experiment.variants import variants
from trainer.runs import checkpoints, trackers
from trainer.runs.session import Session
from trainer.runs.signals import Stop
from trainer.training import train_variants

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return laid_ground(tmp_path_factory.mktemp("ground"))


def trained(made: Experiment, folder: Path) -> list[Run]:
    store = Workspace(folder).store()
    runs = train(made, store, Workspace(folder), lambda *_: None)
    store.close()
    return runs


def cut(made: Experiment, folder: Path, step: int) -> None:
    """Train to a step only: what a sweep's cut does, and what Ctrl-C leaves."""
    workspace = Workspace(folder)
    store = workspace.store()
    planned = variants(made)
    for variant in planned:
        store.runs.add(Run(variant.id, variant.name, made.name, variant.base, variant.config, variant.seed))
    train_variants(Session(store, workspace, lambda *_: None, Stop(), until=step), planned)
    store.close()


def test_a_run_learns_leaves_its_curves_and_becomes_a_model(ground: Path, tmp_path: Path) -> None:
    runs = trained(experiment(ground, sweep={"grid": {"lora.rank": [2, 8]}}), tmp_path)
    assert [run.status for run in runs] == ["finished", "finished"]
    for run in runs:
        loss = losses(tmp_path, run.id)
        assert len(loss) == 10
        assert loss[-1] < loss[0] - 0.5
        assert [step for step, _ in curves(tmp_path, run.id)["validation_loss"]] == [5, 10]
    store = Workspace(tmp_path).store()
    models = {model.name: model for model in store.models.list()}
    assert {model.form for model in models.values()} == {"base", "adapter"}
    adapter = models["mini-rank8"]
    weights = load_file(tmp_path / adapter.path / "adapter_model.safetensors")
    assert any(weight.abs().sum() > 0 for key, weight in weights.items() if "lora_B" in key)
    assert adapter.base_path == models["base"].path
    assert len({model.identity for model in models.values()}) == 3
    summary = {s.run.name: s for s in store.runs.list()}["mini-rank8"]
    assert summary.best_validation_loss == adapter.details["validation_loss"]
    store.close()


def test_peft_reads_the_adapter_and_finds_the_same_loss(ground: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from trainer.bases.loading import base_tokenizer
    from trainer.data.pipeline import prepare

    made = experiment(ground, lora={"rank": 4, "rslora": True, "alpha": 12})
    (run,) = trained(made, tmp_path)
    base = AutoModelForCausalLM.from_pretrained(ground / "base", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, tmp_path / "models" / run.id).eval()
    data = prepare(made.data, base_tokenizer(str(ground / "base")), 1024, Workspace(tmp_path))
    nats, tokens = 0.0, 0
    for example in data.validation:
        labels = torch.tensor(example.labels[1:])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([example.input_ids])).logits[0, :-1]
        nats += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum", ignore_index=-100))
        tokens += int((labels != -100).sum())
    assert nats / tokens == pytest.approx(min(losses(tmp_path, run.id, "validation_loss")), abs=1e-4)


def test_a_finished_run_is_not_trained_again(ground: Path, tmp_path: Path) -> None:
    (first,) = trained(experiment(ground), tmp_path)
    (second,) = trained(experiment(ground), tmp_path)
    assert second == first


def test_a_finished_run_is_never_taken_for_one_on_other_rows(ground: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    before = (ground / "rows.jsonl").read_text()
    rows.write_text(before)
    made = experiment(ground, data={"sources": [{"name": str(rows)}]}, training={"max_steps": 2, "eval_steps": 2})
    (first,) = trained(made, tmp_path / "workspace")
    rows.write_text(before.replace("Count to 7 please.", "Count to seven please."))
    with pytest.raises(TrainerError, match=r"mini \(.*rows.jsonl: 40 rows then, 40 now\)"):
        trained(made, tmp_path / "workspace")
    rows.write_text(before)  # the same rows in a file that was written later
    assert trained(made, tmp_path / "workspace") == [first]
    rows.unlink()
    assert trained(made, tmp_path / "workspace") == [first], "what cannot be read is no other rows"


def test_a_finished_run_is_never_taken_for_one_over_another_base(tmp_path: Path) -> None:
    ground = laid_ground(tmp_path)
    made = experiment(ground, training={"max_steps": 2, "eval_steps": 2})
    trained(made, tmp_path / "workspace")
    weights = next((ground / "base").glob("*.safetensors"))
    values = {name: value * 1.01 for name, value in load_file(weights).items()}
    save_file(values, weights, {"format": "pt"})
    with pytest.raises(TrainerError, match=r"mini \(base .*: SHA-256 \w{12} then, \w{12} now\)"):
        trained(made, tmp_path / "workspace")


HARD = {
    "training": {"packing": True, "max_length": 96, "gradient_accumulation": 2, "batch_size": 1, "save_steps": 3},
    "lora": {"dropout": 0.2},
}


@pytest.mark.parametrize("step", [4, 7])
def test_a_resumed_group_goes_on_bit_for_bit(ground: Path, tmp_path: Path, step: int) -> None:
    made = experiment(ground, sweep={"grid": {"lora.rank": [2, 8], "training.learning_rate": [0.02, 0.005]}}, **HARD)
    whole = trained(made, tmp_path / "whole")
    cut(made, tmp_path / "cut", step)
    assert [run.status for run in trained(made, tmp_path / "cut")] == ["finished"] * 4
    for run in whole:
        expected, found = curves(tmp_path / "whole", run.id), curves(tmp_path / "cut", run.id)
        for metric in ("validation_loss", "validation_bits_per_byte"):
            found[metric] = [point for point in found[metric] if point[0] != step]  # the cut validates once more
        assert found == expected


@pytest.mark.parametrize("lora", [{"dora": True, "dropout": 0.2}, {"method": "full"}])
def test_a_run_alone_through_trl_resumes_bit_for_bit(ground: Path, tmp_path: Path, lora: dict[str, Any]) -> None:
    made = experiment(ground, lora=lora, training={"max_steps": 6, "eval_steps": 3, "learning_rate": 0.005})
    (run,) = trained(made, tmp_path / "whole")
    assert run.status == "finished", run.reason
    cut(made, tmp_path / "cut", 3)
    trained(made, tmp_path / "cut")
    assert curves(tmp_path / "cut", run.id) == curves(tmp_path / "whole", run.id)
    store = Workspace(tmp_path / "cut").store()
    (model,) = [model for model in store.models.list() if model.run_id]
    assert model.form == ("merged" if lora.get("method") == "full" else "adapter")
    store.close()


def reported(events: Path) -> list[float]:
    """The losses that TensorBoard was told."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = EventAccumulator(str(events)).Reload()
    return [float(point.value) for point in told.Scalars("train/loss")]


def test_a_tracker_that_is_not_installed_is_told_before_anything_trains() -> None:
    with pytest.raises(TrainerError, match=r"training\.report_to names no_tracker, .* pip install no_tracker"):
        trackers.require(["tensorboard", "no_tracker"])
    trackers.require(["tensorboard"])


def test_our_loop_and_trl_learn_the_same(ground: Path, tmp_path: Path) -> None:
    """With one row a step there is no padding: the two differ in initialisation of A and rounding alone."""
    training = {"batch_size": 1, "max_steps": 12, "learning_rate": 0.01, "eval_steps": 12}
    (ours,) = trained(experiment(ground, training=training), tmp_path / "ours")
    # Two of the reasons to go through TRL; they change nothing else.
    alone = {"gradient_checkpointing": True, "report_to": ["tensorboard"]}
    (trl,) = trained(experiment(ground, training={**training, **alone}), tmp_path / "trl")
    (events,) = (tmp_path / "trl" / "runs" / trl.id).rglob("events.out.tfevents.*")
    assert reported(events) == pytest.approx(losses(tmp_path / "trl", trl.id), abs=1e-5)
    mine, theirs = losses(tmp_path / "ours", ours.id), losses(tmp_path / "trl", trl.id)
    assert mine[0] == pytest.approx(theirs[0], abs=1e-4)  # B is zero: the untrained base
    assert losses(tmp_path / "ours", ours.id, "validation_loss")[-1] == pytest.approx(
        losses(tmp_path / "trl", trl.id, "validation_loss")[-1], abs=0.15
    )
    rates = curves(tmp_path / "ours", ours.id)["learning_rate"]
    assert [step for step, _ in rates] == list(range(1, 13))
    assert losses(tmp_path / "ours", ours.id, "learning_rate") == pytest.approx(
        losses(tmp_path / "trl", trl.id, "learning_rate")
    )


def test_a_variant_learns_together_what_it_learns_alone(ground: Path, tmp_path: Path) -> None:
    sweep = {"grid": {"lora.rank": [2, 4, 8], "training.learning_rate": [0.02, 0.005]}}
    group = trained(experiment(ground, sweep=sweep), tmp_path / "group")
    (alone,) = trained(experiment(ground, training={"learning_rate": 0.005}, lora={"rank": 8}), tmp_path / "alone")
    (same,) = [run for run in group if run.id.rpartition("-")[2] == alone.id.rpartition("-")[2]]
    assert losses(tmp_path / "group", same.id) == pytest.approx(losses(tmp_path / "alone", alone.id), abs=1e-3)


def test_one_variant_that_diverges_does_not_end_the_rest(ground: Path, tmp_path: Path) -> None:
    grid = {"training.learning_rate": [0.9, 0.01]}
    made = experiment(
        ground, sweep={"grid": grid}, training={"max_gradient_norm": 1e30, "max_steps": 60}, lora={"alpha": 1e19}
    )
    runs = trained(made, tmp_path)
    assert "diverged" in {run.status for run in runs}
    for run in runs:
        if run.status == "diverged":
            assert "learning_rate" in run.reason
            assert not math.isfinite(losses(tmp_path, run.id)[-1])  # the point that says so is kept
    sane = trained(
        experiment(
            ground,
            sweep={"variants": [{"lora.alpha": 1e19, "training.max_gradient_norm": 1e30}, {}]},
            training={"max_steps": 20},
        ),
        tmp_path / "two",
    )
    assert [run.status for run in sane][1] == "finished"


def test_early_stopping_keeps_the_best(ground: Path, tmp_path: Path) -> None:
    training = {"max_steps": 200, "eval_steps": 2, "early_stopping": 2, "learning_rate": 0.5, "schedule": "constant"}
    (run,) = trained(experiment(ground, training=training), tmp_path)
    assert run.status == "finished"
    validation = losses(tmp_path, run.id, "validation_loss")
    assert len(losses(tmp_path, run.id)) < 200
    assert min(validation) == validation[-3]
    store = Workspace(tmp_path).store()
    (model,) = [model for model in store.models.list() if model.run_id]
    assert model.details["validation_loss"] == min(validation)
    store.close()


def test_a_broken_newest_checkpoint_is_skipped_aloud(ground: Path, tmp_path: Path) -> None:
    made = experiment(ground, training={"save_steps": 2})
    (whole,) = trained(made, tmp_path / "whole")
    cut(made, tmp_path / "cut", 6)
    folder = tmp_path / "cut" / "runs" / whole.id
    newest = checkpoints.complete(folder)[0][0]
    file = newest / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    (run,) = trained(made, tmp_path / "cut")
    assert run.status == "finished"
    assert curves(tmp_path / "cut", run.id)["loss"] == curves(tmp_path / "whole", run.id)["loss"]
    store = Workspace(tmp_path / "cut").store()
    report = store.reports.get(run.id, "training")
    assert report is not None
    assert any(
        "step-00000006 is skipped: adapter_model.safetensors is damaged" in note for note in report.payload["notes"]
    )
    store.close()


def test_another_data_set_or_base_under_the_same_names_is_refused(ground: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ground, copy)
    made = experiment(copy)
    cut(made, tmp_path / "ws", 5)
    rows = (copy / "rows.jsonl").read_text().splitlines()
    (copy / "rows.jsonl").write_text("\n".join(rows[:-4]))
    with pytest.raises(CheckpointInvalid, match=r"data\.identity"):
        trained(made, tmp_path / "ws")
    (copy / "rows.jsonl").write_text("\n".join(rows))
    shutil.rmtree(copy / "base")
    miniature("llama", copy / "base", seed=1)
    with pytest.raises(CheckpointInvalid, match=r"base\.identity"):
        trained(made, tmp_path / "ws")


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_vanished_machine_goes_on_from_the_mirror(ground: Path, tmp_path: Path, quantization: str) -> None:
    training = {"save_steps": 2, "mirror": f"file://{tmp_path / 'mirror'}", "quantization": quantization}
    made = experiment(ground, training=training)
    trained(made, tmp_path / "whole")
    shutil.rmtree(tmp_path / "mirror")
    cut(made, tmp_path / "gone", 5)
    (run,) = trained(made, tmp_path / "new")
    assert (run.status, run.reason) == ("finished", "")
    assert curves(tmp_path / "new", run.id)["loss"] == curves(tmp_path / "whole", run.id)["loss"][5:]


SCRIPT = """
import json, sys, torch
from results import Workspace
from trainer import train
from trainer.experiment.reading import experiment_of
torch.set_num_threads(1)
workspace = Workspace(sys.argv[2])
def progress(what, done, total):
    if what.startswith("training"): print(done, flush=True)
train(experiment_of(json.loads(sys.argv[1]), "script"), workspace.store(), workspace, progress)
"""


def test_a_signal_leaves_a_run_that_goes_on(ground: Path, tmp_path: Path) -> None:
    """SIGTERM; what Ctrl-C does is in test_signals.py, and to a whole job in tests/end_to_end."""
    made = experiment(ground, training={"max_steps": 4000})
    command = [sys.executable, "-c", SCRIPT, made.model_dump_json(), str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 3:
            break
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=900)
    assert "KeyboardInterrupt" in errors
    store = Workspace(tmp_path).store()
    (summary,) = store.runs.list()
    assert summary.run.status == "stopped"
    assert "interrupted" in summary.run.reason
    good, skipped = checkpoints.complete(tmp_path / "runs" / summary.run.id)
    assert checkpoints.step_of(good[0]) == summary.steps
    assert not skipped
    store.close()


def test_killed_at_random_moments_every_value_is_the_same_in_the_end() -> None:
    """A bounded number here; `python benchmarks/kill.py --kills 100` for more."""
    script = Path(__file__).parents[2] / "benchmarks" / "kill.py"
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1])}
    done = subprocess.run(
        [sys.executable, str(script), "--kills", "4", "--seed", "1"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["kills"] >= 4
    assert result["different"] == []


def test_a_run_that_another_process_trains_is_left_alone(ground: Path, tmp_path: Path) -> None:
    made = experiment(ground)
    (variant,) = variants(made)
    with checkpoints.lock(tmp_path / "runs" / variant.id):
        with pytest.raises(CheckpointInvalid, match="another process"):
            trained(made, tmp_path)
        store = Workspace(tmp_path).store()
        assert store.runs.get(variant.id).status == "planned"
        store.close()
    assert [run.status for run in trained(made, tmp_path)] == ["finished"]
