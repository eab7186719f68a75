"""Runs in processes of their own: what they learn, how many at once, and what is left of one that is killed, stopped or
too large. The processes compute on the CPU here, through the same door as on a GPU; tests/end_to_end has the GPU's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from engines import Device, this_device
from results import Run, Workspace
from tests.processes import running
from tests.trainer.small_runs import curves, experiment, laid_ground, losses, notes
from trainer import train
from trainer.experiment.schema import Experiment
from trainer.experiment.variants import variants
from trainer.gpu_runs.child_process import environment

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = Device("cpu", "a processor", None, 1 << 34, "float32", "for tests")
LONG = {"max_steps": 100_000, "save_steps": 5, "eval_steps": 50_000}
"""A training that ends by what the test does to it."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return laid_ground(tmp_path_factory.mktemp("ground"))


def isolated(
    made: Experiment, folder: Path, at_once: int = 1, progress: Callable[[str, int, int], None] | None = None
) -> list[Run]:
    store = Workspace(folder).store()
    try:
        return train(made, store, Workspace(folder), progress or (lambda *_: None), [CPU] * at_once)
    finally:
        store.close()


def here(made: Experiment, folder: Path) -> Run:
    """The experiment's only run, trained in this process: through TRL too, where it is DoRA."""
    store = Workspace(folder).store()
    (run,) = train(made, store, Workspace(folder), lambda *_: None, ())
    store.close()
    assert run.status == "finished", run.reason
    return run


def children() -> list[psutil.Process]:
    """The training processes that this one has."""
    return running("trainer.gpu_runs.child_main")


def a_gpu(name: str) -> Device:
    return Device(name, "Tesla T4", (7, 5), 1 << 34, "float16", "for tests")


@pytest.mark.parametrize(
    ("outer", "name", "seen"),
    [
        ({}, "cuda:1", "1"),
        ({"CUDA_VISIBLE_DEVICES": "3,5"}, "cuda:1", "5"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8f2c, GPU-77aa"}, "cuda:0", "GPU-8f2c"),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, "cpu", ""),
    ],
)
def test_a_child_sees_exactly_its_own_gpu(outer: dict[str, str], name: str, seen: str) -> None:
    own = environment(a_gpu(name), {**outer, "BAKEOFF_DEVICE": "cuda:1", "PYTHONPATH": "/elsewhere"})
    assert own["CUDA_VISIBLE_DEVICES"] == seen
    assert own["BAKEOFF_DEVICE"] == ("cuda:0" if seen else "cpu"), "its only GPU is its first"
    assert own["PYTHONPATH"].endswith("/elsewhere")


@pytest.mark.slow
def test_a_run_learns_in_a_process_of_its_own_what_it_learns_here(ground: Path, tmp_path: Path) -> None:
    """Bit for bit: DoRA trains through TRL in both."""
    made = experiment(ground, lora={"dora": True, "dropout": 0.1}, training={"max_steps": 6, "eval_steps": 3})
    (away,) = isolated(made, tmp_path / "away")
    assert (away.status, away.reason) == ("finished", "")
    same = here(made, tmp_path / "here")
    assert curves(tmp_path / "away", away.id) == curves(tmp_path / "here", same.id)
    assert identities(tmp_path / "away") == identities(tmp_path / "here")
    assert any("in a process of its own" in note for note in notes(tmp_path / "away", away.id))
    assert isolated(made, tmp_path / "away") == [away], "a finished run is not trained again"


def identities(folder: Path) -> set[str]:
    store = Workspace(folder).store()
    found = {model.identity for model in store.models.list()}
    store.close()
    return found


@pytest.mark.slow
def test_two_devices_train_two_runs_at_once_and_an_interrupt_leaves_both_to_go_on(ground: Path, tmp_path: Path) -> None:
    made = experiment(ground, training=LONG, sweep={"grid": {"lora.rank": [2, 8]}})
    seen: dict[str, int] = {}

    def meet(what: str, step: int, _: int) -> None:
        if what.startswith("training"):
            seen[what] = step
            if len(seen) == 2 and step >= 2:  # neither ends by itself: they have met
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        isolated(made, tmp_path, at_once=2, progress=meet)
    assert not children()
    store = Workspace(tmp_path).store()
    for summary in store.runs.list():
        assert summary.run.status == "stopped"
        assert summary.run.reason == f"interrupted after step {summary.steps}"
        assert (tmp_path / "runs" / summary.run.id / f"step-{summary.steps:08d}" / "COMPLETE").is_file()
    store.close()


@pytest.mark.slow
def test_a_killed_process_fails_its_own_run_which_then_goes_on(ground: Path, tmp_path: Path) -> None:
    training = {"max_steps": 40, "save_steps": 2, "eval_steps": 20}
    whole = here(experiment(ground, training=training, lora={"dora": True, "rank": 2}), tmp_path / "whole")
    made = experiment(ground, training=training, lora={"dora": True}, sweep={"grid": {"lora.rank": [2, 8]}})
    killed: list[int] = []

    def kill(what: str, step: int, _: int) -> None:
        if what == "training mini-rank2" and step >= 5 and not killed:
            (child,) = children()
            killed.append(child.pid)
            child.kill()

    first, second = isolated(made, tmp_path / "ws", progress=kill)
    assert (first.status, second.status) == ("failed", "finished")
    assert "signal 9" in first.reason and "training.log" in first.reason
    assert [run.status for run in isolated(made, tmp_path / "ws")] == ["finished", "finished"]
    assert any("goes on from step" in note for note in notes(tmp_path / "ws", first.id))
    assert curves(tmp_path / "ws", first.id) == curves(tmp_path / "whole", whole.id)


SCRIPT = """
import json, sys
from results import Workspace
from trainer import train
from trainer.experiment.reading import experiment_of
from tests.trainer.gpu_runs.test_isolated import CPU
workspace = Workspace(sys.argv[2])
def progress(what, done, total):
    if what.startswith("training"): print(done, flush=True)
train(experiment_of(json.loads(sys.argv[1]), "script"), workspace.store(), workspace, progress, [CPU])
"""


def started(made: Experiment, folder: Path, step: int) -> subprocess.Popen[str]:
    """A training in a process, which has come to a step."""
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, made.model_dump_json(), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= step:
            return process
    raise AssertionError(process.stderr.read() if process.stderr else "")


@pytest.mark.slow
def test_a_killed_parent_takes_its_child_along_and_the_run_goes_on(ground: Path, tmp_path: Path) -> None:
    made = experiment(ground, training={**LONG, "max_steps": 60})
    process = started(made, tmp_path, 12)
    (child,) = psutil.Process(process.pid).children()
    process.kill()
    process.communicate()
    (run,) = isolated(made, tmp_path)  # waits for the orphan, which still holds the run
    assert (run.status, run.reason) == ("finished", "")
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert any("goes on from step" in note for note in notes(tmp_path, run.id))
    assert len(losses(tmp_path, run.id)) == 60


@pytest.mark.slow
def test_a_signal_to_the_parent_alone_lets_the_child_end_in_order(ground: Path, tmp_path: Path) -> None:
    process = started(experiment(ground, training=LONG), tmp_path, 3)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=300)
    assert "KeyboardInterrupt" in errors
    store = Workspace(tmp_path).store()
    (summary,) = store.runs.list()
    store.close()
    assert summary.run.reason == f"interrupted after step {summary.steps}"
    assert (tmp_path / "runs" / summary.run.id / f"step-{summary.steps:08d}" / "COMPLETE").is_file()


