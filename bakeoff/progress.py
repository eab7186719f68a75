"""Progress of long work on stderr: bars with an ETA on a terminal, a line now and then elsewhere.

Library code knows only `results.records.Progress`; this is where its calls are drawn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from bakeoff.listing import printable
from bakeoff.streams import unfiltered
from results.records import Progress

LINE_SECONDS = 10.0
"""How often, at most, each piece of work has a line where there is no terminal."""


@contextmanager
def drawn() -> Iterator[Progress]:
    """A progress callback that draws to stderr while the block runs."""
    if sys.stderr.isatty():
        with Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(file=unfiltered(sys.stderr)),
        ) as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


class _Bars:
    """One bar for each kind of work, in the order in which they began."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(escape(printable(what)), total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)


class _Lines:
    """Progress as lines, for logs and pipes: the first, the last and one every ten seconds in between."""

    def __init__(self) -> None:
        self._began: dict[str, tuple[float, int]] = {}
        self._said: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        present = time.monotonic()
        began, first = self._began.setdefault(what, (present, done))
        if done < total and present - self._said.get(what, -LINE_SECONDS) < LINE_SECONDS:
            return
        self._said[what] = present
        left = ""
        if first < done < total:
            left = f", about {(present - began) / (done - first) * (total - done):.0f} s left"
        print(f"{what}: {done}/{total}{left}", file=sys.stderr, flush=True)
