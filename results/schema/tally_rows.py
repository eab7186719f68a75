"""The tally of an evaluation out of its outcomes' rows: answers' texts stay where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator

import sqlalchemy as sa

from results.schema.columns import value_of
from results.schema.tables import OutcomeRow
from results.schema.tallies import Tally, Told, tally_of


def stored_tally(connection: sa.Connection, evaluation_id: str) -> Tally:
    """That of the outcomes that an evaluation has so far. Details are parsed only where they hold what is needed."""

    def told() -> Iterator[Told]:
        of, details = OutcomeRow, sa.type_coerce(OutcomeRow.details, sa.Text())
        query = sa.select(of.item, of.verdict, of.value, of.value_kind, details).where(
            of.evaluation_id == evaluation_id
        )
        ordered = query.order_by(of.position, of.item, of.sample)
        for item, verdict, value, kind, text in connection.execute(ordered):
            said = json.loads(text) if verdict is None or '"group":' in text else {}
            yield item, verdict, value_of(value, kind), said

    return tally_of(told())
