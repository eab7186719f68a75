"""Figures of other people's studies: shown as such, never mixed with measurements."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from results.records import PublishedResult, digest
from results.schema.database import Database
from results.schema.rows import columns, records, row_of
from results.schema.tables import PublishedRow


class PublishedResults:
    """`store.published`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, results: Iterable[PublishedResult]) -> None:
        """Store figures; (study, subject, metric, item) again takes the new one."""
        by_key = {digest([each.study, each.subject, each.metric, each.item]): each for each in results}
        rows = [row_of(each, PublishedRow, id=key, position=place) for place, (key, each) in enumerate(by_key.items())]
        with self._database.write(lock="published") as connection:
            self._database.upsert(connection, PublishedRow, rows)

    def list(self) -> list[PublishedResult]:
        """All figures, by study, in the order they were given."""
        query = columns(PublishedRow).order_by(sa.asc(PublishedRow.study), PublishedRow.position, PublishedRow.id)
        with self._database.read() as connection:
            return records(PublishedResult, connection, query)
