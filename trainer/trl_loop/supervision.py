"""Who hears of a run while TRL trains it, and what ends it: this process, or the one that started it.

Nothing here imports TRL, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from results import Point
from trainer.runs.signals import Stop


class Writer(Protocol):
    """Takes a run's points: the store's own writer, or what hands them to the process that has the store."""

    def add(self, points: Iterable[Point]) -> None:
        """Take points; returns at once."""

    def flush(self) -> bool:
        """Wait until everything added so far is safe."""


class Curves(Protocol):
    """Where a run's points go: `store.curves`, or what hands them to the process that has the store."""

    def truncate(self, run_id: str, after_step: int) -> None:
        """Forget what came after a step."""

    def writer(self, run_id: str) -> AbstractContextManager[Writer]:
        """A writer for the run."""


@dataclass(frozen=True)
class Supervision:
    """Who hears of a run while TRL trains it, and what ends it."""

    curves: Curves
    progress: Callable[[int], None]
    """Called with the number of every step that is done."""
    stop: Stop
    until: int
    """The step at which this call stops it; a sweep's cut."""
