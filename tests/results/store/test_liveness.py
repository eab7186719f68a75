"""What a process worked on when it died is shown as stopped by whoever looks, on either database, and by no clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from results import Evaluation, Model, Point, Run, Store
from results.errors import StoreBusy
from results.schema.database import Database
from results.store.liveness import GONE, liveness
from tests.results.conftest import postgres_database

WORKING = """
import sys, time
from pathlib import Path
from results import Evaluation, Store
store = Store(sys.argv[1], spool=Path(sys.argv[2]))
if "run" in sys.argv[3:]:
    store.runs.start("run-1", None, 100)
store.evaluations.begin(Evaluation("e-1", "demo-12345678", "humaneval", {}, ""))
print("at work", flush=True)
sys.stdin.read()
if "run" in sys.argv[3:]:
    store.runs.finish("run-1", "finished")
store.evaluations.finish("e-1", [])
print("done", flush=True)
sys.stdin.read()
"""


@contextmanager
def working(url: str, folder: Path, *also: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun an evaluation, also a `run`, and ends what it began in order when its stdin closes."""
    command = [sys.executable, "-c", WORKING, url, str(folder / "spool"), *also]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "at work\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def soon(true: Callable[[], bool]) -> bool:
    """Whether it becomes true within two minutes: a killed process, or the server of its session, takes its time."""
    until = time.monotonic() + 120
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def states(store: Store) -> list[str]:
    return [store.runs.get("run-1").status, store.evaluations.get("e-1").status]


@pytest.fixture
def planned(store: Store, model: Model) -> Store:
    """A store with a run and a model that nobody works on."""
    store.runs.add(Run("run-1", "rank8", "demo", "SmolLM2", {}, seed=7))
    return store


def test_a_killed_process_leaves_nothing_that_is_running(planned: Store, store_url: str, tmp_path: Path) -> None:
    with working(store_url, tmp_path, "run") as process:
        assert states(planned) == ["running", "running"]
        process.kill()
        assert soon(lambda: states(planned) == ["stopped", "failed"])
    run, evaluation = planned.runs.list()[0].run, planned.evaluations.list()[0]
    assert run.reason == evaluation.reason == GONE
    assert run == planned.runs.get("run-1") == planned.runs.find("rank8") and evaluation == planned.evaluations.get(
        "e-1"
    )
    planned.runs.start("run-1")
    begun = planned.evaluations.begin(Evaluation("e-1", "demo-12345678", "humaneval", {}, ""))
    assert states(planned) == ["running", "running"] and begun.status == "running"
    planned.close()
    assert states(planned) == ["stopped", "failed"]


def test_who_ends_in_order_is_never_shown_as_stopped(planned: Store, store_url: str, tmp_path: Path) -> None:
    with working(store_url, tmp_path, "run") as process:
        assert process.stdin and process.stdout
        process.stdin.close()
        seen = set()
        while (now := tuple(states(planned))) != ("finished", "finished"):
            seen.add(now)
        assert {state for pair in seen for state in pair} <= {"running", "finished"}  # read one after the other


def test_an_imported_run_is_what_its_file_said(planned: Store) -> None:
    planned.runs.add(Run("run-2", "theirs", "", "m", {}, seed=0, status="running", origin="imported"))
    assert planned.runs.get("run-2").status == "running"


@pytest.mark.slow
def test_several_may_work_on_one_evaluation_and_it_runs_until_the_last_is_gone(
    planned: Store, store_url: str, tmp_path: Path
) -> None:
    with working(store_url, tmp_path, "run") as first, working(store_url, tmp_path) as second:
        first.kill()
        first.wait()
        assert states(planned)[1] == "running"
        second.kill()
        assert soon(lambda: states(planned) == ["stopped", "failed"])


def test_a_run_belongs_to_the_process_that_trains_it_wherever_that_is(
    planned: Store, store_url: str, tmp_path: Path
) -> None:
    assert planned.runs.at_work_elsewhere(["run-1"]) == set()
    with working(store_url, tmp_path, "run") as process:
        assert planned.runs.at_work_elsewhere(["run-1", "another"]) == {"run-1"}
        process.kill()
        planned.runs.start("run-1")  # waits for the dying
    assert planned.runs.at_work_elsewhere(["run-1"]) == set(), "what it holds itself is not elsewhere"


@pytest.mark.slow
def test_two_processes_never_train_one_run(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'results.db'}"
    with Store(url) as mine, Store(url) as other:
        mine.runs.add(Run("run-1", "rank8", "demo", "SmolLM2", {}, seed=7))
        other.runs.start("run-1", "machine-of-the-other")
        with pytest.raises(StoreBusy, match="run 'run-1' is being trained by another process; wait for it or stop it"):
            mine.runs.start("run-1", "mine")
        assert mine.runs.get("run-1").machine_id == "machine-of-the-other"


def test_files_of_the_dead_do_not_pile_up(tmp_path: Path) -> None:
    from results.schema.database import Database

    locks, others = (liveness(Database(tmp_path / "results.db")) for _ in range(2))
    locks.hold("a")
    left = next((tmp_path / "results.db.alive").iterdir())
    (left.parent / (left.name.rsplit("-", 2)[0] + "-0-0")).touch()  # a dead one's
    others.hold("a")
    assert len(list(left.parent.iterdir())) == 2 and others.held(["a", "b"]) == {"a"}
    locks.release("a")
    assert others.held(["a"]) == {"a"}
    others.close()
    assert others.held(["a"]) == set() and list(left.parent.iterdir()) == []


@pytest.mark.slow
def test_a_server_that_forgot_its_sessions_is_told_again(postgres: str) -> None:
    from results.schema.database import Database

    locks, looking = liveness(Database(postgres)), liveness(Database(postgres))
    key = f"run of {os.getpid()}"
    locks.hold(key)
    assert looking.held([key, "another"]) == {key}
    pids = sa.text("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")

    def holders() -> set[int]:
        with Database(postgres).engine.begin() as connection:
            return set(connection.execute(pids).scalars())

    before = holders()
    with Database(postgres).engine.begin() as connection:
        for pid in before:
            connection.execute(sa.select(sa.func.pg_terminate_backend(pid)))
    assert soon(lambda: bool(holders() - before))
    assert looking.held([key]) == {key}
    locks.release(key)
    assert soon(lambda: looking.held([key]) == set())


@pytest.mark.slow
def test_a_trainer_takes_two_of_a_servers_connections_and_is_told_where_there_is_none_left(postgres: str) -> None:
    """One to read and write with, and one whose end says that the trainer has died."""
    for url in postgres_database(postgres):
        database = Database(url)
        with database.write() as connection:
            connection.exec_driver_sql("CREATE ROLE few LOGIN CONNECTION LIMIT 2")
            connection.exec_driver_sql("GRANT ALL ON SCHEMA public TO few")
        role = sa.make_url(url).set(username="few").render_as_string(hide_password=False)
        try:
            with Store(role) as store:
                store.runs.add(Run("run-1", "rank8", "demo", "SmolLM2", {}, seed=7))
                store.runs.start("run-1", None, 100)
                store.curves.append("run-1", [Point("loss", 1, 0.5)])
                assert store.runs.list()[0].run.status == "running"
                with pytest.raises(StoreBusy, match=r"no connection left.*max_connections"):
                    Store(role)
                store.runs.finish("run-1", "finished")
        finally:
            with database.write() as connection:
                connection.exec_driver_sql("DROP OWNED BY few CASCADE")
                connection.exec_driver_sql("DROP ROLE few")
            database.close()
