"""One call of a training: where it writes, whom it tells, what ends it. Every hop from `train` downwards takes it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import Progress, Report, RunStatus, Store, Workspace, disk_full, now, shortage, this_machine
from results.records import PLACE
from trainer.errors import TrainerError
from trainer.runs.signals import Stop


@dataclass(frozen=True)
class Agreed:
    """What a run is made of, by its SHA-256: settled where the training was asked for, held where it is done."""

    base: str
    data: str


@dataclass(frozen=True)
class Session:
    """The store and the workspace of a training, who hears of it, and when it ends."""

    store: Store
    workspace: Workspace
    progress: Progress
    stop: Stop
    until: int | None = None
    """The step at which this call stops every run, to go on later: a sweep's cut. None: runs train to their end."""
    agreed: Agreed | None = None
    """Base and data as another machine found them under the same names. None: what this one finds is what counts."""

    def run_folder(self, run_id: str) -> Path:
        """Where a run keeps its checkpoints."""
        return self.workspace.folder("runs") / run_id

    def last_step(self, total_steps: int) -> int:
        """The step at which this call stops a run of so many steps."""
        return total_steps if self.until is None else min(self.until, total_steps)

    def verify(self, base_identity: str, data_identity: str) -> None:
        """Raises TrainerError where base or data are others than was agreed."""
        if self.agreed is None:
            return
        for what, found, wanted in (
            ("base", base_identity, self.agreed.base),
            ("data", data_identity, self.agreed.data),
        ):
            if found != wanted:
                raise TrainerError(
                    f"the {what} on {socket.gethostname()} is another than where the command was given: SHA-256 "
                    f"{found[:12]}, not {wanted[:12]}; give every node the same files under the same paths"
                )

    def start(self, run_id: str, total_steps: int) -> None:
        """Write down that a run trains on this machine, in this process."""
        self.store.runs.start(run_id, this_machine().id, total_steps)
        self.report(run_id, PLACE, {"host": socket.gethostname(), "process": os.getpid(), "since": now().isoformat()})

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
