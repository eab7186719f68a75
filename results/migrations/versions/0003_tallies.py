"""Ended evaluations keep their verdicts and numbers in one row beside their outcomes, so that decisions need no texts.

Those that ended before get theirs here; an outcome with a verdict of no known kind leaves its evaluation without.

Revision ID: 0003
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from results.errors import StoreError
from results.schema.columns import JsonText, Strings, Words
from results.schema.tally_rows import stored_tally

revision = "0003"
down_revision = "0002"

text = sa.Text()


def upgrade() -> None:
    op.create_table(
        "item_lists",
        sa.Column("id", text, nullable=False),
        sa.Column("items", text, nullable=False),
        sa.Column("groups", text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_item_lists"),
    )
    op.create_table(
        "tallies",
        sa.Column("evaluation_id", text, nullable=False),
        sa.Column("items_id", text, nullable=False),
        sa.Column("codes", sa.LargeBinary(), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=True),
        sa.Column("sizes", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("evaluation_id", name="pk_tallies"),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluations.id"], name="fk_tallies_evaluation_id"),
        sa.ForeignKeyConstraint(["items_id"], ["item_lists.id"], name="fk_tallies_items_id"),
    )
    evaluations = sa.table("evaluations", sa.column("id", Words), sa.column("status", text))
    lists = sa.table("item_lists", sa.column("id", text), sa.column("items", Strings), sa.column("groups", JsonText))
    kinds: dict[str, Any] = {"evaluation_id": Words, "items_id": text, "codes": sa.LargeBinary,
             "numbers": sa.LargeBinary, "sizes": sa.LargeBinary}  # fmt: skip
    tallies = sa.table("tallies", *(sa.column(name, kind) for name, kind in kinds.items()))
    connection, known = op.get_bind(), set[str]()
    query = sa.select(evaluations.c.id).where(evaluations.c.status == "finished")
    for evaluation_id in connection.execute(query).scalars().all():
        try:
            tally = stored_tally(connection, evaluation_id)
        except StoreError:
            continue
        if not tally.items:
            continue
        if tally.listed.id not in known:
            known.add(tally.listed.id)
            listed = {"id": tally.listed.id, "items": tally.items, "groups": tally.groups}
            connection.execute(sa.insert(lists).values(listed))
        connection.execute(sa.insert(tallies).values(evaluation_id=evaluation_id, **tally.row()))
