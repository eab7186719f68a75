"""A store moves between SQLite and PostgreSQL bit for bit, all of it or nothing."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results import Machine, Model, Point, Run, Store, StoreBusy, StoreError
from results.schema.columns import JsonText, Key, Moment, Real, Strings, Whole, Words
from results.schema.database import Database
from results.schema.tables import Table
from tests.results.conftest import postgres_database
from tests.results.store.test_merge import everything, fill

TEXTS = st.text(max_size=8) | st.sampled_from(["\0", "\x1a0", "\ud800", "'; DROP", "é" * 3000, "\\x00", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
VALUES: dict[type[Any], st.SearchStrategy[Any]] = {
    JsonText: JSON.filter(lambda value: value is not None),
    Strings: st.lists(TEXTS, max_size=3).map(tuple),
    Moment: st.datetimes(timezones=st.timezones()),
    Real: st.floats(allow_nan=False) | st.sampled_from([-0.0, 5e-324, 0.1 + 0.2, 1e308]),
    Whole: st.integers(-(2**63), 2**63 - 1),
    Words: TEXTS,
    sa.Boolean: st.booleans(),
    sa.LargeBinary: st.binary(max_size=40),
}
"""What a column of each type may hold, keys and numbers of rows apart."""


@st.composite
def rows_of_all_tables(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Up to three rows a table, of any values, whose references are to rows that there are."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table in Table.metadata.sorted_tables:
        rows = [row_of(draw, table, number, found) for number in range(draw(st.integers(0, 3)))]
        by_key = {tuple(row[column.name] for column in table.primary_key): row for row in rows if row is not None}
        found[table.name] = list(by_key.values())
    return found


def row_of(draw: st.DrawFn, table: sa.Table, number: int, there: dict[str, list[dict[str, Any]]]) -> Any:
    """A row; None where it would refer to a table without rows."""
    row: dict[str, Any] = {}
    for column in table.columns:
        for reference in column.foreign_keys:
            parents = there[reference.column.table.name]
            if not parents:
                return None
            row[column.name] = draw(st.sampled_from(parents))[reference.column.name]
        if column.name in row:
            continue
        if column.nullable and draw(st.booleans()):
            row[column.name] = None
        elif isinstance(column.type, Key):
            row[column.name] = f"{number}{draw(TEXTS)}"[:200]
        elif isinstance(column.type, sa.BigInteger):
            row[column.name] = number * 7 + 1
        else:
            row[column.name] = draw(next(VALUES[kind] for kind in type(column.type).__mro__ if kind in VALUES))
        if column.name in ("metric", "first_step"):  # unique together with the reference
            row[column.name] = f"{number}{row[column.name]}" if column.name == "metric" else number
    return row


@pytest.fixture(scope="module")
def servers(postgres: str) -> Iterator[tuple[str, str]]:
    """Two PostgreSQL databases with tables."""
    for one in postgres_database(postgres):
        for other in postgres_database(postgres):
            Store(one).close()
            Store(other).close()
            yield one, other


def emptied(url: str) -> str:
    database = Database(url)
    with database.write() as connection:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(Table.metadata.tables)} RESTART IDENTITY")
    database.close()
    return url


def put(url: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    database = Database(url)
    with database.write() as connection:
        for name, some in rows.items():
            if some:
                connection.execute(sa.insert(Table.metadata.tables[name]), some)
    database.close()


def records_of(url: str) -> list[str]:
    """Every row of every table as Bakeoff reads it."""
    database = Database(url)
    with database.read() as connection:
        found = [
            repr((table.name, *row))
            for table in Table.metadata.sorted_tables
            for row in connection.execute(sa.select(*table.columns))
        ]
    database.close()
    return sorted(found)


def stored(url: str) -> list[str]:
    """Every row as the database's own driver hands it out, past all that is ours."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            read: Callable[[str], Any] = lambda query: connection.execute(query).fetchall()  # noqa: E731
            return sorted(repr((name, row)) for name in Table.metadata.tables for row in read(f"SELECT * FROM {name}"))
    import psycopg

    with psycopg.connect(url, options="-c TimeZone=UTC -c extra_float_digits=3") as session:
        found = [
            (name, row) for name in Table.metadata.tables for row in session.execute(f"SELECT * FROM {name}").fetchall()
        ]
    return sorted(map(repr, found))


