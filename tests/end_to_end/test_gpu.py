"""The GPU path from the experiment file to the decision, on stand-in GPUs (`tests/stand_in_gpu` says what they show).

One run a GPU, in a process that gives everything back; what a kill left is gone on with; what was trained on a GPU is
exported and measured there.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from results import Run, Store, Workspace
from tests.stand_in_gpu import board
from trainer import miniature

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a miniature of each architecture that most people take."""
    board.skip_without()
    folder = tmp_path_factory.mktemp("bases")
    return {name: miniature(name, folder / name) for name in ("llama", "qwen2")}


class Machine:
    """A folder with a workspace, on a machine with stand-in GPUs whose use is recorded, or (no kind) without any."""

    def __init__(self, folder: Path, kind: str, **more: str) -> None:
        self.folder, self.workspace, self.record = folder, folder / "workspace", folder / "record"
        self.record.mkdir(parents=True)
        environment = board.environment(kind, self.record) if kind else os.environ | {"BAKEOFF_DEVICE": "cpu"}
        self.environment = environment | {"HF_HUB_OFFLINE": "1", "BAKEOFF_WORKSPACE": str(self.workspace)} | more

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, *words]
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=REPOSITORY,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def bakeoff(self, *words: str, code: int = 0) -> str:
        """What a verb prints; it must end with that code."""
        running = self.start("-m", "bakeoff", *words)
        out, err = running.communicate(timeout=400)
        assert running.returncode == code, err
        return out

    def store(self) -> Store:
        return Workspace.open(self.workspace).store()

    def runs(self) -> dict[str, Run]:
        with self.store() as store:
            return {summary.run.name: summary.run for summary in store.runs.list()}

    def losses(self, run: Run) -> dict[int, float]:
        """Nats per token by step."""
        with self.store() as store:
            steps, values = store.curves.read(run.id, "loss")
        assert len(set(steps)) == len(steps), "a step is there twice"
        return {int(step): float(value) for step, value in zip(steps, values, strict=True)}


def experiment(folder: Path, name: str, chosen: list[Path], **sections: Any) -> Path:
    """An experiment file of a few short steps."""
    raw: dict[str, Any] = {
        "name": name,
        "bases": [str(base) for base in chosen],
        "data": {
            "sources": [{"name": "python-stdlib", "limit": 40}],
            "validation_fraction": 0.2,
            "validation_limit": 4,
        },
        "training": {
            "max_steps": 4,
            "batch_size": 2,
            "gradient_accumulation": 2,
            "max_length": 512,
            "eval_steps": 2,
            "save_steps": 2,
            "learning_rate": 1e-3,
        },
        "lora": {"rank": 4},
    }
    for section, keys in sections.items():
        raw[section] = {**raw.get(section, {}), **keys}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def killed_in_training(
    places: Iterator[Path],
    kind: str,
    make: Callable[[Path, int], Path],
    victim: Callable[[subprocess.Popen[str], Machine], int],
) -> tuple[Machine, Path, subprocess.Popen[str], int]:
    """A run of which a process was killed -9 after its first checkpoint and before its end.

    A machine may train faster than one can look: then again with more steps, elsewhere.
    """
    for steps in (16, 128, 1024):
        machine = Machine(next(places), kind)
        file = make(machine.folder, steps)
        running = machine.start("-m", "bakeoff", "run", str(file))
        while running.poll() is None and not list(machine.workspace.glob("runs/*/step-*")):
            time.sleep(0.02)
        assert running.poll() is None, running.communicate()
        hit = victim(running, machine)
        os.kill(hit, signal.SIGKILL)
        if all(len(machine.losses(run)) < steps for run in machine.runs().values()):
            return machine, file, running, hit
        running.kill()
        running.communicate()
    raise AssertionError("1024 steps were trained before the first checkpoint was seen")


def training_process(running: subprocess.Popen[str], machine: Machine) -> int:
    """The process that trains: the newest that holds memory of a GPU and was started by the one that was asked."""
    return next(one.pid for one in reversed(board.processes(machine.record)) if one.gpus and one.parent == running.pid)


def gone(pid: int) -> bool:
    """Whether a process ends by itself. It has all the time that the test has."""
    while (stat := Path(f"/proc/{pid}/stat")).exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
        time.sleep(0.05)
    return True


