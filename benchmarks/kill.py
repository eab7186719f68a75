"""Training killed at random moments, inside saves too: does every run end exactly as if nothing had happened?

A parent that has torch loaded forks trainings of two miniature variants (packing, accumulation, dropout, a checkpoint
every other step) and sends each SIGKILL after a random time, again and again until the runs finish. Then every point of
every metric that does not measure time is compared, bit for bit, with those of an uninterrupted training, and so are
the adapters.

    python benchmarks/kill.py --kills 100
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from results import Store, Workspace
from trainer import miniature, train
from trainer.experiment.reading import experiment_of

TIMED = ("tokens_per_second", "elapsed_seconds", "peak_rss_bytes")
"""Metrics that no two runs share."""
METRICS = (
    "loss",
    "learning_rate",
    "gradient_norm",
    "tokens_seen",
    "epoch",
    "validation_loss",
    "validation_bits_per_byte",
)


def main() -> int:
    """Kill, resume, compare; print a JSON line. Exit 1 if a single value differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draws = random.Random(arguments.seed)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        result = _study(Path(folder), arguments.kills, draws)
    print(json.dumps(result))
    return 1 if result["different"] else 0


def _study(folder: Path, kills: int, draws: random.Random) -> dict[str, Any]:
    raw = training_experiment(folder)
    began = time.monotonic()
    assert _trained(raw, folder / "whole") == 0, "the uninterrupted training failed"
    seconds = time.monotonic() - began
    expected = _state(folder / "whole")
    done, inside_saves, compared, different, attempts = 0, 0, 0, [], 0
    while done < kills:
        workspace = folder / f"killed-{compared}"
        while True:
            attempts += 1
            limit = draws.uniform(0, seconds) if done < kills else None
            before = set(workspace.glob("runs/*/**/.writing-*"))
            status = _trained(raw, workspace, limit)
            if status == 0:
                break
            assert status == -signal.SIGKILL, f"a resumed training ended with status {status}"
            done += 1
            inside_saves += bool(set(workspace.glob("runs/*/**/.writing-*")) - before)
        compared += 1
        found = _state(workspace)
        different += [f"killed-{compared - 1}: {key}" for key in expected if found.get(key) != expected[key]]
        print(f"{done} kills, {compared} trainings compared, {len(different)} differences", file=sys.stderr, flush=True)
    return {
        "kills": done,
        "inside_saves": inside_saves,
        "trainings_compared": compared,
        "values_each": sum(len(value) for value in expected.values()),
        "different": different,
        "uninterrupted_seconds": round(seconds, 2),
        "attempts": attempts,
    }


def training_experiment(folder: Path) -> dict[str, Any]:
    """Two variants of a miniature on 48 made-up rows of very different lengths."""
    rows = [
        {"prompt": f"Count to {n} please.", "completion": " ".join(str(i) for i in range(n % 17 + 1))}
        for n in range(48)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {
        "name": "killed",
        "bases": [str(miniature("llama", folder / "base"))],
        "data": {
            "sources": [{"name": str(folder / "rows.jsonl")}],
            "quality": {"near_duplicates": None, "max_repetition": None},
            "decontaminate": [],
            "validation_fraction": 0.2,
        },
        "training": {
            "max_steps": 20,
            "batch_size": 1,
            "gradient_accumulation": 2,
            "packing": True,
            "max_length": 128,
            "learning_rate": 0.01,
            "eval_steps": 3,
            "save_steps": 2,
            "dtype": "float32",
        },
        "lora": {"dropout": 0.1},
        "sweep": {"grid": {"lora.rank": [4, 8]}},
    }


def _trained(raw: dict[str, Any], workspace: Path, kill_after: float | None = None) -> int:
    """Train in a forked process, killed after so many seconds. Returns its status, or minus a signal's number."""
    child = os.fork()
    if child == 0:
        os._exit(_child(raw, workspace))
    end = None if kill_after is None else time.monotonic() + kill_after
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if end is not None and time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.002)


def _child(raw: dict[str, Any], folder: Path) -> int:
    workspace = Workspace(folder)
    try:
        runs = train(experiment_of(raw, "kill.py"), workspace.store(), workspace, lambda *_: None)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 3
    return 0 if all(run.status == "finished" for run in runs) else 4


def _state(folder: Path) -> dict[str, list[Any]]:
    """Every untimed point of every run, and the adapters, in a form that compares exactly."""
    store: Store = Workspace(folder).store()
    state: dict[str, list[Any]] = {}
    for summary in store.runs.list():
        for metric in METRICS:
            steps, values = store.curves.read(summary.run.id, metric)
            state[f"{summary.run.name} {metric}"] = [
                (int(step), float(value).hex()) for step, value in zip(steps, values, strict=True)
            ]
        weights = load_file(folder / "models" / summary.run.id / "adapter_model.safetensors")
        state[f"{summary.run.name} adapter"] = [weights[key].numpy().tobytes() for key in sorted(weights)]
    store.close()
    return state


if __name__ == "__main__":
    sys.exit(main())