def moved(source: str, target: str, **options: Any) -> Any:
    with Store(source) as one, Store(target) as other:
        return one.move_into(other, **options)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["sqlite", "postgresql"])
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=rows_of_all_tables().filter(lambda rows: any(rows.values())))
def test_any_store_moves_to_the_other_database_and_back_bit_for_bit(
    first: str, servers: tuple[str, str], migrated_sqlite: Path, tmp_path: Path, rows: dict[str, list[dict[str, Any]]]
) -> None:
    files = [str(shutil.copy(migrated_sqlite, tmp_path / name)) for name in ("a.db", "b.db")]
    urls = [f"sqlite:///{file}" for file in files]
    path = [urls[0], emptied(servers[0]), urls[1]]
    if first == "postgresql":
        path = [emptied(servers[0]), urls[0], emptied(servers[1])]
    put(path[0], rows)
    there = moved(path[0], path[1])
    back = moved(path[1], path[2])
    assert stored(path[2]) == stored(path[0])
    assert records_of(path[1]) == records_of(path[0])
    assert there.rows == back.rows == {name: len(some) for name, some in rows.items()}
    assert there.checksums == back.checksums and there.notes == back.notes == []


@pytest.fixture
def full(migrated_sqlite: Path, tmp_path: Path) -> str:
    """URL of an SQLite store with some of everything."""
    shutil.copy(migrated_sqlite, tmp_path / "full.db")
    with Store(tmp_path / "full.db") as store:
        for name in ("cpu", "gpu"):
            fill(store, name)
    return f"sqlite:///{tmp_path / 'full.db'}"


@pytest.fixture(params=["to", pytest.param("from", marks=pytest.mark.slow)])
def ends(request: pytest.FixtureRequest, full: str, store_url: str, tmp_path: Path) -> tuple[str, str]:
    """A full store and an empty one: SQLite twice, or SQLite and PostgreSQL both ways."""
    if request.param == "to":
        return full, store_url
    moved(full, store_url)
    return store_url, f"sqlite:///{tmp_path / 'back.db'}"


def test_a_moved_store_is_the_same_and_takes_new_rows(ends: tuple[str, str]) -> None:
    told: list[tuple[str, int, int]] = []
    report = moved(*ends, progress=lambda *step: told.append(step))
    total = sum(report.rows.values())
    assert {name for name, count in report.rows.items() if not count} == {"earlier_names"}
    assert told[-1] == ("comparing rows", total, total) and ("moving rows", total, total) in told
    with Store(ends[0]) as one, Store(ends[1]) as other:
        assert everything(one) == everything(other)
        other.runs.add(Run("new", "new", "e", "b", {}, 0))
        other.curves.append("new", [Point("loss", step, 1.0) for step in range(3000)])
        assert len(other.curves.read("new", "loss")[0]) == 3000


@pytest.mark.parametrize("phase", ["moving rows", "comparing rows"])
def test_a_move_that_is_killed_leaves_nothing_and_is_made_again(ends: tuple[str, str], phase: str) -> None:
    def kill(what: str, done: int, total: int) -> None:
        if what == phase and done > total // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    child = multiprocessing.get_context("fork").Process(target=moved, args=ends, kwargs={"progress": kill})
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert records_of(ends[1]) == []
    moved(*ends)
    assert records_of(ends[1]) == records_of(ends[0])


def test_a_target_that_has_rows_is_refused_with_their_number_and_left_alone(full: str, store: Store) -> None:
    store.machines.add(Machine("m", "cpu", (), 1, 1, "", "Linux"))
    with Store(full) as source, pytest.raises(StoreError, match=r"has 1 rows \(1 machines\).*bakeoff store merge"):
        source.move_into(store)
    assert sum(store.info()["rows"].values()) == 1


def test_an_empty_source_is_refused_since_the_two_may_be_mistaken(full: str, store: Store) -> None:
    with Store(full) as target, pytest.raises(StoreError, match="no rows to move; is it the other way round"):
        store.move_into(target)
    with pytest.raises(StoreError, match="no rows to move"):
        store.move_into(store)
    with Store(full) as one, pytest.raises(StoreError, match=r"has \d+ rows"):
        one.move_into(one)


