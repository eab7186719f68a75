"""The process in which one run trains on one GPU: `trainer.gpu_runs.child_process` starts it,
`trainer.gpu_runs.isolated` listens to it.

Its task is a JSON line; what it says is JSON lines, each with one of the keys `loading`, `begin`, `points`, `flush`,
`progress`, and at the end one of `ended`, `out_of_memory`, `failed`. Not for direct use.
"""

from __future__ import annotations

import _thread
import json
import os
import signal
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from results import Point
from trainer.bases.loading import load_base
from trainer.errors import CheckpointInvalid
from trainer.experiment.reading import experiment_of
from trainer.gpu_runs.handover import take
from trainer.runs.assignment import row_order
from trainer.runs.signals import Stop, stop_on_signals
from trainer.trl_loop.division import Division, out_of_memory
from trainer.trl_loop.first_pass import TooLarge
from trainer.trl_loop.supervision import Supervision


class Parent:
    """The process that has the store. Stands in for the store's curves: points go to it, and it says when they are
    safe."""

    def __init__(self, tells: IO[bytes], reply: int) -> None:
        self._tells, self._reply = tells, reply
        self._stored = threading.Semaphore(0)

    def say(self, **fields: Any) -> None:
        """Send one JSON line."""
        line = json.dumps(fields).encode() + b"\n"
        while line:
            line = line[os.write(self._reply, line) :]

    def listen(self) -> None:
        """Do what it tells, in a thread; end at once when it is gone."""
        while line := self._tells.readline():
            if line == b"stop\n":
                _thread.interrupt_main(signal.SIGTERM)
            elif line == b"stored\n":
                self._stored.release()
        os._exit(3)

    def truncate(self, run_id: str, after_step: int) -> None:
        """The curves of the one run that trains here begin anew after a step."""
        del run_id
        self.say(begin=after_step)

    @contextmanager
    def writer(self, run_id: str) -> Iterator[Parent]:
        """Yield what takes the points: this object."""
        del run_id
        yield self

    def add(self, points: Iterable[Point]) -> None:
        """Send points to the process that has the store."""
        self.say(points=[[point.metric, point.step, point.value] for point in points])

    def flush(self) -> bool:
        """Wait until all points sent so far are in the store or in its spool."""
        self.say(flush=True)
        self._stored.acquire()
        return True


def main() -> None:
    """Take the task, train, say what became of it."""
    reply = os.dup(1)
    os.dup2(2, 1)  # what libraries print goes to the log
    with open(0, "rb", buffering=0, closefd=False) as tells:  # unbuffered: a thread that waits in it holds no lock
        task = json.loads(tells.readline())
        parent = Parent(tells, reply)
        threading.Thread(target=parent.listen, daemon=True).start()
        with stop_on_signals() as stop:
            parent.say(**_outcome(task, parent, stop))


def _outcome(task: dict[str, Any], parent: Parent, stop: Stop) -> dict[str, Any]:
    """Train, and return what became of it, which is the last thing to say."""
    loaded = False
    try:
        import torch

        torch.set_num_threads(task["threads"])
        from trainer.trl_loop.trainer import Material, build, train_alone

        experiment = experiment_of(task["experiment"], "the experiment handed over")
        training = experiment.training
        parent.say(loading=0)
        base = load_base(experiment.bases[0], training.quantization, training.dtype, identity=task["base_identity"])
        parent.say(loading=1)
        loaded = True
        train, validation = take(task["examples"])
        order = row_order(training, [len(example.input_ids) for example in train], packing=False)
        material = Material(base, train, validation, Path(task["folder"]), task["identity"])
        trl = build(experiment, material, order, task["steps"], Division(**task["division"]), careful=True)
        with stop.orderly():
            supervision = Supervision(parent, lambda step: parent.say(progress=step), stop, task["until"])
            ended = train_alone(task["run_id"], trl, supervision, training)
        return {"ended": ended.as_json(), "base_notes": list(base.notes)}
    except TooLarge as error:
        return {"out_of_memory": str(error), "fitting": error.fitting, "loaded": True}
    except BaseException as error:
        traceback.print_exc()
        if out_of_memory(error):
            return {"out_of_memory": " ".join(str(error).split())[:300], "fitting": None, "loaded": loaded}
        stopped = isinstance(error, CheckpointInvalid) or not isinstance(error, Exception)
        return {
            "failed": f"{type(error).__name__}: {error}".strip(": "),
            "status": "stopped" if stopped else "failed",
            "invalid": str(error) if isinstance(error, CheckpointInvalid) else "",
        }


if __name__ == "__main__":
    main()
