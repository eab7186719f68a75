"""The background writer: never stops a training, and what the store does not take is delivered later."""

from __future__ import annotations

import json
import math
import multiprocessing
import sqlite3
import threading
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import pytest
import sqlalchemy as sa

from results import CurveWriter, Point, Run, Store
from results.curves.spool import Spool


def values_of(store: Store, metric: str = "loss") -> list[float]:
    return store.curves.read("run-1", metric)[1].tolist()


def test_everything_added_is_stored_at_the_latest_on_close(store: Store, run: Run) -> None:
    with store.curves.writer(run.id) as writer:
        for step in range(2000):
            writer.add([Point("loss", step, float(step)), Point("learning_rate", step, 0.1)])
        assert writer.flush()
        assert len(values_of(store)) == 2000
        writer.add(Point("loss", step, math.nan) for step in (2000, 2001))
    assert len(values_of(store)) == 2002
    assert len(values_of(store, "learning_rate")) == 2000
    assert (writer.problems, writer.spooled) == ([], 0)
    writer.close()
    writer.add([Point("loss", 5000, 1.0)])
    assert "after the writer was closed" in writer.problems[0]
    assert len(values_of(store)) == 2002


def test_threads_may_share_a_writer(store: Store, run: Run) -> None:
    with store.curves.writer(run.id) as writer:
        threads = [
            threading.Thread(
                target=lambda part=part: [writer.add([Point("loss", 8 * step + part, 1.0)]) for step in range(200)]
            )
            for part in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(values_of(store)) == 1600


def test_a_point_that_no_store_can_hold_does_not_hold_up_the_others(store: Store, run: Run) -> None:
    def broken() -> object:
        yield Point("loss", 3, 3.0)
        raise RuntimeError("the caller's own")

    with store.curves.writer(run.id) as writer:
        writer.add([Point("loss", 1, 1.0), Point("loss", 2**70, 1.0), Point("x" * 2000, 1, 1.0)])
        writer.add([Point("loss", 2, "high"), None, Point("loss", 4, 4.0)])  # type: ignore[arg-type, list-item]
        writer.add(broken())  # type: ignore[arg-type]
    assert values_of(store) == [1.0, 4.0]
    complaints = "\n".join(writer.problems)
    assert complaints.count("no store can hold") == 4
    assert "the caller's own" in complaints


def test_points_of_an_unknown_run_are_kept_and_said(store: Store) -> None:
    with store.curves.writer("run-1") as writer:
        writer.add([Point("loss", 1, 1.0)])
    assert "run-1" in writer.problems[0]
    assert store.info()["spooled_files"] == 1
    assert "run-1" in store.deliver_spooled()[0]
    store.runs.add(Run("run-1", "r", "e", "b", {}, 0))
    assert store.deliver_spooled() == []
    assert values_of(store) == [1.0]


@pytest.mark.slow
def test_a_locked_sqlite_store_gets_its_points_when_it_is_free(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'a.db'}")
    store.runs.add(Run("run-1", "r", "e", "b", {}, 0))
    blocker = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    writer = store.curves.writer("run-1")
    for step in range(50):
        writer.add([Point("loss", step, 1.0)])
    assert writer.flush()
    writer.add([Point("loss", step, 2.0) for step in range(40, 60)])
    assert writer.flush()
    assert writer.spooled == 70
    assert "busy" in writer.problems[0]
    assert values_of(store) == []  # a reader is not held up
    blocker.execute("ROLLBACK")
    writer.close()
    assert values_of(store) == [1.0] * 40 + [2.0] * 20
    assert store.info()["spooled_files"] == 0
    store.close()


@pytest.mark.slow
def test_what_was_spooled_at_the_end_is_delivered_when_the_run_is_finished(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'a.db'}")
    store.runs.add(Run("run-1", "r", "e", "b", {}, 0))
    blocker = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with store.curves.writer("run-1") as writer:
        writer.add([Point("loss", 1, 1.0)])
    assert store.info()["spooled_files"] == 1
    blocker.execute("ROLLBACK")
    store.runs.finish("run-1", "finished")
    assert values_of(store) == [1.0]
    # and even points whose process died before it could, found after the run was finished
    Spool(tmp_path / "a.db.spool").keep("run-1", [Point("loss", 2, 2.0)])
    assert store.deliver_spooled() == []
    assert values_of(store) == [1.0, 2.0]
    store.close()


@pytest.mark.slow
def test_a_store_that_is_deleted_and_put_back_gets_its_points(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    store = Store(f"sqlite:///{file}")
    store.runs.add(Run("run-1", "r", "e", "b", {}, 0))
    store.close()
    file.rename(tmp_path / "away.db")
    writer = store.curves.writer("run-1")
    writer.add([Point("loss", 1, 1.0)])
    assert writer.flush()
    assert writer.spooled == 1
    assert "gone" in writer.problems[0]
    (tmp_path / "away.db").rename(file)
    writer.close()
    assert values_of(store) == [1.0]
    store.close()


@pytest.mark.slow
def test_a_postgresql_server_that_goes_away_mid_run_gets_its_points(
    postgres: str, migrated_postgres: str, tmp_path: Path
) -> None:
    """The database takes no connections and drops those it has, as in a restart."""
    name = sa.make_url(migrated_postgres).database
    admin = sa.create_engine(
        postgres.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    store = Store(migrated_postgres, spool=tmp_path)
    store.runs.add(Run("gone", "r", "e", "b", {}, 0))
    writer = store.curves.writer("gone")
    writer.add([Point("loss", 1, 1.0)])
    assert writer.flush()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        try:
            writer.add([Point("loss", 2, 2.0)])
            assert writer.flush()
            assert writer.spooled == 1
        finally:
            connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    writer.close()
    assert store.curves.read("gone", "loss")[1].tolist() == [1.0, 2.0]
    store.close()


def write_for_ever(url: str, start: int, acknowledged: Synchronized[int]) -> None:
    """Write batches of two metrics; after each hundred, flush and say so."""
    writer = Store(url).curves.writer("run-1")
    for step in range(start, 10**9):
        writer.add([Point("loss", step, float(step)), Point("square", step, float(step) ** 2)])
        if step % 100 == 99 and writer.flush():
            acknowledged.value = step + 1


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """20 times on one store: what was flushed is there, steps have no gaps, both metrics of a batch or none."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    fork = multiprocessing.get_context("fork")
    acknowledged = fork.Value("q", 0)
    with Store(url) as store:
        store.runs.add(Run("run-1", "r", "e", "b", {}, 0))
    for kill in range(20):
        start = acknowledged.value
        process = fork.Process(target=write_for_ever, args=(url, start, acknowledged))
        process.start()
        while acknowledged.value < start + 100 * (1 + kill % 5):
            assert process.is_alive()
            time.sleep(0.001 * kill)
        process.kill()
        process.join()
        with Store(url) as store:
            steps, values = store.curves.read("run-1", "loss")
            squares = store.curves.read("run-1", "square")
        assert len(steps) >= acknowledged.value
        assert steps.tolist() == values.tolist() == list(range(len(steps)))
        assert squares[1].tolist() == [value**2 for value in values.tolist()]
    assert sqlite3.connect(tmp_path / "a.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_torn_line_in_the_spool_is_left_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.keep("r", [Point("loss", 1, math.nan), Point("loss", 2, math.inf)])
    (file,) = spool.files("r")
    with file.open("a") as handle:
        handle.write(json.dumps({"run": "r", "points": [["loss", 3, 1.0]]})[:-9])
    delivered: list[Point] = []
    assert spool.files("other") == []
    assert spool.deliver(lambda run, points: delivered.extend(points)) == []
    assert repr(delivered) == repr([Point("loss", 1, math.nan), Point("loss", 2, math.inf)])
    assert spool.files() == []


def test_points_kept_while_the_spool_is_delivered_are_not_lost(tmp_path: Path) -> None:
    spool, delivered = Spool(tmp_path), []
    stop = threading.Event()

    def deliver() -> None:
        while not stop.is_set():
            spool.deliver(lambda run, points: delivered.extend(points))

    thread = threading.Thread(target=deliver)
    thread.start()
    for step in range(300):
        spool.keep("r", [Point("loss", step, 0.0)])
    stop.set()
    thread.join()
    spool.deliver(lambda run, points: delivered.extend(points))
    assert [point.step for point in delivered] == list(range(300))


def test_a_writer_is_reached_through_the_door(store: Store, run: Run) -> None:
    with store.curves.writer(run.id) as writer:
        assert isinstance(writer, CurveWriter)