def test_a_store_that_somebody_works_on_stays_where_it_is(ends: tuple[str, str]) -> None:
    with Store(ends[0]) as worker:
        worker.runs.add(Run("live", "live", "e", "b", {}, 0))
        worker.runs.start("live", None, 10)
        with pytest.raises(StoreBusy, match=r"run 'live' is being worked on.*bakeoff status"):
            moved(*ends)
        assert records_of(ends[1]) == []
    moved(*ends)  # its worker is gone, and it is nobody's


def test_nobody_writes_to_either_store_meanwhile(ends: tuple[str, str]) -> None:
    refused: list[str] = []

    def write(what: str, done: int, total: int) -> None:
        for url in ends if not refused else ():
            database = Database(url)
            with pytest.raises(StoreBusy), database.write(lock="x", wait_seconds=0.1) as connection:
                connection.execute(sa.text("DELETE FROM votes"))
            refused.append(url)
            database.close()

    moved(*ends, progress=write)
    assert refused == list(ends)


def test_points_that_wait_are_delivered_before_the_move_or_refuse_it(full: str, store: Store, tmp_path: Path) -> None:
    with Store(full, spool=tmp_path / "waiting") as source:
        source.runs.add(Run("late", "late", "e", "b", {}, 0))
        source._spool.keep("late", [Point("loss", 1, 0.5)])
        source._spool.keep("nobody", [Point("loss", 1, 0.5)])
        with pytest.raises(StoreError, match=r"nobody.*bakeoff store upgrade"):
            source.move_into(store)
        assert sum(store.info()["rows"].values()) == 0
        source.runs.add(Run("nobody", "nobody", "e", "b", {}, 0))
        source.move_into(store)
        assert store.curves.read("late", "loss")[1].tolist() == [0.5]


def test_rows_that_arrive_otherwise_than_they_left_are_none(full: str, migrated_sqlite: Path, tmp_path: Path) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "odd.db")
    with sqlite3.connect(tmp_path / "odd.db") as connection:
        connection.execute("CREATE TRIGGER odd AFTER INSERT ON votes BEGIN UPDATE votes SET winner = 'b'; END")
    with pytest.raises(StoreError, match=r"votes: what arrived.*nothing was moved"):
        moved(full, f"sqlite:///{tmp_path / 'odd.db'}")
    assert records_of(f"sqlite:///{tmp_path / 'odd.db'}") == []


@pytest.mark.slow
def test_what_the_other_database_cannot_hold_is_said_or_refused_by_row(
    full: str, servers: tuple[str, str], tmp_path: Path
) -> None:
    """Rows that no Bakeoff writes: put there by hand, or by one of before."""
    with sqlite3.connect(full.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE votes SET prompt = 'a' || char(0) WHERE id = 'v-gpu'")
    with pytest.raises(StoreError, match=r"votes 'v-gpu' has a NUL in 'prompt'.*bakeoff store export"):
        moved(full, emptied(servers[0]))
    with sqlite3.connect(full.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE votes SET prompt = 'a'")
    moved(full, servers[0])
    database = Database(servers[0])
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE scores SET low = 'NaN' WHERE evaluation_id = 'e-gpu'")
    with pytest.raises(StoreError, match=r"scores 'e-gpu', 'pass@1' has a number that is none"):
        moved(servers[0], f"sqlite:///{tmp_path / 'back.db'}")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE scores SET low = '-0'")
    database.close()
    report = moved(servers[0], f"sqlite:///{tmp_path / 'back.db'}")
    assert report.notes == ["scores: 2 zeros with a minus sign are plain zeros now, since SQLite keeps no other"]


def test_a_zero_has_no_minus_sign_on_either_database(store: Store) -> None:
    store.models.add(Model("m", "m", "adapter", "b", "i", 1, "p"))
    store.runs.add(Run("r", "r", "e", "b", {}, 0), [Point("loss", 1, -0.0)])
    database = store._database
    with database.read() as connection:
        assert repr(connection.execute(sa.text("SELECT best_value FROM curves")).scalar()) == "0.0"
