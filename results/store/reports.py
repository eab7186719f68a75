"""Reports: findings as JSON about a run, a model, an evaluation or an experiment."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from results.records import Report, now
from results.schema.database import Database
from results.schema.rows import columns, record_of, records, row_of
from results.schema.tables import ReportRow


class Reports:
    """`store.reports`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, report: Report) -> None:
        """Store a report; (subject, kind) again takes the new one."""
        stored = dataclasses.replace(report, created_at=report.created_at or now())
        with self._database.write(lock="reports") as connection:
            self._database.upsert(connection, ReportRow, [row_of(stored, ReportRow)])

    def get(self, subject: str, kind: str) -> Report | None:
        """The report of this kind about the subject; None without one."""
        query = columns(ReportRow).where(ReportRow.subject == subject, ReportRow.kind == kind)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else record_of(Report, row)

    def list(self, kind: str | None = None) -> list[Report]:
        """All reports, or those of one kind, oldest first."""
        query = columns(ReportRow).order_by(sa.asc(ReportRow.created_at), ReportRow.subject, ReportRow.kind)
        with self._database.read() as connection:
            return records(Report, connection, query if kind is None else query.where(ReportRow.kind == kind))
