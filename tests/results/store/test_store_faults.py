"""What happens to a database in use: no room for a connection, another file in its place, none free here."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from results import Point, Run, Store, StoreBusy, StoreError, StoreTooNew
from tests.results.shelves import add_model

BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


def crowd(server: str, held: list[psycopg.Connection]) -> None:
    """Hold every connection that the server takes, those too that it has yet to close for others."""
    while True:
        try:
            held.append(psycopg.connect(server, autocommit=True))
        except psycopg.OperationalError:
            row = held[0].execute(BACKENDS).fetchone()
            if row == (len(held),):
                return


def opened(url: str, spool: Path) -> Store:
    """The store, once the server has closed what was closed here."""
    while True:
        try:
            return Store(url, spool=spool)
        except StoreBusy:
            time.sleep(0.05)


@pytest.mark.slow
def test_a_server_without_room_for_a_connection_is_one_line_and_points_wait(
    postgres: str, migrated_postgres: str, tmp_path: Path
) -> None:
    held: list[psycopg.Connection] = []
    try:
        with opened(migrated_postgres, tmp_path / "spool") as store:
            run = Run("crowded-1", "crowded", "demo", "SmolLM2", {}, seed=0)
            store.runs.add(run)
            store.runs.start(run.id, None, 10)
            store.close()  # its own connections go to others
            crowd(postgres, held)
            with pytest.raises(
                StoreBusy, match=r"too many clients already\): raise the server's max_connections"
            ) as told:
                Store(migrated_postgres)
            assert "\n" not in str(told.value)
            with store.curves.writer(run.id) as writer:
                writer.add([Point("loss", step, 1.0) for step in range(10)])
            assert writer.spooled == 10 and "too many clients" in writer.problems[0]
            while held:
                held.pop().close()
        with opened(migrated_postgres, tmp_path / "spool") as store:
            while waiting := store.deliver_spooled():
                assert "too many clients" in waiting[0]
            assert store.curves.read(run.id, "loss")[0].tolist() == list(range(10))
    finally:
        for one in held:
            one.close()


def test_a_file_that_takes_the_store_s_place_is_read_as_what_it_is(migrated_sqlite: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "results.db", tmp_path / "other.db"
    for place in (path, other):
        shutil.copy(migrated_sqlite, place)
    with Store(other) as store:
        add_model(store, "in the other one")
    with Store(path) as store:
        assert store.models.list() == []
        os.replace(other, path)
        assert [model.name for model in store.models.list()] == ["in the other one"]

        other.write_bytes(b"this is no database" * 100)
        os.replace(other, path)
        for _ in range(2):
            with pytest.raises(
                StoreError, match=r"another file has taken the place of the store: .*not a database"
            ) as told:
                store.models.list()
            assert "\n" not in str(told.value)

        shutil.copy(migrated_sqlite, other)
        with sqlite3.connect(other) as newer:
            newer.execute("UPDATE bakeoff_schema SET version_num = '9999'")
        newer.close()
        os.replace(other, path)
        with pytest.raises(StoreTooNew, match=r"another file has taken the place of the store: .*schema 9999"):
            store.models.list()

        shutil.copy(migrated_sqlite, other)
        os.replace(other, path)
        assert store.models.list() == [], "and a sound one is used again"


def test_the_log_of_an_earlier_file_is_not_taken_for_another_s(migrated_sqlite: Path, tmp_path: Path) -> None:
    """SQLite would read the earlier one's pages out of it, and write both into one."""
    path, other = tmp_path / "results.db", tmp_path / "other.db"
    for place in (path, other):
        shutil.copy(migrated_sqlite, place)
    with Store(path) as store:
        add_model(store, "in the earlier one")
        os.replace(other, path)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"the earlier one's log lies beside it: .*remove .*\.db-wal"):
                store.models.list()
        for name in ("wal", "shm"):
            Path(f"{path}-{name}").unlink()
        assert store.models.list() == []


def test_no_connection_left_in_this_process_is_one_line(store: Store) -> None:
    message = "all connections of this process are in use; try again"
    with pytest.raises(StoreBusy, match=message), store._database.errors():
        raise PoolTimeout("QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00")
