"""Texts of many rows in one go: the database joins each column to one text, which is parted again here.

A row of Python's own for each row of the database costs thrice as much time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by

from results.schema.columns import ESCAPE, unescaped

JOINT = "\x1f"
"""What stands between texts that are joined."""
NONE = f"{ESCAPE}n"
"""What stands for a text that is not there: no escaped text holds it."""


def joined_texts(
    connection: sa.Connection, texts: Sequence[Any], where: sa.ColumnElement[bool], order: Any
) -> list[list[str | None]]:
    """The values of each of some columns of `Words` in the rows that pass, in an order; lists of one length."""
    raw = [sa.func.coalesce(sa.type_coerce(one, sa.Text()), NONE).label(f"text{n}") for n, one in enumerate(texts)]
    some = sa.select(*raw, sa.type_coerce(order, sa.BigInteger).label("place")).where(where).order_by(order).subquery()
    whole = [_joined(some.c[one.name], some.c.place, connection.dialect.name) for one in raw]
    *found, total = connection.execute(sa.select(*whole, sa.func.count()).select_from(some)).one()
    parts = [str(text).split(JOINT) if total else [] for text in found]
    if any(len(part) != total for part in parts):  # a text holds a JOINT: row by row
        rows = connection.execute(sa.select(*texts).where(where).order_by(order)).all()
        return [[row[n] for row in rows] for n in range(len(texts))]
    return [_read(part, str(text)) for part, text in zip(parts, found, strict=True)]


def _joined(column: sa.ColumnElement[str], place: sa.ColumnElement[int], dialect: str) -> sa.ColumnElement[str]:
    if dialect == "sqlite":  # which joins in the order of the subquery
        return sa.func.group_concat(column, JOINT)
    return sa.func.string_agg(column, aggregate_order_by(sa.literal(JOINT), place))


def _read(part: list[str], whole: str) -> list[str | None]:
    if ESCAPE not in whole:
        return list(part)
    return [None if text == NONE else unescaped(text) for text in part]
