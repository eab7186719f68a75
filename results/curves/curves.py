"""Curves: every metric of every run, point by point, and at screen resolution.

A curve is kept in segments of steps and values. Full segments are sealed and counted in the curve's level
(`results.curves.levels`); the latest points stay in small open segments until 1,024 are together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from results.curves import levels, segments
from results.curves.levels import Steps, Values
from results.curves.spool import Spool
from results.curves.writer import CurveWriter
from results.errors import Immutable
from results.records import Point
from results.schema.database import WAIT_SECONDS, Database
from results.schema.tables import CurveRow, LevelRow, SegmentRow


@dataclass(frozen=True)
class CurveOverview:
    """A curve at screen resolution: bucket i begins at steps[i] and spans low[i] to high[i]."""

    run_id: str
    metric: str
    steps: Steps
    low: Values
    """Least finite value of each bucket; NaN where none is finite."""
    high: Values
    marks: Steps
    """Where the loss was NaN or infinite: the first such step of each bucket that has one."""
    width: int
    """Points a bucket: 1 means that these are the points themselves, and low equals high."""
    last_step: int


class Curves:
    """`store.curves`."""

    def __init__(self, database: Database, spool: Spool) -> None:
        self._database = database
        self._spool = spool

    def append(
        self, run_id: str, points: Iterable[Point], *, wait_seconds: float = WAIT_SECONDS, late: bool = False
    ) -> None:
        """Add points; a step that is there already takes the new value. Durable on return, all or none.

        late: these points were taken before the run was finished, and only their delivery is late.
        Raises: NotFound (no such run), Immutable (would change a finished run), StoreBusy, StoreError.
        """
        batches = segments.grouped(points)
        if not batches:
            return
        with self._database.write(lock=run_id, wait_seconds=wait_seconds) as connection:
            status, known = segments.curves_of(connection, run_id)
            finished = status == "finished"
            pending = segments.Pending()
            for metric, (steps, values) in batches.items():
                changed = segments.extend(connection, run_id, metric, known.get(metric), steps, values, pending)
                if changed and finished and not late:
                    raise Immutable(f"run {run_id!r} is finished: its {metric} at step {steps[0]} stays as it is")
            pending.write(connection)
            if finished:
                segments.seal(connection, run_id)

    def read(self, run_id: str, metric: str, after_step: int | None = None) -> tuple[Steps, Values]:
        """(steps ascending, values) of the points after `after_step`, all without it; empty without any.

        A live page passes the last step it has.
        """
        with self._database.read() as connection:
            return segments.points(
                connection, run_id, metric, segments.BEFORE_ALL if after_step is None else after_step
            )

    def truncate(self, run_id: str, after_step: int) -> None:
        """Remove every metric's points after `after_step`: a resumed run goes on from there.

        Raises: NotFound, Immutable (a finished run that has such points).
        """
        with self._database.write(lock=run_id) as connection:
            status, known = segments.curves_of(connection, run_id)
            for curve in known.values():
                if curve.last_step > after_step:
                    if status == "finished":
                        raise Immutable(f"run {run_id!r} is finished: its points after step {after_step} stay")
                    segments.cut(connection, curve, after_step)

    def overview(self, run_ids: Sequence[str], metric: str, buckets: int = 200) -> dict[str, CurveOverview]:
        """Each run's curve in at most `buckets` buckets, by run id, in the given order; without runs that lack it.

        Up to 256 buckets only the levels are read; beyond, the points of curves that are longer. No value is left out.
        """
        found: dict[str, CurveOverview] = {}
        with self._database.read() as connection:
            for some in _portions(list(dict.fromkeys(run_ids)), 500):
                curves = []
                for run_id, last_step, level in _levels(connection, some, metric):
                    if level.width > 1 and buckets > len(level.buckets):
                        steps, values = segments.points(connection, run_id, metric)
                        level = levels.Level(1, len(steps), levels.of_points(steps, values))
                    curves.append((run_id, last_step, level))
                found |= _views(metric, curves, buckets)
        return {run_id: found[run_id] for run_id in run_ids if run_id in found}

    def metrics(self, run_id: str) -> list[str]:
        """Names of the metrics that a run has points of, sorted; none for an unknown run."""
        query = sa.select(CurveRow.metric).where(CurveRow.run_id == run_id, CurveRow.points > 0)
        with self._database.read() as connection:
            return sorted(connection.execute(query).scalars())

    def writer(self, run_id: str) -> CurveWriter:
        """A background writer for a training loop; close it when the run ends.

        Delivers first what an earlier process of this run had to spool.
        """
        return CurveWriter(self, run_id, self._spool)


def _portions(items: list[str], size: int) -> Iterable[list[str]]:
    """Lists of at most `size`: a statement has a limited number of parameters."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _views(metric: str, curves: list[tuple[str, int, levels.Level]], most: int) -> dict[str, CurveOverview]:
    """Each (run id, last step, level) in at most `most` buckets. Arrays are slices of ones that all share."""
    together, counts, factors = levels.reduced([level.buckets for _, _, level in curves], most)
    first, odd = together["first"].astype(np.int64), together["odd"].astype(np.int64)
    low, high = together["low"].astype(np.float64), together["high"].astype(np.float64)
    found, start = {}, 0
    for (run_id, last_step, level), count, factor in zip(curves, counts, factors, strict=True):
        own = slice(start, start + count)
        marks, width = odd[own], level.width * factor
        marks = marks[marks != levels.NEVER]
        found[run_id] = CurveOverview(run_id, metric, first[own], low[own], high[own], marks, width, last_step)
        start += count
    return found


def _levels(connection: sa.Connection, run_ids: list[str], metric: str) -> Iterable[tuple[str, int, levels.Level]]:
    """(run id, last step, level) of each run's curve, the points of its open segments counted in."""
    chosen = (CurveRow.run_id.in_(run_ids), CurveRow.metric == metric, CurveRow.points > 0)
    open_rows = connection.execute(
        sa.select(SegmentRow.curve_id, SegmentRow.steps, SegmentRow.values)
        .join(CurveRow, CurveRow.id == SegmentRow.curve_id)
        .where(*chosen, CurveRow.open_points > 0, SegmentRow.sealed.is_(False))
        .order_by(SegmentRow.curve_id, SegmentRow.first_step)
    )
    tails: dict[int, list[tuple[bytes, bytes]]] = {}
    for curve_id, steps, values in open_rows:
        tails.setdefault(curve_id, []).append((steps, values))
    rows = connection.execute(
        sa.select(CurveRow.id, CurveRow.run_id, CurveRow.last_step, LevelRow.width, LevelRow.points, LevelRow.buckets)
        .outerjoin(LevelRow, LevelRow.curve_id == CurveRow.id)
        .where(*chosen)
    )
    for curve_id, run_id, last_step, width, points, buckets in rows.all():
        level = segments.level_of(width, points, buckets)
        if curve_id in tails:
            level = levels.extended(level, *segments.unpacked(tails[curve_id]))
        yield run_id, last_step, level
