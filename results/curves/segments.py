"""How a curve's points lie in the database: segments, sealing, merging. Used by `results.curves.curves` alone.

All functions run inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from results.curves import levels
from results.curves.levels import Level, Steps, Values
from results.errors import NotFound, StoreError
from results.records import Point, now
from results.schema.columns import INT64, finite_of, kind_of
from results.schema.tables import CurveRow, LevelRow, RunRow, SegmentRow

SEGMENT_POINTS = 1024
"""Points in a full segment: 16 kB."""

OPEN_POINTS = 4 * SEGMENT_POINTS
"""So many points wait, at most, before they are sealed: fewer and larger writes while a run lasts."""

OPEN_SEGMENTS = 64
"""Small segments are joined beyond this many: a reader of a live run fetches few rows."""

BEFORE_ALL = -INT64 - 1
"""The step that no point has: the last step of a curve without points."""


class CurveState(NamedTuple):
    """A curve's row but for what only lists show."""

    id: int
    run_id: str
    metric: str
    points: int
    last_step: int
    best_value: float | None
    best_step: int | None
    open_points: int
    open_segments: int


STATE = tuple(getattr(CurveRow, name) for name in CurveState._fields)

# Statements are made once: a training loop's batch takes less time than SQLAlchemy takes to make them.
_THIS_CURVE: sa.BindParameter[int] = sa.bindparam("this_curve")
_CURVES = (
    sa.select(RunRow.status, *STATE)
    .outerjoin(CurveRow, CurveRow.run_id == RunRow.id)
    .where(RunRow.id == sa.bindparam("this_run"))
)
_INSERT_CURVE = sa.insert(CurveRow).returning(CurveRow.id)
_UPDATE_CURVE = sa.update(CurveRow).where(CurveRow.id == _THIS_CURVE)
_INSERT_SEGMENTS = sa.insert(SegmentRow)
_POINTS = (
    sa.select(SegmentRow.steps, SegmentRow.values)
    .join(CurveRow, CurveRow.id == SegmentRow.curve_id)
    .where(CurveRow.run_id == sa.bindparam("this_run"), CurveRow.metric == sa.bindparam("this_metric"))
    .where(SegmentRow.last_step > sa.bindparam("after_step"))
    .order_by(SegmentRow.first_step)
)
_OPEN = sa.and_(SegmentRow.curve_id == _THIS_CURVE, SegmentRow.sealed.is_(False))
_SELECT_OPEN = sa.select(SegmentRow.steps, SegmentRow.values).where(_OPEN).order_by(SegmentRow.first_step)
_DELETE_OPEN = sa.delete(SegmentRow).where(_OPEN)
_SELECT_LEVEL = sa.select(LevelRow.width, LevelRow.points, LevelRow.buckets).where(LevelRow.curve_id == _THIS_CURVE)
_UPDATE_LEVEL = sa.update(LevelRow).where(LevelRow.curve_id == _THIS_CURVE)
_INSERT_LEVEL = sa.insert(LevelRow)


class Pending:
    """The small writes of one call, made together at its end: one statement for all curves, not one for each."""

    def __init__(self) -> None:
        self.segments: list[dict[str, Any]] = []
        self.curves: list[dict[str, Any]] = []

    def write(self, connection: sa.Connection) -> None:
        """Make them. Until then the database has the curves as they were."""
        if self.segments:
            connection.execute(_INSERT_SEGMENTS, self.segments)
        if self.curves:
            connection.execute(_UPDATE_CURVE, self.curves)
        self.segments, self.curves = [], []


def grouped(points: Iterable[Point]) -> dict[str, tuple[Steps, Values]]:
    """Points by metric: steps ascending, each once, with the last value given for it."""
    chosen: dict[str, list[Point]] = {}
    for point in points:
        if point[0] in chosen:
            chosen[point[0]].append(point)
        else:
            chosen[point[0]] = [point]
    return {
        metric: _ascending(*_arrays(metric, [point[1] for point in some], [point[2] for point in some]))
        for metric, some in chosen.items()
    }


def curves_of(connection: sa.Connection, run_id: str) -> tuple[str, dict[str, CurveState]]:
    """(a run's status, its curves by metric). Raises NotFound."""
    rows = connection.execute(_CURVES, {"this_run": run_id}).all()
    if not rows:
        raise NotFound(f"no run {run_id!r} in the store; add it first, or list the runs: bakeoff runs")
    return rows[0][0], {row.metric: CurveState(*row[1:]) for row in rows if row.id is not None}


