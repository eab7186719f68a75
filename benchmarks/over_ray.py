"""A sweep over a Ray cluster whose nodes are lost at random: does it end as the same sweep on this machine?

Three nodes on this machine, a head that trains nothing and two of one core. Six variants (three miniature bases, two
ranks: packing, accumulation, dropout) train over it in a process of their own, while a node that trains is killed after
a random time and another one comes, again and again. Every point of every metric that measures no time, and every
adapter, is compared bit for bit with the sweep without Ray; rows are counted. What Ray costs is
`benchmarks/ray_overhead.py`.

    python -m benchmarks.over_ray --kills 10
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.kill import _state, training_experiment
from benchmarks.ray_nodes import ENVIRONMENT
from results import Workspace
from trainer import OverRay, miniature, train
from trainer.experiment.reading import experiment_of

BASES = ("llama", "qwen2", "qwen3")
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
"""Ray notices within two seconds that a node is lost, not within fifteen."""


def main() -> int:
    """Do what is asked; print a JSON line. Exit 1 if a value differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drive", nargs=3, metavar=("FILE", "FOLDER", "ADDRESS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.drive:
        return _drive(*arguments.drive)
    os.environ |= {**ENVIRONMENT, "RAY_AUTH_TOKEN": secrets.token_hex(16), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        file = written(Path(folder), arguments.steps, BASES)
        result = _lose_nodes(Path(folder), file, arguments.kills, random.Random(arguments.seed))
    print(json.dumps(result))
    return 1 if result.get("different") else 0


def written(folder: Path, steps: int, bases: tuple[str, ...]) -> Path:
    """The sweep as a file."""
    raw = training_experiment(folder)
    raw["bases"] = [str(miniature(name, folder / name)) for name in bases]
    raw["training"] |= {"max_steps": steps, "save_steps": 5, "eval_steps": 20}
    file = folder / "sweep.json"
    file.write_text(json.dumps(raw))
    return file


def _drive(file: str, folder: str, address: str) -> int:
    """Train the sweep; 0 if every run finished."""
    workspace = Workspace(folder)
    made = experiment_of(json.loads(Path(file).read_text()), "the sweep")
    over = None if address == "here" else OverRay(address)
    runs = train(made, workspace.store(), workspace, lambda *_: None, over=over)
    return 0 if all(run.status == "finished" for run in runs) else 1


def driving(file: Path, folder: Path, address: str) -> subprocess.Popen[bytes]:
    """Train the sweep in a process of its own: over the cluster at the address, or "here"."""
    command = [sys.executable, "-m", "benchmarks.over_ray", "--drive", str(file), str(folder), address]
    return subprocess.Popen(command)


def _lose_nodes(folder: Path, file: Path, kills: int, draws: random.Random) -> dict[str, Any]:
    from ray.cluster_utils import Cluster

    assert driving(file, folder / "here", "here").wait() == 0
    expected = _state(folder / "here")
    head = {**NODE, "num_cpus": 0, "include_dashboard": False, "_system_config": SOON}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    done, sweeps, different, retries, began = 0, 0, [], 0, time.monotonic()
    try:
        for _ in range(2):
            cluster.add_node(**NODE)
        while done < kills:
            place = folder / f"over-ray-{sweeps}"
            command = driving(file, place, cluster.address)
            while done < kills and _trains(place, command):
                time.sleep(draws.uniform(0, 3))
                if command.poll() is not None:
                    break
                cluster.remove_node(draws.choice(sorted(cluster.worker_nodes, key=id)), allow_graceful=False)
                cluster.add_node(**NODE)
                done += 1
                print(f"{done} nodes killed", file=sys.stderr, flush=True)
            assert command.wait() == 0, "the sweep over Ray did not finish"
            found = _state(place)
            different += [f"{place.name}: {key}" for key in {*expected, *found} if found.get(key) != expected.get(key)]
            sweeps, retries = sweeps + 1, retries + _retries(place)
    finally:
        cluster.shutdown()
    return {
        "kills": done,
        "runs_begun_again": retries,
        "sweeps_compared": sweeps,
        "values_each": sum(len(value) for value in expected.values()),
        "different": different,
        "seconds": round(time.monotonic() - began),
    }


def _trains(place: Path, command: subprocess.Popen[bytes]) -> bool:
    """Wait until a run has a checkpoint that it had not; False when the sweep is over."""
    there = set(place.glob("runs/*/step-*"))
    while command.poll() is None:
        if set(place.glob("runs/*/step-*")) - there:
            return True
        time.sleep(0.05)
    return False


def _retries(place: Path) -> int:
    with Workspace(place).store() as store:
        found = [store.reports.get(one.run.id, "retries") for one in store.runs.list()]
    return sum(len(report.payload["retries"]) for report in found if report)


if __name__ == "__main__":
    sys.exit(main())
