"""Reading curves for one chart: Bakeoff's store against MLflow's, TensorBoard's data server and plain rows.

Every run has one planted spike of one step. Gate: each side holds the same points. Recall says whose
chart shows the spike.

    python benchmarks/curves.py --peers /path/to/peers/bin/python
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers import MLflow, describe_machine
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.data import provider
from tensorboard.data.server_ingester import SubprocessServerDataIngester, get_server_binary
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.grpc_util import ChannelCredsType

from results import Point, Run, Store

ROUNDS = 5


def losses(runs: int, steps: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(values (runs, steps), each run's spike step): a falling noisy loss, and one step of 50 + the run's number."""
    random = np.random.default_rng(0)
    values = 1.5 + 2.0 * np.exp(-np.arange(steps) / (steps / 5)) + random.normal(0, 0.1, (runs, steps))
    spikes = random.integers(1, steps - 1, runs)
    values[np.arange(runs), spikes] = 50.0 + np.arange(runs)
    return values, spikes


def recall(highest: NDArray[np.float64]) -> float:
    """Share of runs whose highest drawn value is their spike."""
    return float(np.mean(highest == 50.0 + np.arange(len(highest))))


def fill_store(store: Store, values: NDArray[np.float64]) -> list[str]:
    """Each run, written and finished; returns their ids."""
    names = [f"run{number}" for number in range(len(values))]
    for name, row in zip(names, values.tolist(), strict=True):
        store.runs.add(Run(name, name, "benchmark", "base", {}, 0))
        store.curves.append(name, [Point("loss", step, value) for step, value in enumerate(row)])
        store.runs.finish(name, "finished")
    return names


def fill_tensorboard(folder: Path, values: NDArray[np.float64]) -> None:
    """One event file a run, as its SummaryWriter leaves it."""
    for number, row in enumerate(values.tolist()):
        path = folder / f"run{number}" / "events.out.tfevents.0"
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            writer = RecordWriter(file)
            writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
            for step, value in enumerate(row):
                summary = Summary(value=[Summary.Value(tag="loss", simple_value=value)])
                writer.write(Event(wall_time=step, step=step, summary=summary).SerializeToString())


def tensorboard_view(folder: Path, runs: int, steps: int) -> tuple[float, float, NDArray[np.float64]]:
    """(seconds from its start until every run is loaded and read, those of another read, each run's highest value)."""
    server = SubprocessServerDataIngester(
        get_server_binary(), str(folder), reload_interval=5, channel_creds_type=ChannelCredsType.LOCAL
    )

    def read() -> dict[str, Any]:
        found = server.data_provider.read_scalars(
            None, experiment_id="", plugin_name="scalars", downsample=1000,
            run_tag_filter=provider.RunTagFilter(tags=["loss"]),
        )  # fmt: skip
        return {run: tags["loss"] for run, tags in found.items() if "loss" in tags}

    start = time.perf_counter()
    server.start()
    found = read()
    while len(found) < runs or any(points[-1].step < steps - 1 for points in found.values()):
        time.sleep(0.02)
        found = read()
    cold = time.perf_counter() - start
    start = time.perf_counter()
    found = read()
    warm = time.perf_counter() - start
    highest = [max(point.value for point in found[f"run{number}"]) for number in range(runs)]
    return cold, warm, np.array(highest)


def our_view(url: str, names: list[str]) -> tuple[float, NDArray[np.float64]]:
    """(seconds to open the store and get every curve at screen resolution, highest value of each run)."""
    start = time.perf_counter()
    with Store(url) as store:
        found = store.curves.overview(names, "loss")
    seconds = time.perf_counter() - start
    return seconds, np.array([float(view.high.max()) for view in found.values()])


def our_reading(url: str, names: list[str], values: NDArray[np.float64]) -> float:
    """Seconds to read every point of the runs; stops unless they are the ones written."""
    with Store(url) as store:
        start = time.perf_counter()
        found = [store.curves.read(name, "loss")[1] for name in names]
        seconds = time.perf_counter() - start
    assert np.array_equal(np.array(found), values[: len(names)]), "points differ"
    return seconds


def middle(name: str, seconds: list[float], remark: str = "") -> float:
    """Print and return the median."""
    median = statistics.median(seconds)
    print(f"{name:58} {median * 1000:9,.1f} ms  ({min(seconds) * 1000:,.1f} to {max(seconds) * 1000:,.1f}) {remark}")
    return median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="Python with benchmarks/requirements.txt")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument(
        "--shared", type=int, default=100, help="Runs that the peers get too: all would take them long."
    )
    parser.add_argument("--steps", type=int, default=10_000)
    options = parser.parse_args()
    print(describe_machine())
    values, _ = losses(options.runs, options.steps)
    shared, steps = values[: options.shared], options.steps
    with tempfile.TemporaryDirectory() as name, MLflow(options.peers, Path(name)) as mlflow:
        folder, url = Path(name), f"sqlite:///{name}/bakeoff.db"
        print(mlflow.ask("versions"))
        start = time.perf_counter()
        with Store(url) as store:
            names = fill_store(store, values)
        print(f"writing {values.size:,} points here: {time.perf_counter() - start:.1f} s")
        some = names[: options.shared]
        (folder / "values").write_bytes(shared.tobytes())
        mlflow.ask("fill", file=str(folder / "values"), runs=len(shared), steps=steps)
        fill_tensorboard(folder / "tensorboard", shared)
        seconds: dict[str, list[float]] = {
            key: [] for key in ("all", "ours", "mlflow", "cold", "warm", "rows", "points")
        }
        for _ in range(ROUNDS):
            ours, ours_highest = our_view(url, some)
            every, every_highest = our_view(url, names)
            theirs = mlflow.ask("view")
            cold, warm, tensorboard_highest = tensorboard_view(folder / "tensorboard", len(shared), steps)
            rows = mlflow.ask("rows", runs=len(shared))
            assert rows["points"] == shared.size, "MLflow lacks points"
            points = our_reading(url, some, values)
            for key, value in zip(
                seconds, (every, ours, theirs["seconds"], cold, warm, rows["seconds"], points), strict=True
            ):
                seconds[key].append(value)
        mlflow_highest = np.full(len(shared), -np.inf)
        for place, _, value in theirs["points"]:
            mlflow_highest[place] = max(mlflow_highest[place], value)
        client = mlflow.ask("read", runs=5)
    label = f"{len(shared)} curves of {steps:,} steps"
    ours = middle(f"Bakeoff, {label}, store opened", seconds["ours"], f"spikes {recall(ours_highest):.0%}")
    per = len(names) / len(shared)
    every = middle(f"Bakeoff, {len(names):,} curves", seconds["all"], f"spikes {recall(every_highest):.0%}")
    for key, name, highest in (
        ("mlflow", "MLflow's store, 320 points a curve", mlflow_highest),
        ("cold", "TensorBoard's data server, from its start", tensorboard_highest),
        ("warm", "TensorBoard's data server, loaded", tensorboard_highest),
        ("rows", "every point as SQLite rows", None),
        ("points", "every point by our read()", None),
    ):
        spikes = "" if highest is None else f"spikes {recall(highest):.0%}"
        found = middle(f"{name}, {label}", seconds[key], spikes)
        print(
            f"    {found / ours:,.1f}x ours of as many; {found * per / every:,.1f}x by curve against our {len(names):,}"
        )
    print(f"MLflow's client, every point: {client['points'] / client['seconds']:,.0f} points/s")


if __name__ == "__main__":
    main()
