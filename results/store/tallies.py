"""Outcomes without their texts, kept when an evaluation ends: read by the hundred for a decision."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import sqlalchemy as sa

from results.errors import StoreError
from results.schema.database import Database
from results.schema.rows import columns
from results.schema.tables import ItemListRow, TallyRow
from results.schema.tallies import ItemList, Tally, group_count, tally_from
from results.schema.tally_rows import stored_tally

AT_ONCE = 500
"""Evaluations that one query asks for."""


def keep(database: Database, connection: sa.Connection, evaluation_id: str) -> None:
    """Store the tally of an evaluation that ends, in the transaction that ends it."""
    with contextlib.suppress(StoreError):  # a verdict that is not known: said to whoever compares it
        tally = stored_tally(connection, evaluation_id)
        if tally.items:
            listed = {"id": tally.listed.id, "items": tally.items, "groups": tally.groups}
            database.upsert(connection, ItemListRow, [listed])
            database.upsert(connection, TallyRow, [{"evaluation_id": evaluation_id, **tally.row()}])


def forget(connection: sa.Connection, evaluation_id: str) -> None:
    """Remove the tally of an evaluation that is measured anew."""
    connection.execute(sa.delete(TallyRow).where(TallyRow.evaluation_id == evaluation_id))


def read(connection: sa.Connection, evaluation_ids: Sequence[str]) -> dict[str, Tally]:
    """The tallies of evaluations by their ids; of those that have not ended, from their outcomes so far."""
    rows: list[sa.RowMapping] = []
    for first in range(0, len(evaluation_ids), AT_ONCE):
        some = evaluation_ids[first : first + AT_ONCE]
        rows += connection.execute(columns(TallyRow).where(TallyRow.evaluation_id.in_(some))).mappings()
    ids = sorted({row["items_id"] for row in rows})
    lists: dict[str, ItemList] = {}
    for first in range(0, len(ids), AT_ONCE):
        query = columns(ItemListRow).where(ItemListRow.id.in_(ids[first : first + AT_ONCE]))
        for one in connection.execute(query).mappings():
            lists[one["id"]] = ItemList(one["id"], one["items"], one["groups"])
    found = {row["evaluation_id"]: tally_from(lists[row["items_id"]], dict(row)) for row in rows}
    for evaluation_id in evaluation_ids:
        if evaluation_id not in found:
            found[evaluation_id] = stored_tally(connection, evaluation_id)
    return found


def groups(connection: sa.Connection) -> dict[str, str]:
    """Evaluation id → "in 40 groups", of ended ones whose items are related."""
    lists = columns(ItemListRow).where(sa.type_coerce(ItemListRow.groups, sa.Text()) != "{}")
    labels = {}
    for one in connection.execute(lists).mappings():
        if count := group_count(one["items"], one["groups"]):
            labels[one["id"]] = f"in {count:,} groups"
    if not labels:
        return {}
    mine = sa.select(TallyRow.evaluation_id, TallyRow.items_id).where(TallyRow.items_id.in_(labels))
    return {evaluation_id: labels[items_id] for evaluation_id, items_id in connection.execute(mine)}
