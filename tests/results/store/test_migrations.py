"""Migrations: from blank and from every released schema with rows in it, on both databases."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import results.migrations
from results import Store, StoreError, StoreTooNew
from results.migrations import HEAD, VERSION_TABLE, migrate, schema_of
from results.schema.database import Database
from results.schema.tables import Table

ROWS = json.loads(Path(__file__).with_name("schema_rows.json").read_text())
"""Revision → table → rows, as a Bakeoff with that schema wrote them. Blobs are hex."""


def revisions() -> list[str]:
    config = Config()
    config.set_main_option("script_location", str(Path(results.migrations.__file__).parent))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def test_the_newest_revision_is_the_one_that_is_opened_without_alembic() -> None:
    assert revisions()[-1] == HEAD
    assert set(ROWS) == set(revisions())


def test_a_blank_database_gets_the_tables_that_the_code_has(blank_url: str) -> None:
    database = Database(blank_url)
    assert migrate(database)
    assert not migrate(database)
    with database.read() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Table.metadata) == []
        assert schema_of(connection) == HEAD
    database.close()


@pytest.mark.parametrize("revision", revisions())
def test_rows_of_every_released_schema_are_read_after_the_upgrade(blank_url: str, revision: str) -> None:
    database = Database(blank_url)
    migrate(database, target=revision)
    with database.write() as connection:
        for table, rows in ROWS[revision].items():
            columns = {column["name"]: column["type"] for column in sa.inspect(connection).get_columns(table)}
            target = sa.table(table, *(sa.column(name, kind) for name, kind in columns.items()))
            for row in rows:
                assert set(row) == set(columns), "the rows must fill every column of their schema"
                connection.execute(sa.insert(target), {name: value_of(columns[name], row[name]) for name in row})
    database.close()
    with Store(blank_url) as store:
        assert store.info()["schema"] == HEAD
        (summary,) = store.runs.list()
        assert (summary.run.id, summary.run.status, summary.run.tags) == ("r1", "finished", ("first",))
        assert (summary.steps, summary.last_loss, summary.best_validation_loss) == (30, 0.5, None)
        steps, values = store.curves.read("r1", "loss")
        assert (steps.tolist(), values.tolist()) == ([10, 20, 30], [2.0, 1.0, 0.5])
        assert store.curves.overview(["r1"], "loss")["r1"].high.tolist() == [2.0, 1.0, 0.5]
        assert [model.name for model in store.models.list()] == ["demo"]
        (row,) = store.evaluations.scores()
        assert (row.model, row.metric, row.value, row.low, row.n) == ("demo", "pass@1", 0.25, 0.1, 4)
        (outcome,) = store.evaluations.outcomes("e1")
        assert np.isnan(outcome.value or 0.0)
        assert outcome.details == {"answer": "return 1"}
        assert store.evaluations.verdicts("e1") == [("HumanEval/0", "passed")]
        with Database(blank_url).read() as connection:
            assert connection.execute(sa.text("SELECT codes FROM tallies")).scalars().all() == [b"\x00"]
        kept = (store.machines.list(), store.votes.list(), store.published.list(), store.reports.list())
        assert [len(records) for records in (*kept, store.decisions.list())] == [1] * 5
        store.runs.add(dataclasses.replace(summary.run, id="r2"))


def value_of(kind: sa.types.TypeEngine[object], value: object) -> object:
    """A JSON value as the column's type takes it: blobs from hex, times from ISO text."""
    if isinstance(kind, sa.DateTime) and isinstance(value, str):
        return datetime.fromisoformat(value)
    if value is None:
        return None
    if isinstance(kind, sa.LargeBinary | sa.BLOB) or str(kind) == "BYTEA":
        return bytes.fromhex(str(value))
    return value


def test_a_newer_schema_is_refused_with_the_remedy_and_left_alone(blank_url: str) -> None:
    Store(blank_url).close()
    database = Database(blank_url)
    with database.write() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match=r"9999.*upgrade Bakeoff.*--workspace"):
        Store(blank_url)
    with database.read() as connection:
        assert schema_of(connection) == "9999"
    database.close()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """The database of another program, whose table stands in the way."""
    other = sqlite3.connect(tmp_path / "mlflow.db")
    other.execute("CREATE TABLE runs (run_uuid TEXT)")
    with pytest.raises(StoreError, match=r"another program.*bakeoff import"):
        Store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    other.execute("ALTER TABLE runs RENAME TO votes")
    with pytest.raises(StoreError):
        Store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert other.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("votes",)]


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("my notes\n" * 1000)
    with pytest.raises(StoreError, match=r"notes\.db"):
        Store(f"sqlite:///{file}")
    assert file.read_text() == "my notes\n" * 1000


def test_a_store_in_a_folder_that_cannot_be_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as refused:
        Store(f"sqlite:///{tmp_path / 'file' / 'results.db'}")
    assert "\n" not in str(refused.value)
