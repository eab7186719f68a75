"""A writer for training loops: takes points at once, stores them in the background, never stops the training.

What the store does not take (locked, unreachable, gone) is spooled to a file and delivered later: by this writer, by
the next one of the run, or when the run is finished. What a kill -9 can lose is the last second.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from results.curves.spool import Spool
from results.records import Point
from results.schema.columns import INT64, KEY_BYTES

FLUSH_SECONDS = 0.9
"""Points wait so long at most before they are written."""

BUSY_SECONDS = 1.0
"""A locked store is given so long before the batch is spooled."""

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where points go: `results.curves.curves.Curves`."""

    def append(self, run_id: str, points: Iterable[Point], *, wait_seconds: float = ..., late: bool = ...) -> None:
        """Add points durably, or raise and add none."""
        ...


class CurveWriter:
    """`with store.curves.writer(run_id) as writer: writer.add(points)`. Safe to use from several threads."""

    def __init__(self, curves: Sink, run_id: str, spool: Spool) -> None:
        self.run_id = run_id
        self.problems: list[str] = []
        """What went wrong so far, one sentence each: for the end of the training's own report."""
        self.spooled = 0
        """Points that had to be spooled so far."""
        self._curves = curves
        self._spool = spool
        self._queue: deque[list[Point] | threading.Event] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=f"curves of {run_id[:40]}", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def add(self, points: Iterable[Point]) -> None:
        """Take points; returns at once and raises nothing. What is wrong with them shows in `problems`."""
        try:
            batch = list(points)
        except Exception as error:  # a generator of the caller's; training goes on
            self._complain(f"points were lost: {error!r}")
            return
        if self._closing:
            self._complain(f"{len(batch)} points came after the writer was closed")
            return
        self._queue.append(batch)

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        """Wait until everything added so far is in the store or in the spool; False on timeout."""
        done = threading.Event()
        self._queue.append(done)
        self._wake.set()
        return not self._thread.is_alive() or done.wait(timeout_seconds)

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Deliver what is left, or spool it. Closing twice is fine. Raises nothing."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout_seconds)
        atexit.unregister(self.close)

    def __enter__(self) -> CurveWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        while True:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            closing = self._closing  # read before the queue, so that nothing added before closing is missed
            points: list[Point] = []
            flushed: list[threading.Event] = []
            while self._queue:
                taken = self._queue.popleft()
                if isinstance(taken, threading.Event):
                    flushed.append(taken)
                else:
                    points.extend(taken)
            try:
                self._store(points)
            except Exception as error:  # neither stored nor spooled: said, and training goes on
                self._complain(f"{len(points)} points were lost: {error!r}")
            for event in flushed:
                event.set()
            if closing and not self._queue:
                self._spool.deliver(self._append, self.run_id)
                return

    def _store(self, points: list[Point]) -> None:
        if self._spool.files(self.run_id) and self._spool.deliver(self._append, self.run_id):
            self._keep(points)  # behind what waits already, so that the order stays
            return
        try:
            self._append(self.run_id, points)
        except Exception as error:  # of the store, or of a point that is none
            self._keep(points)
            self._complain(f"the store does not take points, they are kept in {self._spool.folder}: {error}")

    def _append(self, run_id: str, points: list[Point]) -> None:
        if points:
            self._curves.append(run_id, points, wait_seconds=BUSY_SECONDS, late=True)

    def _keep(self, points: list[Point]) -> None:
        """Spool what a store can hold: one point that none can must not hold up the others. Raises OSError."""
        sound = [point for point in points if self._sound(point)]
        if sound:
            self._spool.keep(self.run_id, sound)
            self.spooled += len(sound)

    def _sound(self, point: Point) -> bool:
        try:
            sound = -INT64 <= point.step <= INT64 and len(point.metric.encode()) <= KEY_BYTES
            float(point.value)
        except (TypeError, ValueError, AttributeError, OverflowError):
            sound = False
        if not sound:
            self._complain(f"left out a point that no store can hold: {point!r:.200}")
        return sound

    def _complain(self, problem: str) -> None:
        if problem not in self.problems and len(self.problems) < 100:
            self.problems.append(problem)
            _log.warning("run %s: %s", self.run_id, problem)