def points(connection: sa.Connection, run_id: str, metric: str, after_step: int = BEFORE_ALL) -> tuple[Steps, Values]:
    """(steps, values) of a curve after a step."""
    chosen = {"this_run": run_id, "this_metric": metric, "after_step": after_step}
    steps, values = unpacked([(row.steps, row.values) for row in connection.execute(_POINTS, chosen)])
    start = int(np.searchsorted(steps, after_step, side="right"))
    return steps[start:], values[start:]


def extend(
    connection: sa.Connection,
    run_id: str,
    metric: str,
    curve: CurveState | None,
    steps: Steps,
    values: Values,
    pending: Pending,
) -> bool:
    """Add points to a curve, which is made where it is None. False if every one of them was there already.

    A curve is extended once before `pending` is written.
    """
    if curve is None:
        curve = _made(connection, run_id, metric)
    elif int(steps[0]) <= curve.last_step:
        old_steps, old_values = points(connection, run_id, metric, int(steps[0]) - 1)
        keep = ~np.isin(old_steps, steps)
        if not keep.all() and _contained(old_steps, old_values, steps, values):
            return False
        steps, values = _ascending(np.concatenate([old_steps[keep], steps]), np.concatenate([old_values[keep], values]))
        curve = cut(connection, curve, int(steps[0]) - 1)
    _append(connection, curve, steps, values, pending)
    return True


def cut(connection: sa.Connection, curve: CurveState, after_step: int) -> CurveState:
    """Remove a curve's points after a step; returns its state then."""
    everything = points(connection, curve.run_id, curve.metric)
    kept = int(np.searchsorted(everything[0], after_step, side="right"))
    steps, values = everything[0][:kept], everything[1][:kept]
    connection.execute(sa.delete(SegmentRow).where(SegmentRow.curve_id == curve.id))
    connection.execute(sa.delete(LevelRow).where(LevelRow.curve_id == curve.id))
    if not kept:
        connection.execute(sa.delete(CurveRow).where(CurveRow.id == curve.id))
        return _made(connection, curve.run_id, curve.metric)
    blank = curve._replace(points=0, last_step=BEFORE_ALL, best_value=None, best_step=None)
    pending = Pending()
    state = _append(connection, blank._replace(open_points=0, open_segments=0), steps, values, pending)
    pending.write(connection)
    return state


def seal(connection: sa.Connection, run_id: str) -> None:
    """Seal what is open of a run's curves: no more points will come."""
    for curve in curves_of(connection, run_id)[1].values():
        if curve.open_points:
            steps, values = _open(connection, curve)
            connection.execute(_INSERT_SEGMENTS, _rows(curve.id, steps, values, sealed=True))
            _count_in(connection, curve.id, steps, values)
            connection.execute(_UPDATE_CURVE, {"this_curve": curve.id, "open_points": 0, "open_segments": 0})


def level_of(width: int | None, count: int | None, blob: bytes | None) -> Level:
    """A level from its row's columns; the empty one from None."""
    if width is None or count is None or blob is None:
        return levels.EMPTY
    return Level(width, count, np.frombuffer(blob, levels.BUCKET))


def unpacked(blobs: Sequence[tuple[bytes, bytes]]) -> tuple[Steps, Values]:
    """Segments' blobs, in order, as two arrays."""
    steps = np.frombuffer(b"".join(pair[0] for pair in blobs), "<i8").astype(np.int64)
    values = np.frombuffer(b"".join(pair[1] for pair in blobs), "<f8").astype(np.float64)
    return steps, values


def _arrays(metric: str, steps: Sequence[int], values: Sequence[float]) -> tuple[Steps, Values]:
    whole = np.array(steps)
    if whole.dtype.kind not in "iu" or int(whole.max()) > INT64 or int(whole.min()) <= BEFORE_ALL:
        odd = next((step for step in steps if not isinstance(step, int) or abs(step) > INT64), steps[0])
        raise StoreError(f"{metric}: a step is a whole number of at most 63 bits, not {odd!r:.60}")
    try:
        if None in values:
            raise TypeError("None is no value")
        real = np.array(values, np.float64)
        if real.ndim != 1:
            raise TypeError("a list is no value")
        return whole.astype(np.int64), real
    except (TypeError, ValueError) as error:
        raise StoreError(f"{metric}: a value is a number: {error}") from error


def _ascending(steps: Steps, values: Values) -> tuple[Steps, Values]:
    if len(steps) < 2 or bool((steps[1:] > steps[:-1]).all()):
        return steps, values
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    last = np.append(steps[1:] != steps[:-1], True)
    return steps[last], values[last]


