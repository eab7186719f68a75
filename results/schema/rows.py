"""Frozen records become table rows and back: fields and columns share their names.

A float that may be no finite number lies in two columns, `value` and `value_kind`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa

from results.schema.columns import finite_of, kind_of, value_of

Record = TypeVar("Record")


def row_of(record: Any, table: type[Any], **more: Any) -> dict[str, Any]:
    """A row for `table`: the record's fields that are columns, and `more`."""
    columns = table.__table__.columns
    row = {field.name: getattr(record, field.name) for field in dataclasses.fields(record) if field.name in columns}
    if "value_kind" in columns:
        row["value_kind"], row["value"] = kind_of(row["value"]), finite_of(row["value"])
    return {**row, **more}


@cache
def _names(kind: type[Any]) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(kind))


def record_of(kind: type[Record], row: Mapping[str, Any] | sa.RowMapping, **more: Any) -> Record:
    """A record of `kind` from a row's columns that are its fields, and `more`."""
    names = _names(kind)  # type: ignore[arg-type]
    values = {str(name): value for name, value in row.items() if name in names}
    if "value_kind" in row:
        values["value"] = value_of(row["value"], row["value_kind"])
    return kind(**{**values, **more})


def records(kind: type[Record], connection: sa.Connection, query: sa.Select[Any]) -> list[Record]:
    """Each row that the query finds, as a record."""
    return [record_of(kind, row) for row in connection.execute(query).mappings()]


def columns(table: type[Any]) -> sa.Select[Any]:
    """SELECT all columns FROM the table, as plain rows."""
    return sa.select(*table.__table__.columns)


def named(names: Iterable[str]) -> str:
    """Which names there are, the first few, for a message."""
    there = sorted(set(names))
    shown = ", ".join(repr(name) for name in there[:5]) + (", …" if len(there) > 5 else "")
    return f"there are {shown}" if there else "there are none yet"
