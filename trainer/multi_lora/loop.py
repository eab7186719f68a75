"""The loop over a group of runs that train together: steps, validation, checkpoints, curves, and an orderly stop.

Every run keeps its own place, so one that diverges, stops early or has fewer steps leaves the others running. What
happens to a killed group is decided by `resume`: all members go back to the newest step that all of them have whole,
because only then the passes, and so the floating-point sums, are the same again.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results import CurveWriter, RunStatus
from trainer.bases.devices import settled_objects
from trainer.multi_lora.model import SharedBase
from trainer.multi_lora.run_state import Trainee, save_adapter
from trainer.runs import checkpoints, divergence
from trainer.runs.progress import RunProgress
from trainer.runs.session import Session


@dataclass
class Member:
    """A run of the group, with where it keeps its checkpoints and what they must have in common with it."""

    trainee: Trainee
    folder: Path
    identity: Mapping[str, Any]
    until: int
    """Step at which this call stops training it; a sweep's cut. The schedule goes by `trainee.total_steps`."""
    status: RunStatus = "running"
    reason: str = ""
    saved_step: int = 0
    notes: list[str] = field(default_factory=list)
    """What the person should know: checkpoints skipped, resumed from where."""

    @property
    def progress(self) -> RunProgress:
        """How far the member's run has come."""
        return self.trainee.progress

    @property
    def has_more(self) -> bool:
        """Whether this call trains it further."""
        return not self.trainee.done and self.progress.step < self.until

    @property
    def mirror(self) -> checkpoints.Mirror | None:
        """The place that the run's checkpoints are copied to, where the file names one."""
        url = self.trainee.settings.mirror
        return checkpoints.Mirror(url, self.trainee.run_id, self.notes) if url else None

    @property
    def best(self) -> Path | None:
        """The folder of the adapter with the best validation loss."""
        path = self.folder / "best" / f"step-{self.progress.best_step:08d}"
        return path if path.is_dir() else None


def train_group(session: Session, together: SharedBase, members: Sequence[Member]) -> None:
    """Train all members to their `until`. Afterwards each one's status and reason say what became of it.

    The caller holds the folders' locks.
    Raises: CheckpointInvalid when a folder belongs to another training, or cannot be written.
    """
    curves = session.store.curves
    what = f"training {', '.join(member.trainee.name for member in members)}"
    with ExitStack() as held:
        held.enter_context(settled_objects())
        for member in members:
            if member.mirror:
                member.mirror.bring_back(member.folder)
        resume(members)
        writers: dict[str, CurveWriter] = {}
        for member in members:
            curves.truncate(member.trainee.run_id, member.progress.step)
            writers[member.trainee.run_id] = held.enter_context(curves.writer(member.trainee.run_id))
        total = sum(member.until for member in members)
        while active := [member for member in members if member.status == "running" and member.has_more]:
            if session.stop.asked:
                _save(active, writers)
                for member in active:
                    member.status, member.reason = "stopped", f"interrupted after step {member.progress.step}"
                return
            _advance(together, active, writers)
            done = sum(member.progress.step if member.has_more else member.until for member in members)
            session.progress(what, done, total)
        for member in members:
            if member.status == "running":
                member.status = "finished" if member.trainee.done else "stopped"


def resume(members: Sequence[Member]) -> None:
    """Bring every member to its newest whole checkpoint, to the newest that all have where there is one.

    Raises: CheckpointInvalid naming the difference when a checkpoint belongs to another training.
    """
    whole = {}
    for member in members:
        good, skipped = checkpoints.complete(member.folder)
        member.notes += skipped
        whole[member.trainee.run_id] = {checkpoints.step_of(path): path for path in good}
    common = set.intersection(*(set(steps) for steps in whole.values())) if whole else set()
    for member in members:
        steps = whole[member.trainee.run_id]
        if not steps:
            continue
        chosen = steps[max(common)] if common else steps[max(steps)]
        checkpoints.verify_identity(chosen, member.identity)
        member.trainee.load(chosen)
        member.saved_step = member.progress.step
        member.notes.append(f"goes on from step {member.progress.step}")
        if member.progress.best_step and member.best is None:
            member.progress.forget_best()


def _advance(together: SharedBase, active: Sequence[Member], writers: Mapping[str, CurveWriter]) -> None:
    """One step of every active member, and the validation and checkpoints that are due after it."""
    steps = together.step([member.trainee for member in active])
    alive = []
    for member, step in zip(active, steps, strict=True):
        trainee, number = member.trainee, member.progress.step
        if math.isfinite(step.loss):
            alive.append(member)
        else:
            number += 1  # its weights stayed as they were
            member.status = "diverged"
            member.reason = divergence.words(step.loss, number, trainee.settings.learning_rate, together.dtype)
        writers[trainee.run_id].add(member.progress.stepped(step, number, trainee.order.epoch(number)))
    due = [member for member in alive if _validation_due(member)]
    if due:
        _validate(together, due, writers)
    if saved := [member for member in alive if _save_due(member)]:
        _save(saved, writers)


def _validation_due(member: Member) -> bool:
    trainee = member.trainee
    every = trainee.settings.eval_steps or max(1, trainee.total_steps // 10)
    return trainee.progress.step % every == 0 or not member.has_more


def _save_due(member: Member) -> bool:
    return member.progress.step % member.trainee.settings.save_steps == 0 or not member.has_more


def _validate(together: SharedBase, due: Sequence[Member], writers: Mapping[str, CurveWriter]) -> None:
    for member, (loss, bits) in zip(due, together.validate([member.trainee for member in due]), strict=True):
        writers[member.trainee.run_id].add(member.progress.validated(loss, bits))
        if member.progress.is_best:
            _save_best(member)


def _save_best(member: Member) -> None:
    trainee = member.trainee

    def write(folder: Path) -> None:
        save_adapter(trainee.adapter, trainee.lora, trainee.base, folder)

    checkpoints.save(member.folder / "best", trainee.progress.step, member.identity, write)


def _save(members: Sequence[Member], writers: Mapping[str, CurveWriter]) -> None:
    """Checkpoints of all, and only then nothing older: a kill in between leaves every member the step before."""
    for member in members:
        if member.saved_step != member.progress.step:
            writers[member.trainee.run_id].flush()  # a checkpoint ahead of the store would leave a gap after a kill
            path = checkpoints.save(member.folder, member.progress.step, member.identity, member.trainee.save)
            member.saved_step = member.progress.step
            if member.mirror:
                member.mirror.keep(path, member.best)
    for member in members:
        checkpoints.prune(member.folder, member.trainee.settings.save_total_limit)
        if member.progress.best_step:
            for path in (member.folder / "best").glob("step-*"):
                if checkpoints.step_of(path) != member.progress.best_step:
                    shutil.rmtree(path, ignore_errors=True)
