"""Writing points: Bakeoff's store against MLflow, both on local SQLite, interleaved; and what it costs a training.

Gate: what was written is read back exactly, on both sides, before any figure is printed.

    python benchmarks/ingestion.py --peers /path/to/peers/bin/python
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sqlite3
import statistics
import tempfile
import threading
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported: idle BLAS threads spin, and would be counted

import numpy as np
from peers import MLflow, describe_machine

from results import Point, Run, Store

ROUNDS = 5
METRICS = (
    "loss",
    "learning_rate",
    "gradient_norm",
    "tokens_per_second",
    "elapsed_seconds",
    "tokens_seen",
    "epoch",
    "rss",
)


def new_run(store: Store, name: str) -> str:
    """A run that is being trained."""
    store.runs.add(Run(name, name, "benchmark", "base", {}, 0))
    store.runs.start(name)
    return name


def one_by_one(store: Store, run: str, count: int) -> float:
    """Seconds for `count` points, one call each, until all are in the database."""
    start = time.perf_counter()
    with store.curves.writer(run) as writer:
        for step in range(count):
            writer.add((Point("loss", step, float(step)),))
    seconds = time.perf_counter() - start
    gate(store, run, count)
    return seconds


def in_batches(store: Store, run: str, count: int) -> float:
    """Seconds for `count` points, made beforehand, 1,000 a call, each call durable when it returns."""
    points = [Point("loss", step, float(step)) for step in range(count)]
    start = time.perf_counter()
    for first in range(0, count, 1000):
        store.curves.append(run, points[first : first + 1000])
    seconds = time.perf_counter() - start
    gate(store, run, count)
    return seconds


def gate(store: Store, run: str, count: int) -> None:
    """Stop unless every point is there, once, with its value."""
    steps, values = store.curves.read(run, "loss")
    assert np.array_equal(steps, np.arange(count)), "steps are missing or doubled"
    assert np.array_equal(values, steps.astype(float)), "values differ"


def slowdown(store: Store, steps: int = 150) -> list[float]:
    """Share by which logging 8 metrics each step slows a training that computes for some 20 ms a step, at the most.

    It is `add`'s share of the training thread's CPU time, and the share of one core that the writer's thread uses: that
    is lost to the training only if no core is free. Not the difference of two clocks: on a busy machine that is noise
    of many times what is looked for.
    """
    shares = []
    weights = np.random.default_rng(0).normal(size=(900, 900)).astype(np.float32)
    for number in range(ROUNDS):
        run = new_run(store, f"training{number}")
        with store.curves.writer(run) as writer:
            (thread,) = (thread for thread in threading.enumerate() if thread.name == f"curves of {run}")
            clock = time.pthread_getcpuclockid(thread.ident or 0)
            logging, whole, began = 0.0, time.thread_time(), time.perf_counter()
            for step in range(steps):
                weights @ weights
                start = time.thread_time()
                writer.add([Point(name, step, 1.0) for name in METRICS])
                logging += time.thread_time() - start
            assert writer.flush(), "not delivered"
            whole = time.thread_time() - whole
            elapsed = time.perf_counter() - began
            shares.append(logging / whole + time.clock_gettime(clock) / elapsed)
    return shares


def write_for_ever(url: str, start: int, acknowledged: Synchronized[int]) -> None:
    """Write, flush, say how far."""
    writer = Store(url).curves.writer("killed")
    for step in range(start, 10**9):
        writer.add([Point("loss", step, float(step)), Point("square", step, float(step) ** 2)])
        if step % 50 == 49 and writer.flush():
            acknowledged.value = step + 1


def killed(url: str, times: int) -> tuple[int, int]:
    """(acknowledged points, lost ones) over `times` kill -9 of one writer on one store; stops at any corruption."""
    with Store(url) as store:
        new_run(store, "killed")
    fork = multiprocessing.get_context("fork")
    acknowledged = fork.Value("q", 0)
    lost = 0
    for number in range(times):
        start = acknowledged.value
        process = fork.Process(target=write_for_ever, args=(url, start, acknowledged))
        process.start()
        while acknowledged.value < start + 50:
            time.sleep(0.0007 * (number % 20))
        process.kill()
        process.join()
        with Store(url) as store:
            steps, values = store.curves.read("killed", "loss")
            squares = store.curves.read("killed", "square")[1]
        lost += max(0, acknowledged.value - len(steps))
        assert np.array_equal(steps, np.arange(len(steps))), "a gap"
        assert np.array_equal(squares, values**2), "half a batch"
    check = sqlite3.connect(url.removeprefix("sqlite:///")).execute("PRAGMA integrity_check").fetchone()
    assert check == ("ok",), check
    return acknowledged.value, lost


def compare(store: Store, mlflow: MLflow) -> None:
    """Print both sides' rates, in ROUNDS of all four, and the ratios within each round."""
    rates: dict[str, list[float]] = {name: [] for name in ("log_metric", "log_batch", "one by one", "in batches")}
    for number in range(ROUNDS):
        for name, count in (("log_metric", 200), ("log_batch", 10_000)):
            answer = mlflow.ask(name, points=count)
            assert answer["stored"] == [count, count * (count - 1) / 2], "MLflow lost points"
            rates[name].append(count / answer["seconds"])
        rates["one by one"].append(200_000 / one_by_one(store, new_run(store, f"single{number}"), 200_000))
        rates["in batches"].append(200_000 / in_batches(store, new_run(store, f"batch{number}"), 200_000))
    for name, found in rates.items():
        print(f"{name:12} {statistics.median(found):12,.0f} points/s   ({min(found):,.0f} to {max(found):,.0f})")
    for ours, theirs in (("one by one", "log_metric"), ("in batches", "log_batch")):
        ratios = [our / their for our, their in zip(rates[ours], rates[theirs], strict=True)]
        print(f"{ours} / {theirs}: {statistics.median(ratios):,.0f}x ({min(ratios):,.0f} to {max(ratios):,.0f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="Python with benchmarks/requirements.txt; without it, MLflow is left out.")
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/bakeoff.db")
        if options.peers:
            with MLflow(options.peers, Path(folder)) as mlflow:
                print(mlflow.ask("versions"))
                compare(store, mlflow)
        added = slowdown(store)
        middle, least, most = (100 * of(added) for of in (statistics.median, min, max))
        print(f"training slowed by at most {middle:.2f} % ({least:.2f} to {most:.2f})")
        store.close()
        total, lost = killed(f"sqlite:///{folder}/killed.db", options.kills)
        print(f"kill -9, {options.kills} times: {total:,} acknowledged steps, {lost} lost, no gaps, integrity ok")


if __name__ == "__main__":
    main()