def places(factory: pytest.TempPathFactory) -> Iterator[Path]:
    return (factory.mktemp("machine") for _ in itertools.count())


# --- one T4: everything, after a kill of the whole run


@pytest.fixture(scope="module")
def t4(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A T4 on which two bases were tuned in 4 bits, exported and measured, after a kill -9 of the program."""

    def make(folder: Path, steps: int) -> Path:
        forms = ["adapter", "merged", "lora-gguf", "gguf-q8_0"]
        return experiment(
            folder,
            "job",
            [bases["llama"], bases["qwen2"]],
            training={"quantization": "nf4", "max_steps": steps, "eval_steps": steps // 2},
            evaluate={
                "humaneval": {"tasks": 2, "max_tokens": 8},
                "heldout": {},
                "latency": {"repetitions": 1, "tokens": 4, "natural_tokens": 4, "threads": 1},
                "forms": forms,
            },
        )

    machine, file, running, _ = killed_in_training(places(tmp_path_factory), "t4", make, lambda running, _: running.pid)
    running.communicate()
    trained_by = training_process(running, machine)
    assert gone(trained_by), "the training process ends with its parent"
    machine.bakeoff("run", str(file))
    return machine


def test_a_killed_job_goes_on_to_the_end_with_each_step_once(t4: Machine) -> None:
    runs = t4.runs()
    assert len(runs) == 2
    for run in runs.values():
        assert run.status == "finished", run.reason
        losses = t4.losses(run)
        assert sorted(losses) == list(range(1, len(losses) + 1))
        assert all(map(math.isfinite, losses.values()))
        assert len(set(losses.values())) > len(losses) // 2
    with t4.store() as store:
        notes = [str(report.payload) for run in runs.values() if (report := store.reports.get(run.id, "training"))]
    assert any("goes on from step" in note for note in notes), notes


def test_every_form_of_both_bases_is_made_and_measured(t4: Machine) -> None:
    with t4.store() as store:
        models = store.models.list()
        measured = {(one.model_id, one.benchmark) for one in store.evaluations.list() if one.status == "finished"}
        failed = [one for one in store.evaluations.list() if one.status != "finished"]
    assert not failed
    forms = sorted(model.form for model in models if model.form != "base")
    assert forms.count("adapter") == forms.count("merged") == forms.count("lora-gguf") == 2
    for model in models:
        if model.form in ("adapter", "merged", "lora-gguf", "gguf-q8_0") and model.run_id:
            assert {(model.id, "humaneval"), (model.id, "heldout")} <= measured, model.name
    assert {form for form in forms if form.startswith("gguf")} == {"gguf-q8_0"}
    assert {model.form for model in models if (model.id, "latency") in measured} >= {"lora-gguf", "gguf-q8_0"}


def test_training_and_answers_were_computed_on_the_gpu(t4: Machine) -> None:
    used = board.processes(t4.record)
    assert all(one.gpus in ((), (0,)) for one in used)
    children = [one for one in used if one.parent != os.getpid() and one.uses[0].launches > 1000]
    assert len(children) == 3, "one killed, two to the end"
    assert any(one.parent == os.getpid() and one.uses[0].launches > 1000 for one in used), "the program that measures"


def test_a_decision_over_all_of_them_comes_out(t4: Machine) -> None:
    decision = json.loads(t4.bakeoff("decide", "--json"))
    with t4.store() as store:
        names = {model.id: model.name for model in store.models.list()}
    judged = {names[candidate["model_id"]] for candidate in decision["candidates"]}
    assert judged >= {f"job-{base}{form}" for base in ("llama", "qwen2") for form in ("@lora-q8_0", "@q8_0")}
    assert decision["paragraph"]


# --- an A100: a kill of the process that trains, and the memory after it


@pytest.fixture(scope="module")
def a100(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, dict[str, Run]]:
    """An A100 with the runs' states after the training process of the first of two was killed, gone on with since."""

    def make(folder: Path, steps: int) -> Path:
        return experiment(
            folder,
            "pair",
            [bases["llama"]],
            training={"quantization": "nf4", "max_steps": steps, "eval_steps": steps // 2},
            sweep={"grid": {"lora.rank": [4, 8]}},
            evaluate={"heldout": {}, "forms": ["adapter"]},
        )

    machine, file, running, _ = killed_in_training(places(tmp_path_factory), "a100", make, training_process)
    _, err = running.communicate(timeout=400)
    assert running.returncode == 1, err
    before = machine.runs()
    machine.bakeoff("run", str(file))
    return machine, before


def test_a_killed_training_process_takes_no_other_run_with_it(a100: tuple[Machine, dict[str, Run]]) -> None:
    machine, before = a100
    assert sorted(run.status for run in before.values()) == ["failed", "finished"]
    assert all(run.reason for run in before.values() if run.status == "failed")
    after = machine.runs()
    assert {run.status for run in after.values()} == {"finished"}
    for run in after.values():
        steps = sorted(machine.losses(run))
        assert steps == list(range(1, len(steps) + 1))


def test_no_two_processes_hold_a_base_at_once_and_no_run_adds_memory(a100: tuple[Machine, dict[str, Run]]) -> None:
    machine, _ = a100
    used = [one for one in board.processes(machine.record) if one.gpus]
    trained = [one.uses[0].peak for one in used if one.parent != os.getpid()]
    assert len(trained) == 3, "one killed, two to the end"
    assert board.peaks(machine.record)[0] <= 1.01 * max(one.uses[0].peak for one in used)
    assert max(trained[1:]) <= 1.3 * min(trained[1:]), "rank 8 takes little more than rank 4"


# --- two T4: both at once, and the same curves as on a CPU


@pytest.fixture(scope="module")
def two(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Machine]:
    """Two runs in float32, trained on two T4 and on a CPU."""
    trained = {}
    for name, kind in (("gpus", "2xt4"), ("cpu", "")):
        machine = Machine(tmp_path_factory.mktemp(name), kind)
        file = experiment(
            machine.folder,
            "seeds",
            [bases["llama"]],
            training={"dtype": "float32", "max_steps": 6, "eval_steps": 3, "gradient_checkpointing": True},
            sweep={"seeds": [0, 1]},
        )
        machine.bakeoff("train", str(file))
        trained[name] = machine
    return trained


def test_two_gpus_train_one_run_each(two: dict[str, Machine]) -> None:
    assert {run.status for run in two["gpus"].runs().values()} == {"finished"}
    used = [one for one in board.processes(two["gpus"].record) if one.gpus]
    assert sorted(one.gpus for one in used) == [(0,), (1,)]
    weights = sum(
        file.stat().st_size for file in Path(next(iter(two["gpus"].runs().values())).base).glob("*.safetensors")
    )
    for one in used:
        (gpu,) = one.gpus
        assert one.uses[gpu].peak > weights
        assert one.uses[gpu].launches > 1000


def test_a_gpu_learns_what_a_cpu_learns(two: dict[str, Machine]) -> None:
    curves = {name: {run.name: machine.losses(run) for run in machine.runs().values()} for name, machine in two.items()}
    assert curves["gpus"].keys() == curves["cpu"].keys()
    for name, losses in curves["gpus"].items():
        assert len(losses) == 6
        np.testing.assert_allclose(list(losses.values()), list(curves["cpu"][name].values()), rtol=1e-4)
    assert len({tuple(losses.values()) for losses in curves["gpus"].values()}) == 2


# --- memory, as the process sees it that trains one experiment after another

TWO_TRAININGS = """
import json, sys, torch
from results import Workspace
from trainer import load_experiment, train
place = Workspace.open(None)
held = []
for file in sys.argv[1:]:
    runs = train(load_experiment(file), place.store(), place, lambda *_: None)
    held.append([sum(run.status == "finished" for run in runs), torch.cuda.mem_get_info(0)])
print(json.dumps([held, torch.cuda.memory_allocated()]))
"""


def test_all_memory_is_back_after_each_training_and_a_second_one_adds_none(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    machine = Machine(tmp_path, "t4:2GB")
    files = [
        experiment(machine.folder, name, [bases["llama"]], training={"seed": seed, "max_steps": 2})
        for seed, name in enumerate(("first", "second"))
    ]
    running = machine.start("-c", TWO_TRAININGS, *map(str, files))
    out, err = running.communicate(timeout=400)
    assert running.returncode == 0, err
    held, allocated = json.loads(out)
    assert [finished for finished, _ in held] == [1, 1]
    assert all(total - free <= 0.01 * total for _, (free, total) in held)
    assert allocated == 0
    assert len([one for one in board.processes(machine.record) if one.gpus]) == 2, "each trained in its own process"
