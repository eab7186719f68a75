"""Tasks over a cluster, followed from their submission to their end; what becomes of one is its owner's to say.

What lost its worker or its node is submitted again as long as it gets on between deaths; what no node has room for is
given up; Ctrl-C ends all in order. Nothing here knows what a task does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trainer.errors import TrainerError
from trainer.ray_runs.cluster import Cancelled, Cluster, Ended
from trainer.ray_runs.demands import Demand, missing
from trainer.runs.signals import Stop

LOOK_SECONDS = 1.0
"""The pause between looks at what the store says, while no task ends."""

ABSENT_SECONDS = 30.0

MOST_DEATHS = 5
"""Deaths of a task's worker in a row with nothing new in the store, after which something kills it each time."""


@dataclass
class Task:
    """One task: what it does, what it needs, what became of it so far."""

    names: str
    """What people are told that it is."""
    call: Callable[[], str]
    """Done on a node, so it is pickled; returns what the user must mend, "" for nothing."""
    demand: Demand
    waits_for: Any = None
    """What stands for its result at the cluster."""
    deaths: int = 0
    """Deaths in a row, with nothing new in the store in between."""
    stored: int = 0
    """What was in the store when its worker last died."""
    absent_since: float | None = None
    """When nodes that have what it needs were first missed, by time.monotonic(); None while there is one."""


class Owner(Protocol):
    """Who knows what the tasks do."""

    def stored(self, task: Task) -> int:
        """How much of a task's work is safe; grows with it."""
        ...

    def lost(self, task: Task, why: str, stored: int) -> str:
        """Write down that its worker died. Returns why, with the place."""
        ...

    def given_up(self, task: Task, why: str) -> None:
        """Write down that nobody goes on with it: nothing of the models' own."""
        ...

    def look(self) -> None:
        """Tell people how far all are."""
        ...


class Following:
    """The tasks of one call."""

    def __init__(
        self,
        cluster: Cluster,
        tasks: Sequence[Task],
        owner: Owner,
        stop: Stop,
        absent_seconds: float = ABSENT_SECONDS,
    ) -> None:
        """absent_seconds: how long a task may need what no node has."""
        self._cluster = cluster
        self._open = list(tasks)
        self._owner = owner
        self._stop = stop
        self._absent_seconds = absent_seconds
        self._problems: list[Exception] = []
        """What the user must mend."""

    def to_the_end(self) -> None:
        """Submit all and follow them. Raises: the first of what the user must mend, once all others have ended.

        A cluster whose head is gone is left at once, its tasks ended.
        """
        asked = False
        try:
            for task in self._open:
                self._submit(task)
            with self._stop.orderly():
                while self._open:
                    for handle in self._cluster.ended(self._waited_for(), LOOK_SECONDS):
                        self._conclude(next(task for task in self._open if task.waits_for is handle))
                    self._owner.look()
                    self._give_up_what_no_node_has()
                    if self._stop.asked and not asked:
                        asked = True
                        for handle in self._waited_for():
                            self._cluster.cancel(handle)
        finally:
            self._cluster.end(self._waited_for())
        if self._problems:
            raise self._problems[0]

    def _submit(self, task: Task) -> None:
        task.waits_for = self._cluster.submit(task.call, task.names, task.demand)

    def _conclude(self, task: Task) -> None:
        """A task has ended, its own way or by what happened to its worker: then it is submitted again."""
        try:
            problem = self._cluster.result(task.waits_for)
        except Cancelled:
            problem = ""
        except Ended as death:
            if self._goes_on(task, str(death)):
                return
            problem = ""
        except Exception as error:
            self._problems.append(error)
            problem = ""
        if problem:
            self._problems.append(TrainerError(problem))
        self._open.remove(task)

    def _goes_on(self, task: Task, reason: str) -> bool:
        """Have it written down why a task lost its worker, and submit it again; False where that leads nowhere."""
        if self._stop.asked:
            return False
        stored = self._owner.stored(task)
        task.deaths = task.deaths + 1 if stored == task.stored else 1
        task.stored = stored
        words = self._owner.lost(task, reason, stored)
        if task.deaths >= MOST_DEATHS:
            self._owner.given_up(task, f"{words}, {task.deaths} times in a row with nothing new: what kills it?")
            return False
        self._submit(task)
        return True

    def _give_up_what_no_node_has(self) -> None:
        nodes, present = self._cluster.nodes(), time.monotonic()
        for task in list(self._open):
            lacking = missing(task.names, task.demand, nodes)
            task.absent_since = (task.absent_since or present) if lacking else None
            if task.absent_since is not None and present - task.absent_since >= self._absent_seconds:
                self._cluster.cancel(task.waits_for)
                self._owner.given_up(task, lacking)
                self._open.remove(task)

    def _waited_for(self) -> list[Any]:
        """What stands for the open tasks that were submitted."""
        return [task.waits_for for task in self._open if task.waits_for is not None]