FULL = """
import importlib.abc, json, os, sys
wanted = json.loads(os.environ["TOO_LARGE"])
if "trainer.gpu_runs.child_main" in sys.orig_argv:
    import torch
    passes = []
    def check(module, args):
        if not args or not torch.is_grad_enabled():
            return
        if isinstance(module, torch.nn.Embedding):
            passes.append(len(args[0]))
        if not type(module).__name__.endswith("DecoderLayer"):
            return
        recomputes = wanted["recomputing"] and getattr(module, "gradient_checkpointing", False)
        if len(args[0]) > wanted["rows"] and len(passes) > wanted["after"] and not recomputes:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    torch.nn.modules.module.register_module_forward_pre_hook(check)
"""
"""A sitecustomize: models in training processes run out of memory with more than so many rows, after so many passes."""


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`memory(rows=1)`: memory of which no pass with more rows fits; `after`: only from that pass on."""
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FULL)
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def of(rows: int, after: int = 0, recomputing: bool = False) -> None:
        monkeypatch.setenv("TOO_LARGE", json.dumps({"rows": rows, "after": after, "recomputing": recomputing}))

    return of


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "after"), [(1, 0), (2, 6)])
def test_out_of_memory_goes_on_with_smaller_passes_and_learns_the_same(
    ground: Path, tmp_path: Path, memory: Callable[..., None], rows: int, after: int
) -> None:
    """Seen before the first step, or met at a later one: then the run goes on at its newest checkpoint."""
    training = {"batch_size": 4, "max_steps": 8, "eval_steps": 4, "save_steps": 2}
    made = experiment(ground, training=training, lora={"dora": True})
    roomy = here(made, tmp_path / "roomy")
    memory(rows=rows, after=after)
    (tight,) = isolated(made, tmp_path / "tight")
    assert (tight.status, tight.reason) == ("finished", "")
    said = " ".join(notes(tmp_path / "tight", tight.id))
    assert "4 rows a pass, 1 pass a step did not fit" in said
    assert f"went on with {rows} row{'s' * (rows > 1)} a pass, {4 // rows} passes a step" in said
    assert ("goes on from step" in said) is (after > 0)
    for metric in ("loss", "validation_loss"):
        expected = losses(tmp_path / "roomy", roomy.id, metric)
        assert losses(tmp_path / "tight", tight.id, metric) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_where_not_even_one_row_fits_activations_are_recomputed_and_then_it_fails_by_name(
    ground: Path, tmp_path: Path, memory: Callable[..., None]
) -> None:
    memory(rows=0, recomputing=True)
    (saved,) = isolated(experiment(ground, training={"max_steps": 2, "eval_steps": 2}), tmp_path / "saved")
    assert saved.status == "finished", saved.reason
    said = " ".join(notes(tmp_path / "saved", saved.id))
    assert "1 row a pass, 2 passes a step, activations recomputed" in said
    memory(rows=0)
    smallest = {"batch_size": 1, "gradient_checkpointing": True}
    (lost,) = isolated(experiment(ground, training=smallest), tmp_path / "lost")
    assert lost.status == "failed"
    assert "even 1 row a pass" in lost.reason and "training.quantization: nf4" in lost.reason


@pytest.mark.slow
@pytest.mark.parametrize("devices", [[], [CPU]])
def test_a_base_without_a_finite_loss_is_not_blamed_on_the_learning_rate(
    ground: Path, tmp_path: Path, devices: list[Device]
) -> None:
    from safetensors.torch import load_file, save_file

    broken = laid_ground(tmp_path / "broken")
    file = broken / "base" / "model.safetensors"
    weights = load_file(file)
    broken_one = {"model.norm.weight": weights["model.norm.weight"] * float("nan")}
    save_file({**weights, **broken_one}, file, metadata={"format": "pt"})
    store = Workspace(tmp_path / "ws").store()
    (run,) = train(experiment(broken), store, Workspace(tmp_path / "ws"), lambda *_: None, devices)
    store.close()
    assert run.status in ("diverged", "failed")
    assert "before anything was learned" in run.reason and "learning_rate" not in run.reason


@pytest.mark.slow
def test_halving_cuts_and_goes_on_in_processes(ground: Path, tmp_path: Path) -> None:
    sweep = {"grid": {"lora.rank": [2, 8]}, "halving": {"first_steps": 4, "factor": 2}}
    made = experiment(ground, training={"max_steps": 8, "eval_steps": 2}, sweep=sweep)
    runs = isolated(made, tmp_path, at_once=2)
    assert sorted(run.status for run in runs) == ["finished", "stopped"]
    dropped = next(run for run in runs if run.status == "stopped")
    assert "dropped at step 4" in dropped.reason
    assert {run.id: len(losses(tmp_path, run.id)) for run in runs} == {
        run.id: 8 if run.status == "finished" else 4 for run in runs
    }


@pytest.mark.slow
def test_the_trainer_names_what_it_was_asked_for_before_it_reads_anything(tmp_path: Path) -> None:
    """A GPU that torch cannot use: `engines.unusable_gpu` has the words."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU that torch uses")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Tesla T4, 535.104.05'\n")
    program.chmod(0o755)
    code = (
        "import sys; from results import Workspace; from trainer import train, TrainerError\n"
        "from trainer.experiment.schema import Experiment\n"
        "made = Experiment(name='x', bases=['nowhere'], data={'sources': [{'name': 'nowhere'}]})\n"
        "place = Workspace(sys.argv[1])\n"
        "try: train(made, place.store(), place, lambda *_: None)\n"
        "except TrainerError as error: print(error)\n"
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    outer: dict[str, Any] = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    asked = [sys.executable, "-c", code, str(tmp_path / "ws")]
    root = Path(__file__).parents[3]

    def said(**more: str) -> str:
        done = subprocess.run(asked, capture_output=True, text=True, env={**outer, "PATH": path, **more}, cwd=root)
        return done.stdout + done.stderr

    assert "driver 535.104.05" in said() and "whl/cu126" in said()
    assert "nvidia-smi" not in said(BAKEOFF_DEVICE="cpu")
    assert this_device("cpu").name == "cpu" and not (tmp_path / "ws" / "runs").exists()
    assert variants(Experiment(name="x", bases=("nowhere",), data={"sources": [{"name": "nowhere"}]}))  # type: ignore[arg-type]
