"""The schema's versions, and how a store gets to the newest one.

Two processes that open a blank store at once migrate it once: the lock is taken before the version is read. All of a
migration happens, or nothing.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from results.errors import StoreError, StoreTooNew
from results.schema.database import Database

HEAD = "0003"
"""The newest revision in `versions/`: a store that has it is opened without loading Alembic."""

VERSION_TABLE = "bakeoff_schema"
"""Our own, so that another tool's Alembic table in the same database is neither read nor written."""


def schema_of(connection: sa.Connection) -> str | None:
    """The revision that the database has; None for one that is not a store."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return None if version is None else str(version)


def migrate(database: Database, target: str = HEAD) -> bool:
    """Bring the schema to `target`; False if it has it already. Raises: StoreTooNew, StoreBusy, StoreError."""
    with database.read() as connection:
        if schema_of(connection) == target:
            return False
    with database.write(lock="migrate") as connection:
        present = schema_of(connection)
        if present == target:
            return False
        _upgrade(connection, database, present, target)
        return True


def _upgrade(connection: sa.Connection, database: Database, present: str | None, target: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise StoreTooNew(
            f"the store {database.masked} has schema {present}, this Bakeoff knows {max(known)}: "
            "upgrade Bakeoff, or choose another workspace with --workspace"
        )
    if present is None:
        theirs = set(sa.inspect(connection).get_table_names())
        if theirs & {"runs", "models", "curves", "evaluations"}:
            raise StoreError(f"{database.masked} belongs to another program; import from it with: bakeoff import")
    config.attributes["connection"] = connection
    command.upgrade(config, target)
