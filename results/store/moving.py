"""A store's rows moved into another database as they are: SQLite to PostgreSQL, back, or within one kind.

Every table is copied past the records, in the form in which the database keeps it, so that ids, numbers, times, JSON
and escaped texts are the same afterwards, bit for bit. All of it arrives in one transaction, after the rows that
arrived were read again and agree with those that left in number and checksum: a move that is interrupted, by kill -9
too, leaves the target empty, and is simply made again. Nobody can write to either store meanwhile.

Merging into a store that has rows is `results.store.merge`. Files of models are not moved: see `results.artifacts`.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from results.errors import StoreBusy, StoreError
from results.records import Progress
from results.schema.columns import Moment
from results.schema.database import Database
from results.schema.tables import EvaluationRow, RunRow, Table

BATCH_ROWS = 500
"""Rows in memory at once: of the widest, answers and segments of curves, some ten megabytes."""

_LOCK = "move"
_SUM_BITS = 256
Row = tuple[Any, ...]
Held = Callable[[list[str], sa.Connection], set[str]]


@dataclass
class Checksum:
    """How many rows a table has, and the sum of their SHA-256: the same in whatever order they are read."""

    rows: int = 0
    total: int = 0

    def add(self, row: Row) -> None:
        """Count one row."""
        bits = repr(tuple(hashlib.sha256(value).digest() if isinstance(value, bytes) else value for value in row))
        self.rows += 1
        self.total += int.from_bytes(hashlib.sha256(bits.encode("utf-8", "surrogatepass")).digest(), "big")

    @property
    def text(self) -> str:
        """64 hexadecimal digits."""
        return f"{self.total % (1 << _SUM_BITS):0{_SUM_BITS // 4}x}"


@dataclass(frozen=True)
class MoveReport:
    """What arrived, by table."""

    rows: dict[str, int] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    """The sum of the rows' SHA-256, which was the same on both sides."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    """What the target cannot hold as it was, a sentence each."""


def move(source: Database, target: Database, held: Held, tell: Progress) -> MoveReport:
    """Copy every row of `source` into `target`, whose schema is the same and which has no row.

    held: those of some runs and evaluations that a living process works on, asked over a connection to the source.
    Raises: StoreError where the target has rows, the source has none, or a row cannot be held by the target; StoreBusy
    where somebody works on the source or writes to either.
    """
    began = time.monotonic()
    _refuse_mistaken(source, target)
    with source.write(lock=_LOCK) as there, target.write(lock=_LOCK) as here:
        _keep_others_out(there, "SHARE")
        _keep_others_out(here, "SHARE ROW EXCLUSIVE")
        _refuse_work(there, source, held)
        counts = _counts(there)
        total = sum(counts.values())
        if sum(_counts(here).values()):
            raise StoreBusy(f"somebody wrote to {target.masked} meanwhile; move into a store that nobody uses")
        fit = _Fit(source, target)
        left = _copied(there, here, fit, lambda done: tell("moving rows", done, total))
        arrived = _read(here, target, lambda done: tell("comparing rows", done, total))
        apart = [name for name in left if left[name] != arrived[name]]
        if apart:
            raise StoreError(
                f"{', '.join(apart)}: what arrived in {target.masked} is not what was in {source.masked}, so nothing "
                "was moved; please report it with the output of: bakeoff store info"
            )
        _number_on(here)
    rows = {name: checksum.rows for name, checksum in left.items()}
    checksums = {name: checksum.text for name, checksum in left.items()}
    return MoveReport(rows, checksums, time.monotonic() - began, fit.notes)


class _Fit:
    """Rows as the target can hold them: all as they are, but for what is named in `notes`, or refused."""

    def __init__(self, source: Database, target: Database) -> None:
        self.source, self._target = source, target
        self._zeros: dict[str, int] = {}

    @property
    def notes(self) -> list[str]:
        return [
            f"{name}: {count} zeros with a minus sign are plain zeros now, since SQLite keeps no other"
            for name, count in self._zeros.items()
        ]

    def row(self, table: sa.Table, row: Row) -> Row:
        """The row for the target. Raises: StoreError naming the column of a value that it cannot hold."""
        if self._target.is_sqlite:
            return tuple(self._number(table, row, value) if type(value) is float else value for value in row)
        for column, value in zip(table.columns, row, strict=True):
            if type(value) is str and "\0" in value:
                raise StoreError(
                    f"{_place(table, row)} has a NUL in {column.name!r}, which PostgreSQL takes from nobody and no "
                    "Bakeoff wrote; a copy has it escaped: bakeoff store export COPY.db, then move COPY.db"
                )
        return row

    def _number(self, table: sa.Table, row: Row, value: float) -> float:
        if math.isnan(value):
            raise StoreError(
                f"{_place(table, row)} has a number that is none (NaN), which SQLite takes for nothing; no Bakeoff "
                "wrote it so: put NULL in its place, or the kind of number into the column beside it"
            )
        if value == 0 and math.copysign(1.0, value) < 0:
            self._zeros[table.name] = self._zeros.get(table.name, 0) + 1
            return 0.0
        return value


