"""What Ray costs: a sweep by one task on one node against the same sweep without Ray, and a hundred tasks without work.

`--turns`: miniature variants train without Ray and over one local node of one core, in turns, each in a process of its
own. Counted between the start and the end of the runs: clock seconds, and the processor seconds of the command and of
every process below it, Ray's servers among them. On a shared machine processor seconds lead.

`--tasks`: so many runs that are finished already go to the cluster as tasks of their own. A worker finds nothing left
to train, so what is timed is what we and Ray add to a run: submitting, opening store and workspace, the checks before
training, following, the result. They come in two calls: in the first, the workers import torch.

    python -m benchmarks.ray_overhead --turns 3 --steps 2500
    python -m benchmarks.ray_overhead --tasks 100
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.over_ray import BASES, ENVIRONMENT, NODE, driving, written
from results import Run, Workspace
from trainer.experiment.reading import experiment_of
from trainer.experiment.variants import Variant, variants
from trainer.ray_runs.cluster import Cluster
from trainer.ray_runs.demands import Demand
from trainer.ray_runs.dispatch import Training
from trainer.ray_runs.following import Following, Task
from trainer.ray_runs.worker import Ground, Order, fulfil
from trainer.runs.session import Agreed, Session
from trainer.runs.signals import Stop

LOOK_SECONDS = 0.1
"""Between two looks at processes: what one does after the last look before its end is not counted."""


def main() -> int:
    """Measure what is asked; print a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--tasks", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ |= {**ENVIRONMENT, "RAY_AUTH_TOKEN": secrets.token_hex(16), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.turns:
            print(json.dumps(_in_turns(Path(folder), arguments.turns, arguments.steps)))
        if arguments.tasks:
            print(json.dumps(_without_work(Path(folder), arguments.tasks)))
    return 0


@dataclass
class Cost:
    """What a command took between the start and the end of its runs."""

    clock_seconds: float
    cpu_seconds: float


def _in_turns(folder: Path, turns: int, steps: int) -> dict[str, Any]:
    file = written(folder, steps, BASES[:1])
    costs: dict[str, list[Cost]] = {"here": [], "local": []}
    for turn in range(turns):
        for way in ("here", "local") if turn % 2 == 0 else ("local", "here"):
            costs[way].append(_cost(file, folder / f"{way}-{turn}", way))
            one = costs[way][-1]
            print(f"{way}: {one.clock_seconds:.1f} s, {one.cpu_seconds:.1f} CPU s", file=sys.stderr, flush=True)
    cpu = {way: [round(one.cpu_seconds, 2) for one in found] for way, found in costs.items()}
    clock = {way: [round(one.clock_seconds, 2) for one in found] for way, found in costs.items()}
    ratios = {
        name: round(statistics.median(found["local"]) / statistics.median(found["here"]), 4)
        for name, found in (("cpu_ratio", cpu), ("clock_ratio", clock))
    }
    return {"cpu_seconds": cpu, "clock_seconds": clock, **ratios}


def _cost(file: Path, place: Path, way: str) -> Cost:
    command = driving(file, place, way)
    meter = Meter(command)
    while not (_moments(place)[0] or command.poll() is not None):
        time.sleep(LOOK_SECONDS)
    before = meter.seconds
    while not (_moments(place)[1] or command.poll() is not None):
        time.sleep(LOOK_SECONDS)
    after = meter.seconds
    assert command.wait() == 0, f"the sweep {way} did not finish"
    meter.end()
    starts, ends = _moments(place)
    return Cost((max(ends) - min(starts)).total_seconds(), after - before)


def _moments(place: Path) -> tuple[list[Any], list[Any]]:
    """When runs started, any of them; when they ended, once all have."""
    if not (place / "results.db").exists():
        return [], []
    with Workspace(place).store() as store:
        runs = [summary.run for summary in store.runs.list()]
    ends = [run.finished_at for run in runs if run.finished_at]
    return [run.started_at for run in runs if run.started_at], ends if len(ends) == len(runs) else []


@dataclass
class Meter:
    """The processor seconds of a command and of all processes below it, those that have ended too."""

    command: subprocess.Popen[bytes]
    _seen: dict[tuple[int, float], float] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    @property
    def seconds(self) -> float:
        """Up to now."""
        return sum(list(self._seen.values()))

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            with suppress(psutil.Error):
                first = psutil.Process(self.command.pid)
                for process in (first, *first.children(recursive=True)):
                    with suppress(psutil.Error):
                        times = process.cpu_times()
                        self._seen[(process.pid, process.create_time())] = times.user + times.system


def _without_work(folder: Path, count: int) -> dict[str, Any]:
    """Seconds a task, and processor seconds of this process a task, of two calls with so many tasks each."""
    from ray.cluster_utils import Cluster as Nodes

    raw = json.loads(written(folder, 10, BASES[:1]).read_text())
    raw["sweep"] = {"grid": {"training.learning_rate": [round(0.001 + 1e-6 * place, 6) for place in range(count)]}}
    planned = variants(experiment_of(raw, "the sweep"))
    nodes = Nodes(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    cluster = Cluster(nodes.address)
    found = {}
    try:
        cluster.enter()
        for call in ("first", "second"):
            began, own = time.monotonic(), time.process_time()
            _follow(folder / "workspace", cluster, planned)
            found[f"{call}_ms_a_task"] = round(1000 * (time.monotonic() - began) / count, 1)
            found[f"{call}_own_cpu_ms_a_task"] = round(1000 * (time.process_time() - own) / count, 1)
    finally:
        cluster.leave()
        nodes.shutdown()
    return {"tasks": count, **found}


def _follow(folder: Path, cluster: Cluster, planned: Sequence[Variant]) -> None:
    workspace = Workspace(folder)
    with workspace.store() as store:
        for one in planned:
            store.runs.add(Run(one.id, one.name, one.experiment.name, one.base, one.config, one.seed))
            if store.runs.get(one.id).status != "finished":
                store.runs.start(one.id, "", 10)
                store.runs.finish(one.id, "finished")
        mark = workspace.folder("cache") / "mark"
        mark.touch()
        agreed = Agreed("0" * 64, "1" * 64)
        ground = Ground(str(workspace.path), str(mark), store.url_masked, 1, False)
        orders = [Order((one,), ground, agreed, None) for one in planned]
        session = Session(store, workspace, lambda *_: None, Stop())
        tasks = [Task(order.names, partial(fulfil, order), Demand(1, 0, 0)) for order in orders]
        training = Training(session, {order.names: order for order in orders})
        Following(cluster, tasks, training, session.stop).to_the_end()


if __name__ == "__main__":
    sys.exit(main())
