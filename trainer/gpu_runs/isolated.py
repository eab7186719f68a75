"""Runs that train one a device, each in a process of its own, as many at once as there are devices.

A process sees one GPU, gives all of its memory back by ending, and takes no other run with it when it crashes. Where
its memory does not reach, a new process tries again with smaller passes (`trainer.trl_loop.division`), from the newest
checkpoint. The store is written here alone: the processes say what happens and this one keeps the record.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import IO, Any

from engines import Device
from results import CurveWriter, Point, RunStatus
from trainer.errors import CheckpointInvalid
from trainer.gpu_runs.child_process import Process, Said
from trainer.runs import checkpoints
from trainer.runs.assignment import Assignment, settle
from trainer.runs.ended import Ended
from trainer.runs.session import Session
from trainer.trl_loop.division import Division

LOG = "training.log"
"""The file in a run's folder that holds what its process and the libraries in it printed."""

LOOK_SECONDS = 0.2
"""The pause between looks at whether the person has asked to stop."""

REMEDY = (
    "set training.quantization: nf4, a smaller training.max_length or lora.rank, or take a smaller base or a larger GPU"
)


def train_isolated(
    session: Session, assignments: Sequence[tuple[Assignment, IO[bytes]]], devices: Sequence[Device]
) -> None:
    """Train each assignment over its examples (`handover.keep`); their records say what became of them.

    Raises: CheckpointInvalid, after all others have ended, when a run's folder belongs to another training or process,
    or cannot be written; KeyboardInterrupt when asked to stop at once.
    """
    crew, stop = _Crew(session, devices), session.stop
    waiting = deque(assignments)
    with stop.orderly():
        try:
            while crew.busy or (waiting and not stop.asked):
                while waiting and crew.idle and not stop.asked:
                    crew.begin(*waiting.popleft())
                crew.listen()
                if stop.asked:
                    crew.ask_to_stop()
        finally:
            crew.abandon()
    if crew.problems:
        raise crew.problems[0]


@dataclass
class _Run:
    """A run while it trains in a process of its own."""

    assignment: Assignment
    examples: IO[bytes]
    place: int
    """Index of its device: several may have one name."""
    device: Device
    lock: IO[str]
    held: ExitStack
    """The folder's lock."""
    division: Division
    process: Process
    notes: list[str] = field(default_factory=list)
    writing: ExitStack = field(default_factory=ExitStack)
    writer: CurveWriter | None = None
    last: dict[str, Any] | None = None
    """What its process said when it had done what it could."""


