"""One call of a training: where it writes, whom it tells, what ends it. Every hop from `train` downwards takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import Progress, Report, RunStatus, Store, Workspace, disk_full, shortage, this_machine
from trainer.runs.signals import Stop


@dataclass(frozen=True)
class Session:
    """The store and the workspace of a training, who hears of it, and when it ends."""

    store: Store
    workspace: Workspace
    progress: Progress
    stop: Stop
    until: int | None = None
    """The step at which this call stops every run, to go on later: a sweep's cut. None: runs train to their end."""

    def run_folder(self, run_id: str) -> Path:
        """Where a run keeps its checkpoints."""
        return self.workspace.folder("runs") / run_id

    def last_step(self, total_steps: int) -> int:
        """The step at which this call stops a run of so many steps."""
        return total_steps if self.until is None else min(self.until, total_steps)

    def start(self, run_id: str, total_steps: int) -> None:
        """Write down that a run trains on this machine."""
        self.store.runs.start(run_id, this_machine().id, total_steps)

    def finish(self, run_id: str, status: RunStatus, reason: str = "") -> None:
        """Write down how a run ended."""
        self.store.runs.finish(run_id, status, reason)

    def fail(self, run_id: str, error: BaseException, status: RunStatus = "failed") -> None:
        """Write down that a run was ended by an error, and which. One that a full disk ended is stopped."""
        if disk_full(error):
            status = "stopped"
        self.finish(run_id, status, shortage(error) or f"{type(error).__name__}: {error}".strip(": "))

    def report(self, subject: str, kind: str, payload: Mapping[str, Any]) -> None:
        """Keep a report about a run or an experiment."""
        self.store.reports.put(Report(subject, kind, dict(payload)))
