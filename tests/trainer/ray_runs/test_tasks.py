"""What runs over Ray without a cluster: tasks, demands, addresses, and whose run it is."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from results import Run, Store, Workspace
from tests.trainer.small_runs import experiment, laid_ground
from trainer import OverRay
from trainer.errors import TrainerError
from trainer.experiment.variants import variants
from trainer.ray_runs.cluster import Cluster
from trainer.ray_runs.demands import Demand, Node, cores_beside_a_gpu, cores_for, missing
from trainer.ray_runs.dispatch import parts
from trainer.ray_runs.worker import wait_for_others
from trainer.runs import checkpoints
from trainer.runs.session import Agreed, Session
from trainer.runs.signals import Stop
from trainer.training import train_variants

SMALL = Node("a", "one", cores=2, gpus=0, memory_bytes=8e9)
LARGE = Node("b", "two", cores=16, gpus=4, memory_bytes=64e9)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return laid_ground(tmp_path_factory.mktemp("ground"))


def session(workspace: Workspace, store: Store, agreed: Agreed | None = None) -> Session:
    return Session(store, workspace, lambda *_: None, Stop(), agreed=agreed)


def test_a_task_is_what_trains_in_one_process_without_ray(ground: Path) -> None:
    mixed = [{"lora.rank": 2}, {"lora.rank": 8}, {"lora.dora": True}, {"training.quantization": "nf4"}]
    planned = variants(experiment(ground, sweep={"variants": mixed}))
    assert parts(planned, on_gpu=False) == [[planned[0], planned[1]], [planned[2]], [planned[3]]]
    assert parts(planned, on_gpu=True) == [[one] for one in planned]


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        (Demand(2, 0, 8_000_000_000), ""),
        (Demand(16, 1, 0), ""),
        (Demand(2, 8, 0), "a, b need 8 GPU and 2 cores on one node, and the cluster has"),
        (Demand(32, 0, 0), "1 node with 16 cores, 4 GPUs and 64.0 GB"),
        (Demand(1, 0, 70_000_000_000), "70.0 GB of memory"),
    ],
)
def test_what_no_node_has_is_said_with_what_they_have(demand: Demand, words: str) -> None:
    found = missing("a, b", demand, [SMALL, LARGE])
    assert words in found and bool(found) == bool(words)


def test_a_cluster_without_nodes_has_nothing() -> None:
    assert "no node left" in missing("a", Demand(1, 0, 0), [])


def test_cores_are_the_threads_of_a_run_without_ray_where_a_node_has_them() -> None:
    assert [cores_for([SMALL, LARGE], threads) for threads in (1, 8, 64)] == [1, 8, 16]
    assert cores_beside_a_gpu([SMALL, LARGE]) == 4


@pytest.mark.slow
def test_another_base_or_other_rows_than_agreed_are_refused(ground: Path, workspace: Workspace, store: Store) -> None:
    planned = variants(experiment(ground))
    store.runs.add(Run(planned[0].id, planned[0].name, "mini", planned[0].base, planned[0].config, 0))
    with pytest.raises(TrainerError, match=r"the base on .* is another than where the command was given"):
        train_variants(session(workspace, store, Agreed("0" * 64, "1" * 64)), planned)
    assert store.runs.get(planned[0].id).status == "planned"


def test_a_run_that_another_holds_is_waited_for(workspace: Workspace, store: Store) -> None:
    mine = session(workspace, store)
    store.runs.add(Run("r", "r", "mini", "base", {}, 0))
    with workspace.store() as other, checkpoints.lock(mine.run_folder("r")):
        other.runs.start("r")
        began = time.monotonic()
        wait_for_others(mine, ["r"], patience_seconds=0.3)
        assert time.monotonic() - began >= 0.3
        waiting = threading.Thread(target=wait_for_others, args=(mine, ["r"], 600.0))
        waiting.start()
        other.runs.finish("r", "stopped")
        assert waiting.is_alive()
    waiting.join()
    store.runs.start("r")


def test_an_address_elsewhere_asks_for_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(TrainerError, match=r"10\.0\.0\.5:6379 is not on this machine.*RAY_AUTH_MODE=token"):
        OverRay("10.0.0.5:6379")
    with pytest.raises(TrainerError, match="no address of a head node"):
        OverRay("ray://head:10001")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    OverRay("10.0.0.5:6379")


def test_an_address_where_nobody_listens_is_named_at_once() -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TrainerError, match=rf"entered at 127\.0\.0\.1:{port}: nobody listens there"):
        Cluster(f"127.0.0.1:{port}").enter()


@pytest.mark.slow
def test_without_ray_a_line_names_the_extra_and_nothing_else_misses_it(tmp_path: Path) -> None:
    program = "import sys; sys.modules['ray'] = None; from bakeoff.main import main; main()"
    root = Path(importlib.util.find_spec("trainer").origin).parents[1]  # type: ignore[union-attr, arg-type]
    words = ["run", str(root / "experiments" / "demo.yaml"), "--workspace", str(tmp_path), "--ray", "local"]
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=root, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines() == [
        "bakeoff: this needs ray, which is not installed: pip install 'bakeoff[ray]', then give the same command again"
    ]
