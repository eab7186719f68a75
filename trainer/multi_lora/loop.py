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

from results import CurveWriter, Point, Progress, RunStatus, Store
from trainer.bases.devices import peak_rss_bytes, settled_objects
from trainer.multi_lora.model import Step, Together
from trainer.multi_lora.run_state import Trainee, save_adapter
from trainer.runs import checkpoints, divergence
from trainer.runs.signals import Stop


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
    def mirror(self) -> checkpoints.Mirror | None:
        """Where its checkpoints are copied to."""
        url = self.trainee.settings.mirror
        return checkpoints.Mirror(url, self.trainee.run_id, self.notes) if url else None

    @property
    def best(self) -> Path | None:
        """Folder of the adapter with the best validation loss."""
        path = self.folder / "best" / f"step-{self.trainee.best_step:08d}"
        return path if path.is_dir() else None


def train_group(
    together: Together,
    members: Sequence[Member],
    store: Store,
    progress: Progress,
    stop: Stop,
    what: str = "training",
) -> None:
    """Train all members to their `until`. Afterwards each one's status and reason say what became of it.

    The caller holds the folders' locks.
    Raises: CheckpointInvalid when a folder belongs to another training, or cannot be written.
    """
    with ExitStack() as held:
        held.enter_context(settled_objects())
        for member in members:
            if member.mirror:
                member.mirror.bring_back(member.folder)
        resume(members)
        writers: dict[str, CurveWriter] = {}
        for member in members:
            store.curves.truncate(member.trainee.run_id, member.trainee.step)
            writers[member.trainee.run_id] = held.enter_context(store.curves.writer(member.trainee.run_id))
        total = sum(member.until for member in members)
        while active := [member for member in members if member.status == "running" and _has_more(member)]:
            if stop.asked:
                _save(active, writers)
                for member in active:
                    member.status, member.reason = "stopped", f"interrupted after step {member.trainee.step}"
                return
            _advance(together, active, writers)
            progress(what, sum(member.trainee.step if _has_more(member) else member.until for member in members), total)
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
        member.saved_step = member.trainee.step
        member.notes.append(f"goes on from step {member.trainee.step}")
        if member.trainee.best_step and member.best is None:
            member.trainee.best_step, member.trainee.best_loss = 0, math.inf


def _has_more(member: Member) -> bool:
    return not member.trainee.done and member.trainee.step < member.until


def _advance(together: Together, active: Sequence[Member], writers: Mapping[str, CurveWriter]) -> None:
    """One step of every active member, and the validation and checkpoints that are due after it."""
    steps = together.step([member.trainee for member in active])
    alive = []
    for member, step in zip(active, steps, strict=True):
        trainee = member.trainee
        trainee.elapsed_seconds += step.seconds
        if math.isfinite(step.loss):
            alive.append(member)
            number = trainee.step
        else:
            number = trainee.step + 1
            member.status = "diverged"
            member.reason = divergence.words(step.loss, number, trainee.settings.learning_rate, together.dtype)
        writers[trainee.run_id].add(_points(trainee, step, number))
    due = [member for member in alive if _validation_due(member)]
    if due:
        _validate(together, due, writers)
    if any(member.trainee.step % member.trainee.settings.save_steps == 0 or not _has_more(member) for member in alive):
        _save([member for member in alive if _save_due(member)], writers)


def _validation_due(member: Member) -> bool:
    trainee = member.trainee
    every = trainee.settings.eval_steps or max(1, trainee.total_steps // 10)
    return trainee.step % every == 0 or not _has_more(member)


def _save_due(member: Member) -> bool:
    return member.trainee.step % member.trainee.settings.save_steps == 0 or not _has_more(member)


def _validate(together: Together, due: Sequence[Member], writers: Mapping[str, CurveWriter]) -> None:
    for member, (loss, bits) in zip(due, together.validate([member.trainee for member in due]), strict=True):
        trainee = member.trainee
        trainee.validated(loss)
        writers[trainee.run_id].add(
            [
                Point("validation_loss", trainee.step, loss),
                Point("validation_bits_per_byte", trainee.step, bits),
            ]
        )
        if trainee.best_step == trainee.step:
            _save_best(member)


def _save_best(member: Member) -> None:
    trainee = member.trainee

    def write(folder: Path) -> None:
        save_adapter(trainee.adapter, trainee.lora, trainee.base, folder)

    checkpoints.save(member.folder / "best", trainee.step, member.identity, write)


def _save(members: Sequence[Member], writers: Mapping[str, CurveWriter]) -> None:
    """Checkpoints of all, and only then nothing older: a kill in between leaves every member the step before."""
    for member in members:
        if member.saved_step != member.trainee.step:
            writers[member.trainee.run_id].flush()  # a checkpoint ahead of the store would leave a gap after a kill
            path = checkpoints.save(member.folder, member.trainee.step, member.identity, member.trainee.save)
            member.saved_step = member.trainee.step
            if member.mirror:
                member.mirror.keep(path, member.best)
    for member in members:
        checkpoints.prune(member.folder, member.trainee.settings.save_total_limit)
        if member.trainee.best_step:
            for path in (member.folder / "best").glob("step-*"):
                if checkpoints.step_of(path) != member.trainee.best_step:
                    shutil.rmtree(path, ignore_errors=True)


def _points(trainee: Trainee, step: Step, number: int) -> list[Point]:
    values = {
        "loss": step.loss,
        "learning_rate": step.learning_rate,
        "gradient_norm": step.gradient_norm,
        "tokens_per_second": step.tokens / max(step.seconds, 1e-9),
        "tokens_seen": trainee.tokens_seen,
        "elapsed_seconds": trainee.elapsed_seconds,
        "epoch": trainee.order.epoch(number),
        "peak_rss_bytes": peak_rss_bytes(),
    }
    return [Point(metric, number, float(value)) for metric, value in values.items()]