def _tables() -> list[sa.Table]:
    """All tables, those that others refer to first."""
    return list(Table.metadata.sorted_tables)


def _plain(table: sa.Table) -> sa.TableClause:
    """The table with columns as the database has them: nothing is escaped, parsed or checked on the way."""

    def kind(column: sa.Column[Any]) -> Any:
        own = column.type
        return own if isinstance(own, Moment) or not isinstance(own, TypeDecorator) else own.impl_instance

    return sa.table(table.name, *(sa.column(column.name, kind(column)) for column in table.columns))


def _batches(connection: sa.Connection, database: Database, table: sa.Table) -> Iterator[list[Row]]:
    """The rows of a table, in the order in which they lie there."""
    query = sa.select(*_plain(table).columns)
    try:
        found = connection.execute(query, execution_options={"yield_per": BATCH_ROWS})
        for part in found.partitions():
            yield [tuple(row) for row in part]
    except ValueError as error:  # a time that is none, which SQLite takes
        raise StoreError(f"{table.name} of {database.masked} cannot be read: {error}; put it right first") from error


def _copied(there: sa.Connection, here: sa.Connection, fit: _Fit, tell: Callable[[int], None]) -> dict[str, Checksum]:
    """Copy every table; what was put into each."""

    def put(table: sa.Table, rows: list[Row]) -> list[Row]:
        fitting = [fit.row(table, row) for row in rows]
        names = [column.name for column in table.columns]
        here.execute(sa.insert(_plain(table)), [dict(zip(names, row, strict=True)) for row in fitting])
        return fitting

    return _read(there, fit.source, tell, put)


def _read(
    connection: sa.Connection,
    database: Database,
    tell: Callable[[int], None],
    each: Callable[[sa.Table, list[Row]], list[Row]] = lambda _, rows: rows,
) -> dict[str, Checksum]:
    """The checksum of every table's rows, as `each` gave them back."""
    found, done = {}, 0
    for table in _tables():
        checksum = found[table.name] = Checksum()
        for batch in _batches(connection, database, table):
            for row in each(table, batch):
                checksum.add(row)
            done += len(batch)
            tell(done)
    return found


def _keep_others_out(connection: sa.Connection, mode: str) -> None:
    """Let nobody else write until the transaction ends. SQLite's write lock does that already."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {', '.join(Table.metadata.tables)} IN {mode} MODE")
        connection.exec_driver_sql("SET LOCAL extra_float_digits = 3")  # a server may be set to round what it tells


def _refuse_work(connection: sa.Connection, source: Database, held: Held) -> None:
    running = {
        str(id_): noun
        for noun, of in (("run", RunRow), ("evaluation", EvaluationRow))
        for id_ in connection.execute(sa.select(of.id).where(of.status == "running")).scalars()
    }
    alive = sorted(held(list(running), connection))
    if alive:
        more = f" (and {len(alive) - 1} more)" if len(alive) > 1 else ""
        raise StoreBusy(
            f"{running[alive[0]]} {alive[0]!r}{more} is being worked on in {source.masked}: wait for it or stop it "
            "(bakeoff status), then move"
        )


def _refuse_mistaken(source: Database, target: Database) -> None:
    """Refuse a target that has rows and a source that has none, so also a store that would be moved into itself."""
    with source.read() as connection:
        if not sum(_counts(connection).values()):
            raise StoreError(f"the store {source.masked} has no rows to move; is it the other way round?")
    with target.read() as connection:
        counts = {name: count for name, count in _counts(connection).items() if count}
    if counts:
        some = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
        raise StoreError(
            f"{target.masked} has {sum(counts.values()):,} rows ({some}), and a store is moved into an empty one: name "
            "another, or join the two with: bakeoff store merge"
        )


def _counts(connection: sa.Connection) -> dict[str, int]:
    return {
        table.name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
        for table in _tables()
    }


def _number_on(connection: sa.Connection) -> None:
    """Let the numbers that PostgreSQL gives go on behind those that came, and tell its planner what is there.

    SQLite goes on behind the greatest by itself.
    """
    if connection.dialect.name != "postgresql":
        return
    for table in _tables():
        for column in table.primary_key:
            place = sa.select(sa.func.pg_get_serial_sequence(table.name, column.name))
            sequence = connection.execute(place).scalar()
            if sequence is not None:
                greatest = connection.execute(sa.select(sa.func.max(column))).scalar()
                connection.execute(sa.select(sa.func.setval(sequence, greatest or 1, greatest is not None)))
        connection.exec_driver_sql(f"ANALYZE {table.name}")


def _place(table: sa.Table, row: Row) -> str:
    """A row, by its table and key."""
    keys = [repr(value)[:60] for column, value in zip(table.columns, row, strict=True) if column.primary_key]
    return f"{table.name} {', '.join(keys)}"
