"""docs/reference/store.md from the mappings: every table with its columns, and what the records say of them.

Write it anew: make docs
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Boolean, Column, Integer, LargeBinary

from results import records
from results.migrations import HEAD as NEWEST
from results.schema import tables
from results.schema.columns import JsonText, Moment, Real, Strings, Whole, Words
from tests.docs.cells import cell, docstrings

HEAD = f"""# The store's tables

`results.db` in the workspace, or the database in `BAKEOFF_DATABASE_URL`; schema {NEWEST}. Read it with any SQLite or
PostgreSQL client. Write it through `results.Store` alone: what is durable when, and what may change, is its docstring's
to say. `bakeoff export FILE --table NAME` writes tables for other programs. Written from the code by `make docs`.

A value that is NaN or infinite stands in the column `…_kind` beside it, since SQLite would make it NULL. Times are UTC.
"""
TYPES = (
    (Strings, "list of texts"), (JsonText, "JSON"), (Moment, "time"), (Whole, "whole number"), (Words, "text"),
    (Boolean, "true or false"), (Real, "number"), (Integer, "whole number"), (LargeBinary, "bytes"),
)  # fmt: skip
RECORDS = {"PublishedRow": "PublishedResult", "ScoreLine": "Score", "DecisionRow": "DecisionRecord"}
"""Mappings whose record is not called like them."""


def page() -> str:
    """The whole document."""
    rows = [one for one in vars(tables).values() if isinstance(one, type) and issubclass(one, tables.Table)]
    return "\n".join([HEAD, *(line for row in rows if row is not tables.Table for line in _table(row))])


def _table(row: Any) -> Iterator[str]:
    record = getattr(records, RECORDS.get(row.__name__, row.__name__.removesuffix("Row")), None)
    own = inspect.cleandoc(row.__doc__ or "") if "__doc__" in vars(row) else ""
    yield f"## `{row.__tablename__}`\n"
    if said := own or (inspect.cleandoc(record.__doc__ or "").split("\n\n")[0] if record else ""):
        yield said + "\n"
    told = (docstrings(record) if dataclasses.is_dataclass(record) else {}) | docstrings(row)
    yield "| column | type | |\n|---|---|---|"
    for column in row.__table__.columns:
        yield f"| `{column.name}` | {_type(column)} | {cell(told.get(column.name, ''))} |"
    yield ""


def _type(column: Column[Any]) -> str:
    kind = next(said for type_, said in TYPES if isinstance(column.type, type_))  # a new type needs its word
    points = "".join(f", of `{one.column.table.name}`" for one in column.foreign_keys)
    return kind + (", key" if column.primary_key else "") + points + (", or nothing" if column.nullable else "")
