"""Runs over a Ray cluster of three nodes on this machine: what they learn, and what is left when a part of it dies."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from bakeoff.experiment.pipeline import run_experiment
from benchmarks.ray_nodes import processes_with
from results import Run, Workspace
from tests.processes import end
from tests.trainer.small_runs import curves, experiment, laid_ground
from trainer import OverRay, miniature, train
from trainer.experiment.schema import Experiment

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

TOKEN = secrets.token_hex(16)
"""Of this process's cluster: the lock of its door, and the mark of its processes."""

NODE: dict[str, Any] = {"num_cpus": 1, "memory": 900_000_000, "object_store_memory": 80 * 2**20}
LOOK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
"""Ray notices within a second that a node is lost, not within fifteen."""

LONG = {"max_steps": 40, "save_steps": 5, "eval_steps": 20, "max_length": 96}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bases and rows."""
    folder = laid_ground(tmp_path_factory.mktemp("ground"))
    miniature("qwen2", folder / "other")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that trains nothing and two nodes of one core; no process of theirs is left afterwards."""
    own = {
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }
    os.environ |= own
    from ray.cluster_utils import Cluster

    started = Cluster(
        initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False, "_system_config": LOOK}
    )
    try:
        for _ in range(2):
            started.add_node(wait=False, **NODE)
        started.wait_for_nodes()
        yield started
    finally:
        started.shutdown()
        for name in own:
            os.environ.pop(name)
        _, alive = psutil.wait_procs(processes_with(TOKEN), timeout=120)
    assert not alive, [process.cmdline() for process in alive]


def sweep(ground: Path, **training: Any) -> Experiment:
    """Two bases, two ranks each, with what depends on draws and on the rows of a pass: packing and dropout."""
    return experiment(
        ground,
        bases=[str(ground / "base"), str(ground / "other")],
        sweep={"grid": {"lora.rank": [2, 8]}},
        training={**LONG, "packing": True, "gradient_accumulation": 2, "batch_size": 1, **training},
        lora={"dropout": 0.2},
    )


def trained(made: Experiment, folder: Path, address: str = "") -> list[Run]:
    """Train over the cluster, or without an address here."""
    store = Workspace(folder).store()
    try:
        over = OverRay(address, absent_seconds=2.0) if address else None
        return train(made, store, Workspace(folder), lambda *_: None, over=over)
    finally:
        store.close()


