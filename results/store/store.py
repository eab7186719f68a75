"""The store: everything Bakeoff remembers, in one database.

Who may write: any number of processes and threads at once; each write is one transaction that takes the write lock
before it reads. What is durable when: everything a method stored, when it returns (a power cut may cost SQLite the last
moments, a killed process never). What it raises: `StoreError` and its kinds, `NotFound`, `Immutable`, none of others.
Every write can be repeated and changes nothing the second time. A finished run or evaluation is never modified.

Try: python -c "from results import Store; print(Store('sqlite:///results.db').info())"
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa

from results.curves.curves import Curves
from results.curves.spool import Spool
from results.errors import StoreError
from results.migrations import migrate, schema_of
from results.records import Progress
from results.schema.database import Database
from results.schema.tables import Table
from results.store.decisions import Decisions
from results.store.evaluations import Evaluations
from results.store.liveness import liveness
from results.store.machines import Machines
from results.store.models import Models
from results.store.moving import MoveReport, move
from results.store.published_results import PublishedResults
from results.store.reports import Reports
from results.store.runs import Runs
from results.store.votes import Votes


class Store:
    """`Store(url)` or `Store(file)`: one collection for each noun. A context manager; `close` when done with it."""

    def __init__(self, url: str | Path, spool: Path | None = None) -> None:
        """Open the database and bring its schema up to date; a new SQLite file is made where there is none.

        spool: folder for points that cannot be delivered; default: beside the SQLite file, else `workspace/spool`.
        Raises: StoreTooNew, StoreBusy, StoreError.
        """
        self._database = Database(url)
        file = self._database.file
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"cannot make the folder {file.parent}: {error.strerror}; choose another") from error
        migrate(self._database)
        self._database.on_replaced = lambda: migrate(self._database)
        folder = spool or (file.with_name(file.name + ".spool") if file else Path("workspace", "spool"))
        self._spool = Spool(folder)
        self.machines = Machines(self._database)
        self.curves = Curves(self._database, self._spool)
        self._alive = liveness(self._database)
        self.runs = Runs(self._database, self._deliver, self._alive)
        self.models = Models(self._database)
        self.evaluations = Evaluations(self._database, self._alive)
        self.votes = Votes(self._database)
        self.published = PublishedResults(self._database)
        self.reports = Reports(self._database)
        self.decisions = Decisions(self._database)

    @property
    def url_masked(self) -> str:
        """The URL, its password masked: fit for messages."""
        return self._database.masked

    def deliver_spooled(self, run_id: str | None = None) -> list[str]:
        """Deliver points that had to be spooled; returns a sentence about each file that has to wait on."""
        return self._spool.deliver(lambda run, points: self.curves.append(run, points, late=True), run_id)

    def info(self) -> dict[str, Any]:
        """url, schema, bytes (None on PostgreSQL), spooled_files, and how many rows each table has."""
        with self._database.read() as connection:
            counts = {
                table.name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
                for table in Table.metadata.sorted_tables
            }
            schema = schema_of(connection)
        file = self._database.file
        size = file.stat().st_size if file else None
        waiting = len(self._spool.files())
        return {"url": self.url_masked, "schema": schema, "bytes": size, "spooled_files": waiting, "rows": counts}

    def move_into(self, target: Store, progress: Progress | None = None) -> MoveReport:
        """Copy every row into an empty store, bit for bit, all or none; the rows here stay. Spooled points go first.

        Raises: StoreError (the target has rows, this one has none, points that cannot be delivered, a value that the
        target cannot hold), StoreBusy (somebody works here, or writes to either).
        """
        if waiting := self.deliver_spooled():
            raise StoreError(f"{waiting[0]}; deliver what waits before moving: bakeoff store upgrade")
        return move(
            self._database,
            target._database,
            lambda ids, connection: self._alive.held(ids, connection=connection),
            progress or (lambda *_: None),
        )

    def at_work(self) -> str:
        """Changes when work on a run or an evaluation begins or ends, also by a process's death, which writes nothing.

        "" on PostgreSQL, where only reading them tells.
        """
        return self._alive.mark()

    def close(self) -> None:
        """Close the connections; what was begun through it is nobody's work any more. It can be used again."""
        self._alive.close()
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _deliver(self, run_id: str) -> None:
        self.deliver_spooled(run_id)
