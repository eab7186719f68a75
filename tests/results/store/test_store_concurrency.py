"""Many writers at once, on both databases: exact counts, one migration, no deadlock."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from results import Evaluation, Machine, Model, Outcome, Point, Run, Store
from results.migrations import HEAD

Work = Callable[[str, int], None]


def race(work: Work, url: str, processes: int) -> None:
    """Run `work(url, number)` in processes that begin at once. Fails if one fails."""
    fork = multiprocessing.get_context("fork")  # a fresh interpreter would spend a second on imports
    barrier = fork.Barrier(processes)

    def begin(number: int) -> None:
        barrier.wait(600)
        work(url, number)

    started = [fork.Process(target=begin, args=(number,)) for number in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join(900)
    assert [process.exitcode for process in started] == [0] * processes


def write_a_thousand_rows(url: str, number: int) -> None:
    with Store(url) as store:
        for start in range(number * 1000, number * 1000 + 1000, 50):
            rows = range(start, start + 50)
            store.curves.append("run-1", [Point("loss", row, float(row)) for row in rows])
            store.evaluations.add_outcomes("e", [Outcome(f"item/{row}", 0, "passed") for row in rows])


def open_for_the_first_time(url: str, number: int) -> None:
    with Store(url) as store:
        store.machines.add(Machine(f"m{number}", "cpu", (), 1, 1, "", "Linux"))


@pytest.mark.slow
def test_eight_processes_of_a_thousand_rows_leave_eight_thousand(store: Store, store_url: str, run: Run) -> None:
    store.models.add(Model("m", "m", "base", "b", "i", 1, "p"))
    store.evaluations.begin(Evaluation("e", "m", "humaneval", {}, "m"))
    race(write_a_thousand_rows, store_url, processes=8)
    steps, values = store.curves.read(run.id, "loss")
    assert steps.tolist() == list(range(8000))
    assert values.tolist() == steps.tolist()
    assert len({outcome.item for outcome in store.evaluations.outcomes("e")}) == 8000
    view = store.curves.overview([run.id], "loss", buckets=100)[run.id]
    assert (view.low[0], view.high[-1]) == (0.0, 7999.0)


@pytest.mark.slow
def test_eight_first_starts_at_once_migrate_once(blank_url: str) -> None:
    race(open_for_the_first_time, blank_url, processes=8)
    with Store(blank_url) as store:
        assert len(store.machines.list()) == 8
        assert store.info()["schema"] == HEAD


def test_read_modify_writes_of_many_threads_are_all_there(store: Store, run: Run) -> None:
    """Each start reads the run and writes it; each append reads the curve and rewrites its tail."""

    def work(part: int) -> None:
        for step in range(25):
            store.curves.append(run.id, [Point("loss", step, float(part)), Point(f"own{part}", step, 1.0)])
            store.machines.add(Machine(f"m{part}-{step}", "cpu", (), 1, 1, "", "Linux"))

    threads = [threading.Thread(target=work, args=(part,)) for part in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.curves.metrics(run.id) == ["loss", *(f"own{part}" for part in range(6))]
    assert [len(store.curves.read(run.id, metric)[0]) for metric in store.curves.metrics(run.id)] == [25] * 7
    assert len(store.machines.list()) == 150


def test_writers_in_opposite_key_order_do_not_deadlock(store: Store) -> None:
    metrics = [f"metric{number}" for number in range(10)]
    for name in ("a", "b"):
        store.runs.add(Run(name, name, "e", "b", {}, 0))
    failures: list[BaseException] = []

    def work(order: list[str], runs: list[str]) -> None:
        try:
            for step in range(20):
                for run in runs:
                    store.curves.append(run, [Point(metric, step, 1.0) for metric in order])
        except BaseException as failure:
            failures.append(failure)

    threads = [
        threading.Thread(target=work, args=arguments)
        for arguments in ((metrics, ["a", "b"]), (metrics[::-1], ["b", "a"]), (metrics[::-1], ["a", "b"]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(len(store.curves.read("a", metric)[0]) == 20 for metric in metrics)


def test_a_reader_sees_one_moment_while_a_writer_goes_on(tmp_path: Path) -> None:
    """Points move from open to sealed segments meanwhile; no view may miss some or show them twice."""
    with Store(f"sqlite:///{tmp_path / 'a.db'}") as store:
        store.runs.add(Run("r", "r", "e", "b", {}, 0))
        done = threading.Event()

        def write() -> None:
            for start in range(0, 6000, 50):
                store.curves.append("r", [Point("loss", step, 1.0) for step in range(start, start + 50)])
            done.set()

        thread = threading.Thread(target=write)
        thread.start()
        longest = 0
        while not done.is_set():
            view = store.curves.overview(["r"], "loss", buckets=10**6).get("r")
            if view is not None:
                assert view.steps.tolist() == list(range(len(view.steps)))
                assert view.last_step == len(view.steps) - 1
                assert len(view.steps) >= longest
                longest = len(view.steps)
        thread.join()
        assert len(store.curves.read("r", "loss")[0]) == 6000