@pytest.fixture(scope="module")
def serial(ground: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the sweep leaves where it trains without Ray."""
    folder = tmp_path_factory.mktemp("serial")
    return left(trained(sweep(ground), folder), folder)


def left(runs: list[Run], folder: Path) -> dict[str, Any]:
    """Every point that measures no time, and the identity of every model, by run and by name."""
    store = Workspace(folder).store()
    models = {model.name: model.identity for model in store.models.list()}
    store.close()
    assert [(run.status, run.reason) for run in runs] == [("finished", "")] * len(runs)
    return {**{run.id: curves(folder, run.id) for run in runs}, "models": models}


def reports(folder: Path, kind: str) -> dict[str, Any]:
    """The payloads of the runs that have such a report, by run."""
    store = Workspace(folder).store()
    found = {one.run.id: store.reports.get(one.run.id, kind) for one in store.runs.list()}
    store.close()
    return {run: report.payload for run, report in found.items() if report}


def saved(folder: Path, count: int) -> bool:
    """Whether so many runs in the workspace have a checkpoint."""
    return len({path.parent for path in (folder / "runs").glob("*/step-*")}) >= count


def once(folder: Path, count: int, act: Any) -> threading.Thread:
    """Do something in a thread as soon as so many runs have a checkpoint."""

    def wait() -> None:
        while not saved(folder, count):
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_a_sweep_whose_node_is_lost_ends_as_one_on_this_machine(
    cluster: Any, ground: Path, serial: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = random.choice(list(cluster.worker_nodes))
    losing = once(tmp_path, 1, lambda: cluster.remove_node(lost, allow_graceful=False))
    runs = trained(sweep(ground), tmp_path, cluster.address)
    losing.join()
    assert capsys.readouterr().out == "", "Ray's log of a lost node is no result"
    assert left(runs, tmp_path) == serial
    again = reports(tmp_path, "retries")
    assert len(again) == 2, "the runs of one base lost their worker"
    assert all("went down" in one["why"] for told in again.values() for one in told["retries"])
    assert os.getpid() not in {place["process"] for place in reports(tmp_path, "place").values()}


def test_a_command_that_is_killed_goes_on_when_it_is_given_again(
    cluster: Any, ground: Path, serial: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "mini.yaml"
    raw = sweep(ground).model_dump(mode="json", exclude_defaults=True)
    file.write_text(yaml.safe_dump(raw))
    folder = tmp_path / "workspace"
    words = ["run", str(file), "--ray", cluster.address, "--workspace", str(folder)]
    command = subprocess.Popen([sys.executable, "-m", "bakeoff", *words], stderr=subprocess.DEVNULL)
    once(folder, 2, lambda: end(command.pid)).join()
    command.wait()
    assert {place["host"] for place in reports(folder, "place").values()}
    assert left(trained(sweep(ground), folder, cluster.address), folder) == serial


def test_a_head_that_dies_ends_the_command_and_its_tasks_and_another_cluster_goes_on(
    cluster: Any, ground: Path, serial: dict[str, Any], tmp_path: Path
) -> None:
    from ray.cluster_utils import Cluster

    made, folder = sweep(ground), tmp_path / "workspace"
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump(made.model_dump(mode="json", exclude_defaults=True)))
    doomed = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
    try:
        doomed.add_node(**NODE)
        words = ["run", str(tmp_path / "mini.yaml"), "--ray", doomed.address, "--workspace", str(folder)]
        command = subprocess.Popen([sys.executable, "-m", "bakeoff", *words], stderr=subprocess.PIPE, text=True)
        once(folder, 1, lambda: lose(doomed.head_node)).join()
        _, said = command.communicate(timeout=120)
        lines = [line for line in said.splitlines() if line.startswith("bakeoff: ")]
        assert command.returncode == 2 and "Traceback" not in said, said
        assert len(lines) == 1 and "the head of the Ray cluster" in lines[0] and doomed.address in lines[0]
        wait_until(lambda: not at_work(folder))  # before the nodes have noticed, which takes them a minute
    finally:
        doomed.shutdown()
    assert left(trained(made, folder, cluster.address), folder) == serial


def at_work(folder: Path) -> set[str]:
    """The runs in the workspace that a process trains."""
    store = Workspace(folder).store()
    found = store.runs.at_work_elsewhere([one.run.id for one in store.runs.list()])
    store.close()
    return found


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for what must come soon."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.1)


def lose(node: Any) -> None:
    """Kill every process of a node at once, as a machine that loses its power does."""
    for processes in node.all_processes.values():
        for one in processes:
            end(one.process.pid)


def test_what_no_node_has_is_named_and_not_waited_for(cluster: Any, ground: Path, tmp_path: Path) -> None:
    made = experiment(ground, sweep={"grid": {"training.learning_rate": [0.01, 0.02, 0.03]}}, lora={"rank": 1024})
    runs = trained(made, tmp_path, cluster.address)
    assert [run.status for run in runs] == ["stopped"] * 3
    for run in runs:
        assert run.name in run.reason and "\n" not in run.reason
        assert "need 1 core and 1.0 GB of memory on one node" in run.reason
        assert "with 1 cores, 0 GPUs and 0.9 GB" in run.reason


def test_a_sweep_that_is_cut_is_cut_alike_over_a_cluster(cluster: Any, ground: Path, tmp_path: Path) -> None:
    halved = {"grid": {"lora.rank": [2, 4, 8]}, "halving": {"first_steps": 4, "factor": 3}}
    made = experiment(ground, sweep=halved, training={"max_steps": 12, "eval_steps": 4, "max_length": 96})
    found = []
    for name, address in (("here", ""), ("over", cluster.address)):
        runs = trained(made, tmp_path / name, address)
        found.append([(run.id, run.status, run.reason, curves(tmp_path / name, run.id)) for run in runs])
    assert found[0] == found[1]
    assert sorted(status for _, status, _, _ in found[0]) == ["finished", "stopped", "stopped"]


def test_what_nodes_measure_is_what_is_measured_here(cluster: Any, ground: Path, tmp_path: Path) -> None:
    while len(cluster.worker_nodes) < 2:  # another test lost one; of a single node this process is no slower
        cluster.add_node(wait=False, **NODE)
    cluster.wait_for_nodes()
    rows = "".join(f"Count to {n} please.,{n}\n" for n in range(12))
    (tmp_path / "counts.csv").write_text(f"question,answer\n{rows}")
    made = sweep(ground, max_steps=4, save_steps=4, eval_steps=4)
    tests = ({"file": str(tmp_path / "counts.csv"), "check": "contains", "max_tokens": 4},)
    made = made.model_copy(update={"evaluate": made.evaluate.model_copy(update={"tests": tests})})
    here, told_here = measured(made, tmp_path / "here", "")
    over, told = measured(made, tmp_path / "over", cluster.address)
    assert over == here and len(here) == 2 * 6
    told_of = {"held-out rows", "answers to counts"}
    assert told_here & told_of == told_of, "without a cluster this process measures"
    assert not told & told_of, "what nodes have measured is not measured here"


def measured(made: Experiment, folder: Path, address: str) -> tuple[dict[tuple[str, str], Any], set[str]]:
    """Every answer and score by test and model, and what this process told of its progress."""
    told: set[str] = set()
    with Workspace(folder).store() as store:
        outcome = run_experiment(
            made,
            store,
            Workspace(folder),
            lambda words, *_: told.add(words),
            lambda _: None,
            over=OverRay(address) if address else None,
        )
        assert outcome.complete, outcome.failures
        names = {model.id: model.name for model in outcome.models}
        found = {
            (one.benchmark, names[one.model_id]): (
                [(each.item, each.verdict, each.value, each.details) for each in store.evaluations.outcomes(one.id)],
                repr(one.scores),
            )
            for one in outcome.evaluations
        }
    return found, told
