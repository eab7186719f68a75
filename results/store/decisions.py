"""Frozen decisions: what was chosen, by which limits, on which figures."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from results.errors import Immutable, NotFound
from results.records import DecisionRecord, now
from results.schema.database import Database
from results.schema.rows import columns, named, record_of, records, row_of
from results.schema.tables import DecisionRow


class Decisions:
    """`store.decisions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: DecisionRecord) -> DecisionRecord:
        """Freeze a decision; returns it as stored. The same again is fine. Raises Immutable if it says otherwise."""
        stored = dataclasses.replace(record, created_at=record.created_at or now())
        with self._database.write(lock="decisions") as connection:
            there = _find(connection, record.id)
            if there is None:
                connection.execute(sa.insert(DecisionRow).values(row_of(stored, DecisionRow)))
                there = _find(connection, record.id) or stored
            elif (there.model_id, there.limits) != (record.model_id, dict(record.limits)):
                raise Immutable(f"decision {record.id!r} is frozen; give another one another id")
            return there

    def get(self, decision_id: str) -> DecisionRecord:
        """The decision with this id. Raises NotFound."""
        with self._database.read() as connection:
            found = _find(connection, decision_id)
            if found is None:
                ids = connection.execute(sa.select(DecisionRow.id)).scalars()
                raise NotFound(f"no frozen decision {decision_id!r}: {named(ids)}")
            return found

    def list(self) -> list[DecisionRecord]:
        """All decisions, oldest first."""
        query = columns(DecisionRow).order_by(sa.asc(DecisionRow.created_at), DecisionRow.id)
        with self._database.read() as connection:
            return records(DecisionRecord, connection, query)


def _find(connection: sa.Connection, decision_id: str) -> DecisionRecord | None:
    row = connection.execute(columns(DecisionRow).where(DecisionRow.id == decision_id)).mappings().one_or_none()
    return None if row is None else record_of(DecisionRecord, row)
