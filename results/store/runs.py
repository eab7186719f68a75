"""Runs: what was fine-tuned, how, and what became of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from results.curves import segments
from results.errors import Immutable, NotFound, StoreBusy
from results.records import Point, Run, RunStatus, RunSummary, now
from results.schema.columns import Words, json_text, value_of
from results.schema.database import Database
from results.schema.rows import columns, named, record_of, row_of
from results.schema.tables import CurveRow, ModelRow, RunRow
from results.store.liveness import GONE, Liveness
from results.store.models import rename_fine_tune

_FIXED = ("experiment", "base", "config", "seed", "origin")
"""What makes a run this run: never changed once it has finished."""


_EDITED = ("name", "tags", "notes", "archived")
"""What people edit: registering the run again leaves it alone."""

_PROGRESS = ("status", "reason", "machine_id", "started_at", "finished_at", "total_steps")
"""What became of the run: registering it again as planned leaves it alone."""


DYING_SECONDS = 5.0
"""How long a start waits for another holder of the run: a process that was killed lets go of all in its own time."""


class Runs:
    """`store.runs`. A finished run is never modified, but for name, tags, notes and whether it is archived.

    A run that is running belongs to the process that started it (`results.store.liveness`): where that is gone, the run
    is shown as stopped, by whoever looks.
    """

    def __init__(self, database: Database, deliver: Callable[[str], None], alive: Liveness) -> None:
        self._database = database
        self._deliver = deliver
        self._alive = alive

    def add(self, run: Run, points: Iterable[Point] = ()) -> None:
        """Register a run. Again is fine: one that has not finished takes the new record, but keeps what people edited,
        and its progress if the record says planned.

        points: of a run that comes whole, finished elsewhere: it and they are stored in one transaction.
        Raises: Immutable if it has finished and the record or the points say otherwise.
        """
        with self._database.write(lock=run.id) as connection:
            there = _find(connection, RunRow.id == run.id)
            if there is None:
                connection.execute(sa.insert(RunRow).values(row_of(run, RunRow, created_at=now())))
            elif there.status == "finished":
                for name in _FIXED:
                    if json_text(getattr(there, name)) != json_text(getattr(run, name)):
                        raise Immutable(f"run {run.id!r} is finished: its {name} stays {getattr(there, name)!r}")
            else:
                kept = _EDITED if run.status != "planned" else (*_EDITED, *_PROGRESS)
                row = row_of(run, RunRow) | {name: getattr(there, name) for name in kept}
                connection.execute(sa.update(RunRow).where(RunRow.id == run.id).values(row))
            pending, known = segments.Pending(), segments.curves_of(connection, run.id)[1]
            for metric, (steps, values) in segments.grouped(points).items():
                changed = segments.extend(connection, run.id, metric, known.get(metric), steps, values, pending)
                if changed and there is not None and there.status == "finished":
                    raise Immutable(f"run {run.id!r} is finished: its {metric} at step {steps[0]} stays as it is")
            pending.write(connection)
            if run.status == "finished":
                segments.seal(connection, run.id)

    def start(self, run_id: str, machine_id: str | None = None, total_steps: int | None = None) -> None:
        """Mark a run as running, by this process, for the first time or again after it stopped, failed or diverged.

        Points that an earlier process had to spool are delivered first. One that was killed a moment ago is waited for.

        Raises: NotFound, Immutable (it has finished), StoreBusy (another process, on any machine, works on it).
        """
        self._deliver(run_id)
        until = time.monotonic() + DYING_SECONDS
        while self.at_work_elsewhere([run_id]) and time.monotonic() < until:
            time.sleep(0.05)
        with self._database.write(lock=run_id) as connection:
            run = _found(connection, run_id)
            if run.status == "finished":
                raise Immutable(f"run {run_id!r} is finished; a changed configuration makes a new run")
            if self._alive.held([run_id], elsewhere=True, connection=connection):
                raise StoreBusy(f"run {run_id!r} is being trained by another process; wait for it or stop it")
            self._alive.hold(run_id)
            changes: dict[str, Any] = {"status": "running", "reason": "", "finished_at": None}
            changes["started_at"] = run.started_at or now()
            changes["machine_id"] = machine_id or run.machine_id
            changes["total_steps"] = run.total_steps if total_steps is None else total_steps
            connection.execute(sa.update(RunRow).where(RunRow.id == run_id).values(changes))

    def finish(self, run_id: str, status: RunStatus, reason: str = "", at: datetime | None = None) -> None:
        """Mark a run as ended: finished, stopped, failed or diverged. Points that had been spooled are delivered first.

        at: when, for an imported run. The same end twice is fine. Raises: NotFound, Immutable.
        """
        self._deliver(run_id)
        with self._database.write(lock=run_id) as connection:
            run = _found(connection, run_id)
            if run.status == "finished":
                if status == "finished":
                    return
                raise Immutable(f"run {run_id!r} is finished and cannot become {status}")
            changes = {"status": status, "reason": reason, "finished_at": at or now()}
            connection.execute(sa.update(RunRow).where(RunRow.id == run_id).values(changes))
            segments.seal(connection, run_id)
        self._alive.release(run_id)

    def at_work_elsewhere(self, run_ids: Iterable[str]) -> set[str]:
        """Those of the runs that another process, on any machine, has started and not ended; or another store object
        of this one. Whatever died is not at work, once its system or the database's server has noticed."""
        return self._alive.held(run_ids, elsewhere=True)

    def edit(
        self,
        run_id: str,
        *,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
        archived: bool | None = None,
    ) -> Run:
        """Change what people call and note about a run, finished or not; what is None stays. Returns it.

        The fine-tune that it left is called as the run is, in all its formats. Raises: NotFound, NameTaken.
        """
        given: dict[str, Any] = {
            "name": name,
            "tags": None if tags is None else tuple(tags),
            "notes": notes,
            "archived": archived,
        }
        changes = {key: value for key, value in given.items() if value is not None}
        with self._database.write(lock=run_id if name is None else "models") as connection:
            run = _found(connection, run_id)
            if name is not None and name != run.name:
                left = sa.select(ModelRow.fine_tune).where(ModelRow.run_id == run_id, ~ModelRow.archived).distinct()
                for fine_tune in connection.execute(left).scalars().all():
                    rename_fine_tune(connection, fine_tune, name)
            if changes:
                connection.execute(sa.update(RunRow).where(RunRow.id == run_id).values(changes))
        return dataclasses.replace(run, **changes)

    def get(self, run_id: str) -> Run:
        """The run with this id. Raises NotFound."""
        with self._database.read() as connection:
            run = _found(connection, run_id)
        return self._seen([run])[0]

    def find(self, id_or_name: str) -> Run:
        """The run with this id, else the newest one with this name. Raises NotFound, saying which runs there are."""
        with self._database.read() as connection:
            run = _find(connection, RunRow.id == sa.literal(id_or_name, Words)) or _find(
                connection, RunRow.name == id_or_name
            )
            if run is None:
                names = connection.execute(sa.select(RunRow.name)).scalars()
                raise NotFound(f"no run {id_or_name!r}: {named(names)}; list them: bakeoff runs")
        return self._seen([run])[0]

    def list(self) -> list[RunSummary]:
        """All runs, oldest first, with the last and best of their losses."""
        loss, validation = aliased(CurveRow), aliased(CurveRow)
        latest = (
            sa.select(CurveRow.run_id, sa.func.max(CurveRow.updated_at, type_=CurveRow.updated_at.type).label("at"))
            .group_by(CurveRow.run_id)
            .subquery()
        )
        query = (
            columns(RunRow)
            .add_columns(
                loss.last_step,
                loss.last_value,
                loss.last_kind,
                validation.best_value,
                validation.best_step,
                latest.c.at,
            )
            .outerjoin(loss, sa.and_(loss.run_id == RunRow.id, loss.metric == "loss", loss.points > 0))
            .outerjoin(validation, sa.and_(validation.run_id == RunRow.id, validation.metric == "validation_loss"))
            .outerjoin(latest, latest.c.run_id == RunRow.id)
            .order_by(RunRow.created_at, RunRow.id)
        )
        with self._database.read() as connection:
            found = [_summary(dict(row)) for row in connection.execute(query).mappings()]
        runs = self._seen([one.run for one in found])
        return [dataclasses.replace(one, run=run) for one, run in zip(found, runs, strict=True)]

    def _seen(self, runs: Sequence[Run]) -> Sequence[Run]:
        """Runs as they are to be shown: what nobody works on any more is stopped."""
        running = [run.id for run in runs if run.status == "running" and run.origin == "measured"]
        if not running or not (gone := set(running) - self._alive.held(running)):
            return runs
        with self._database.read() as connection:  # one that ended meanwhile said so before it let go
            still = {run_id for run_id in gone if _found(connection, run_id).status == "running"}
        return [dataclasses.replace(run, status="stopped", reason=GONE) if run.id in still else run for run in runs]


def _find(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Run | None:
    query = columns(RunRow).where(condition).order_by(RunRow.archived, RunRow.created_at.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else record_of(Run, dict(row))


def _found(connection: sa.Connection, run_id: str) -> Run:
    run = _find(connection, RunRow.id == run_id)
    if run is None:
        raise NotFound(f"no run {run_id!r} in the store; list them: bakeoff runs")
    return run


def _summary(row: dict[str, Any]) -> RunSummary:
    run = record_of(Run, row)
    moments = [moment for moment in (row["at"], run.finished_at, run.started_at) if moment is not None]
    return RunSummary(
        run=run,
        steps=row["last_step"] or 0,
        last_loss=value_of(row["last_value"], row["last_kind"] or ""),
        best_validation_loss=row["best_value"],
        best_step=row["best_step"],
        updated_at=max(moments, default=None),
    )
