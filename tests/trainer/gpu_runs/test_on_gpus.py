"""Training on the stand-in GPU: dtypes, memory that runs out, and a parent that opens no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from results import Workspace
from tests.stand_in_gpu import board
from tests.trainer.small_runs import experiment, laid_ground, losses, notes
from trainer import train
from trainer.experiment.schema import Experiment

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, sys
from results import Workspace
from trainer import train
from trainer.experiment.reading import experiment_of
workspace = Workspace(sys.argv[2])
runs = train(experiment_of(json.loads(sys.argv[1]), "script"), workspace.store(), workspace, lambda *_: None)
print(json.dumps([os.getpid(), [[run.id, run.status, run.reason] for run in runs]]))
"""


def trained(made: Experiment, folder: Path, kind: str) -> tuple[int, list[list[str]]]:
    """(process that asked for it, [id, status, reason] of each run), on stand-in GPUs."""
    board.skip_without()
    root = Path(__file__).parents[3]
    path = {"PYTHONPATH": f"{board.HERE}:{root}"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, made.model_dump_json(), str(folder)],
        env=board.environment(kind, folder.parent, **path),
        capture_output=True,
        text=True,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
    parent, runs = json.loads(done.stdout)
    return parent, runs


@contextmanager
def others_hold(size: int, kind: str, record: Path) -> Iterator[None]:
    """Another process takes so many bytes of the GPU meanwhile."""
    code = (
        "import sys, torch; kept = torch.empty(int(sys.argv[1]), dtype=torch.uint8, device='cuda');"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(size)]
    environment = board.environment(kind, record)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as other:  # type: ignore[call-overload]
        assert other.stdout.readline().strip() == "held"
        yield
        other.stdin.close()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return laid_ground(tmp_path_factory.mktemp("ground"))


def details(folder: Path, run_id: str) -> dict[str, Any]:
    store = Workspace(folder).store()
    (model,) = [model for model in store.models.list() if model.run_id == run_id]
    store.close()
    weights = load_file(folder / model.path / "adapter_model.safetensors")
    return {**model.details, "adapter dtypes": {str(weight.dtype) for weight in weights.values()}}


def test_bf16_trains_fp32_adapters_in_a_process_that_alone_opens_the_gpu(ground: Path, tmp_path: Path) -> None:
    made = experiment(ground, training={"dtype": "auto", "batch_size": 4, "max_steps": 6, "eval_steps": 3})
    parent, [[run, status, reason]] = trained(made, tmp_path / "gpu", "a100")
    assert (status, reason) == ("finished", "")
    (process,) = [one for one in board.processes(tmp_path) if one.gpus]
    assert (process.parent, process.gpus) == (parent, (0,)), "the parent held no memory of a GPU"
    found = details(tmp_path / "gpu", run)
    assert (found["dtype"], found["adapter dtypes"]) == ("bfloat16", {"torch.float32"})
    assert found["peak_gpu_bytes"] > 0
    assert not any("did not fit" in note for note in notes(tmp_path / "gpu", run)), "nothing is recomputed unasked"

    store = Workspace(tmp_path / "cpu").store()
    plain = experiment(
        ground, training={"batch_size": 4, "max_steps": 6, "eval_steps": 3, "report_to": ["tensorboard"]}
    )
    (here,) = train(plain, store, Workspace(tmp_path / "cpu"), lambda *_: None, ())
    store.close()
    for metric in ("loss", "validation_loss"):
        expected = losses(tmp_path / "cpu", here.id, metric)
        assert losses(tmp_path / "gpu", run, metric) == pytest.approx(expected, abs=0.05), metric


def test_qwen2_takes_float32_where_a_gpu_has_no_bf16_and_says_why(tmp_path: Path) -> None:
    made = experiment(laid_ground(tmp_path / "q", "qwen2"), training={"dtype": "auto", "max_steps": 2, "eval_steps": 2})
    _, [[run, status, reason]] = trained(made, tmp_path / "ws", "t4")
    assert (status, reason) == ("finished", "")
    found = details(tmp_path / "ws", run)
    assert found["dtype"] == "float32"
    assert any("Qwen2.5 have activations beyond fp16" in note for note in found["notes"])


def test_a_gpu_too_small_for_the_batch_trains_it_in_smaller_passes(ground: Path, tmp_path: Path) -> None:
    training = {"batch_size": 16, "max_steps": 4, "eval_steps": 2}
    made = experiment(ground, training=training)
    _, [[roomy, _, _]] = trained(made, tmp_path / "roomy", "t4")
    need = details(tmp_path / "roomy", roomy)["peak_gpu_bytes"]
    (tmp_path / "full").mkdir()
    with others_hold(2 * 10**9 - int(need * 0.7), "t4:2GB", tmp_path / "full"):
        _, [[tight, status, reason]] = trained(made, tmp_path / "full" / "tight", "t4:2GB")
    assert (status, reason) == ("finished", "")
    assert any(
        "16 rows a pass, 1 pass a step did not fit" in note for note in notes(tmp_path / "full" / "tight", tight)
    )
    for metric in ("loss", "validation_loss"):
        expected = losses(tmp_path / "roomy", roomy, metric)
        assert losses(tmp_path / "full" / "tight", tight, metric) == pytest.approx(expected, abs=1e-4), metric
    assert details(tmp_path / "full" / "tight", tight)["peak_gpu_bytes"] < need