def _contained(old_steps: Steps, old_values: Values, steps: Steps, values: Values) -> bool:
    places = np.searchsorted(old_steps, steps)
    if int(places[-1]) >= len(old_steps) or not np.array_equal(old_steps[places], steps):
        return False
    there = old_values[places]
    alike = np.array_equal(np.signbit(there), np.signbit(values))  # -0.0 equals 0.0 and is another value
    return alike and bool(np.array_equal(there, values, equal_nan=True))


def _made(connection: sa.Connection, run_id: str, metric: str) -> CurveState:
    state = CurveState(0, run_id, metric, 0, BEFORE_ALL, None, None, 0, 0)
    row = {**state._asdict(), "last_value": None, "last_kind": "", "updated_at": now()}
    del row["id"]
    made = connection.execute(_INSERT_CURVE, row).scalar_one()
    return state._replace(id=int(made))


def _append(connection: sa.Connection, curve: CurveState, steps: Steps, values: Values, pending: Pending) -> CurveState:
    """Add points that all lie behind the curve's last one, and seal what is full."""
    total = curve.open_points + len(steps)
    last = float(values[-1])
    best_value, best_step = _best(curve, steps, values)
    state = curve._replace(
        points=curve.points + len(steps), last_step=int(steps[-1]), best_value=best_value, best_step=best_step
    )
    if total < OPEN_POINTS and curve.open_segments < OPEN_SEGMENTS:
        pending.segments += _rows(curve.id, steps, values, sealed=False)
        state = state._replace(open_points=total, open_segments=curve.open_segments + 1)
    else:
        if curve.open_segments:
            old_steps, old_values = _open(connection, curve)
            steps, values = np.concatenate([old_steps, steps]), np.concatenate([old_values, values])
        full = total - total % SEGMENT_POINTS if total >= OPEN_POINTS else 0
        if full:
            pending.segments += _rows(curve.id, steps[:full], values[:full], sealed=True)
            _count_in(connection, curve.id, steps[:full], values[:full])
        pending.segments += _rows(curve.id, steps[full:], values[full:], sealed=False)
        state = state._replace(open_points=total - full, open_segments=int(total > full))
    known = {name: getattr(state, name) for name in CurveState._fields[3:]}
    changes = {**known, "last_value": finite_of(last), "last_kind": kind_of(last), "updated_at": now()}
    pending.curves.append({"this_curve": curve.id, **changes})
    return state


def _best(curve: CurveState, steps: Steps, values: Values) -> tuple[float | None, int | None]:
    finite = np.where(np.isfinite(values), values, np.inf)
    place = int(np.argmin(finite))
    least = float(finite[place])
    if np.isinf(least) or (curve.best_value is not None and curve.best_value <= least):
        return curve.best_value, curve.best_step
    return least, int(steps[place])


def _open(connection: sa.Connection, curve: CurveState) -> tuple[Steps, Values]:
    """Take a curve's open segments out of the database."""
    this = {"this_curve": curve.id}
    taken = unpacked([(row.steps, row.values) for row in connection.execute(_SELECT_OPEN, this)])
    connection.execute(_DELETE_OPEN, this)
    return taken


def _rows(curve_id: int, steps: Steps, values: Values, *, sealed: bool) -> list[dict[str, Any]]:
    """Segments of at most SEGMENT_POINTS, as rows."""
    return [
        {
            "curve_id": curve_id,
            "first_step": int(steps[start]),
            "last_step": int(steps[min(start + SEGMENT_POINTS, len(steps)) - 1]),
            "sealed": sealed,
            "steps": steps[start : start + SEGMENT_POINTS].astype("<i8").tobytes(),
            "values": values[start : start + SEGMENT_POINTS].astype("<f8").tobytes(),
        }
        for start in range(0, len(steps), SEGMENT_POINTS)
    ]


def _count_in(connection: sa.Connection, curve_id: int, steps: Steps, values: Values) -> None:
    """Count sealed points in the curve's level."""
    row = connection.execute(_SELECT_LEVEL, {"this_curve": curve_id}).one_or_none()
    level = levels.extended(level_of(*row) if row else levels.EMPTY, steps, values)
    content = {"width": level.width, "points": level.points, "buckets": level.buckets.tobytes()}
    if row:
        connection.execute(_UPDATE_LEVEL, {"this_curve": curve_id, **content})
    else:
        connection.execute(_INSERT_LEVEL, {"curve_id": curve_id, **content})
