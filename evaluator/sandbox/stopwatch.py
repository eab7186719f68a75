"""How long an answer has been doing nothing, though it could have computed.

Waiting is wall time in which neither the answer nor its judge computed, and neither waited for a processor. Whoever has
sixty threads waits for sixty processors at once: that counts as one, for as long as it takes, and only while every
processor that the answer may use was busy.

Sources: the kernel's document on scheduler statistics, /proc/<pid>/schedstat; proc(5), /proc/stat.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Look:
    """One look at the machine. Seconds, each since some moment of its own."""

    wall: float
    used: float
    """That the answer's process computed, threads included that have ended."""
    test: float
    """That the judge computed; NaN where the kernel does not say."""
    delays: Mapping[str, float] = field(default_factory=dict)
    """How long it waited for a processor, by thread of answer and judge."""
    stolen: float = 0.0
    """That the most disturbed processor spent on interrupts or on other virtual machines; in no task's account."""
    free: Mapping[str, float] = field(default_factory=dict)
    """How long it had nothing to do, by processor that the answer may use."""


class Stopwatch:
    """Adds up what passes between looks."""

    def __init__(self) -> None:
        self._first: Look | None = None
        self._last: Look | None = None
        self.idle = 0.0
        """Wall seconds of waiting, since the first look."""
        self._unexplained = 0.0
        """How much of these was while every processor was busy, so that the kernel may yet tell of a wait for one."""

    @property
    def test(self) -> float:
        """Seconds that the judge has computed since the first look; NaN where the kernel does not say."""
        return self._last.test - self._first.test if self._first and self._last else 0.0

    def add(self, look: Look) -> None:
        if self._last is not None:
            idle, late = idle_between(self._last, look), min(self._unexplained, told_late(self._last, look))
            busy = max(0.0, look.wall - self._last.wall - _free_between(self._last, look))
            self.idle += idle - late
            self._unexplained += min(idle, busy) - late
        self._first, self._last = self._first or look, look


def idle_between(earlier: Look, later: Look) -> float:
    """Wall seconds of waiting between two looks, from 0 to all of them; 0 where the kernel does not say."""
    wall = later.wall - earlier.wall
    computed = _computed(earlier, later)
    if math.isnan(computed):
        return 0.0
    hindered = min(sum(_waits(earlier, later)) + later.stolen - earlier.stolen, wall - _free_between(earlier, later))
    return min(wall, max(0.0, wall - computed - max(0.0, hindered)))


def told_late(earlier: Look, later: Look) -> float:
    """Seconds of a thread's wait for a processor that lie before the first of two looks: what it waited and computed is
    more than passed between them. The kernel tells of a wait when it is over, and on a crowded machine one may outlast
    many looks."""
    wall, computed = later.wall - earlier.wall, _computed(earlier, later)
    if math.isnan(computed):
        return 0.0
    return max(0.0, max(_waits(earlier, later), default=0.0) + min(computed, wall) - wall)


def _computed(earlier: Look, later: Look) -> float:
    """Seconds that answer and judge computed; NaN where the kernel does not say."""
    return later.used - earlier.used + later.test - earlier.test


def _waits(earlier: Look, later: Look) -> list[float]:
    return [max(0.0, delay - earlier.delays.get(thread, 0.0)) for thread, delay in later.delays.items()]


def _free_between(earlier: Look, later: Look) -> float:
    """Seconds that the most idle of the usable processors had nothing to do."""
    return max((seconds - earlier.free.get(name, seconds) for name, seconds in later.free.items()), default=0.0)


def look(candidate: int, judge: int, used: float) -> Look:
    """Now. `candidate` is the process id of the answer's server; `used` are the CPU seconds of the answer's process."""
    try:
        children = Path(f"/proc/{candidate}/task/{candidate}/children").read_text().split()
    except OSError:
        children = []
    threads = [f"{child}/task/{place.name}" for child in children for place in Path("/proc", child, "task").glob("*")]
    computed, waited = _schedule(str(judge))
    delays = {name: delay for name in threads if not math.isnan(delay := _schedule(name)[1])}
    stolen, free = _processors(candidate)
    return Look(
        time.monotonic(), used, computed if children else math.nan, {**delays, "judge": waited}, stolen, free
    )  # fmt: skip


def _processors(process: int) -> tuple[float, dict[str, float]]:
    """(seconds stolen from the most disturbed processor, free seconds of each one that the process may use)."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
        usable = {f"cpu{number}" for number in os.sched_getaffinity(process)}
        rows = {line.split()[0]: [int(part) for part in line.split()[1:]] for line in lines if re.match(r"cpu\d", line)}
        second = os.sysconf("SC_CLK_TCK")
        stolen = max(sum(row[5:8]) for row in rows.values()) / second
        return stolen, {name: sum(row[3:5]) / second for name, row in rows.items() if name in usable}
    except (OSError, ValueError):
        return 0.0, {}


def _schedule(task: str) -> tuple[float, float]:
    """Seconds that a process's first thread, or the thread "<pid>/task/<tid>", computed and that it waited for a
    processor; NaN when unknown."""
    try:
        computed, waited, _ = Path(f"/proc/{task}/schedstat").read_text().split()
        return int(computed) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return math.nan, math.nan