class _Crew:
    """The devices, and what runs on them."""

    def __init__(self, session: Session, devices: Sequence[Device]) -> None:
        self._session = session
        self._devices = tuple(devices)
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._runs: dict[Process, _Run] = {}
        self._asked = False
        self.problems: list[Exception] = []
        """What the user must mend, of runs that could not go on."""

    @property
    def busy(self) -> bool:
        """Whether any run is going on."""
        return bool(self._runs)

    @property
    def idle(self) -> list[int]:
        """Indices of the devices without a run."""
        return sorted(set(range(len(self._devices))) - {run.place for run in self._runs.values()})

    def begin(self, assignment: Assignment, examples: IO[bytes]) -> None:
        """Start a run on an idle device, unless another process has it."""
        held = ExitStack()
        try:
            lock = held.enter_context(checkpoints.lock(assignment.folder))
        except CheckpointInvalid as error:  # nothing of the run's record changes: it is the other process's
            self.problems.append(error)
            return
        place = self.idle[0]
        device = self._devices[place]
        self._session.start(assignment.variant.id, assignment.steps)
        division = Division.of(assignment.variant.experiment.training)
        try:
            process = self._start(assignment, examples, device, lock, division)
        except OSError as error:
            self._session.finish(assignment.variant.id, "failed", f"its process does not start: {error}")
            held.close()
            return
        run = _Run(assignment, examples, place, device, lock, held, division, process, [self._where(place)])
        self._runs[process] = run

    def listen(self) -> None:
        """Hear and do the next thing that a process says, or wait a moment."""
        try:
            process, said = self._said.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            return
        run = self._runs.get(process)
        if run is None:
            return
        if said is None:
            self._conclude(run)
        else:
            self._hear(run, said)

    def ask_to_stop(self) -> None:
        """Let every run end in order."""
        self._asked = True
        for process in self._runs:
            process.ask_to_stop()

    def abandon(self) -> None:
        """End what still runs at once; its newest checkpoint is whole."""
        for process, run in self._runs.items():
            process.kill()
            self._release(run)
            self._session.finish(run.assignment.variant.id, "stopped", "interrupted; its newest checkpoint is kept")
        self._runs.clear()

    def _where(self, place: int) -> str:
        device, count = self._devices[place], len(self._devices)
        of = f", {place + 1} of {count}" if count > 1 else ""
        return f"trained on {device.label} ({device.name}{of}), in a process of its own"

    def _start(
        self, assignment: Assignment, examples: IO[bytes], device: Device, lock: IO[str], division: Division
    ) -> Process:
        import torch

        task = {
            "run_id": assignment.variant.id,
            "experiment": assignment.variant.experiment.model_dump(mode="json"),
            "base_identity": assignment.base.identity,
            "identity": assignment.identity,
            "folder": str(assignment.folder),
            "examples": examples.fileno(),
            "steps": assignment.steps,
            "until": assignment.until,
            "division": asdict(division),
            "threads": max(1, torch.get_num_threads() // len(self._devices)),
        }
        # The lock goes along: the run stays locked until both processes are gone, however they end.
        descriptors = (examples.fileno(), lock.fileno())
        process = Process(task, device, descriptors, assignment.folder / LOG, self._said)
        if self._asked:
            process.ask_to_stop()
        return process

    def _hear(self, run: _Run, said: dict[str, Any]) -> None:
        variant = run.assignment.variant
        match said:
            case {"progress": step}:
                self._session.progress(f"training {variant.name}", step, run.assignment.steps)
            case {"loading": done}:
                self._session.progress(f"loading {variant.base} for {variant.name}", done, 1)
            case {"begin": step}:
                self._session.store.curves.truncate(variant.id, step)
                run.writer = run.writing.enter_context(self._session.store.curves.writer(variant.id))
            case {"points": points} if run.writer:
                run.writer.add(Point(metric, step, value) for metric, step, value in points)
            case {"flush": _} if run.writer:
                run.writer.flush()
                run.process.stored()
            case _:
                run.last = said

    def _conclude(self, run: _Run) -> None:
        """Its process is gone: write down what became of the run, or try once more with smaller passes."""
        del self._runs[run.process]
        run.writing.close()
        run.writer = None
        last = run.last or {}
        if "out_of_memory" in last and last["loaded"] and not self._asked and self._again(run, last):
            return
        self._release(run)
        try:
            self._write_down(run, last)
        except Exception as error:  # the record of one run must not end the others
            self._session.fail(run.assignment.variant.id, error)
            self.problems.append(error)

    def _again(self, run: _Run, last: dict[str, Any]) -> bool:
        """Start the run anew with smaller passes; False when there are none."""
        smaller = run.division.smaller(last["fitting"])
        if smaller is None:
            return False
        run.notes.append(
            f"{run.division.words} did not fit the memory of {run.device.label}: went on with {smaller.words}"
        )
        run.process.close()
        run.division, run.last = smaller, None
        run.process = self._start(run.assignment, run.examples, run.device, run.lock, smaller)
        self._runs[run.process] = run
        return True

    def _write_down(self, run: _Run, last: dict[str, Any]) -> None:
        run_id = run.assignment.variant.id
        finish = self._session.finish
        if "ended" in last:
            ended = Ended.of_json(last["ended"])
            ended.notes = [*run.notes, *ended.notes]
            settle(self._session, run.assignment, last["base_notes"], ended)
        elif "out_of_memory" in last:
            tried = replace(run.division, rows=1) if last["fitting"] == 0 else run.division
            what = f"even {tried.words}" if last["loaded"] else "the base itself"
            freed = "" if run.division.may_recompute else "leave out training.gradient_checkpointing: false, "
            finish(
                run_id,
                "stopped" if self._asked else "failed",
                f"out of memory on {run.device.label}: {what} does not fit ({last['out_of_memory']}); {freed}{REMEDY}",
            )
        elif "failed" in last:
            finish(run_id, last["status"], last["failed"])
            if last["invalid"]:
                self.problems.append(CheckpointInvalid(last["invalid"]))
        else:
            status: RunStatus = "stopped" if self._asked else "failed"
            finish(run_id, status, run.process.reason())

    def _release(self, run: _Run) -> None:
        run.writing.close()
        run.process.close()
        run.held.close()
