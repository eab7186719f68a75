"""A process of its own for one run: what it says comes into a queue, what it is told goes down its stdin.

The child is `python -m trainer.gpu_runs.child_main`. It reads one JSON line (its task) from stdin and says JSON lines
on stdout until it ends; later lines on its stdin are `stop` and `stored`. When its stdin closes, because its parent has
died however, it ends at once: what counts is in its newest checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from engines import Device

ROOT = Path(__file__).resolve().parents[2]

ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"

Said = tuple["Process", "dict[str, Any] | None"]
"""A process and what it said; None when it has ended."""


class Process:
    """One child process in which a run trains."""

    def __init__(
        self,
        task: Mapping[str, Any],
        device: Device,
        descriptors: Sequence[int],
        log: Path,
        said: SimpleQueue[Said],
    ) -> None:
        """Start it on a device.

        descriptors: open files that it inherits under the same numbers. log: takes what it and its libraries print.
        """
        self._log = log
        self._stop_asked = False
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trainer.gpu_runs.child_main"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                pass_fds=descriptors,
                env=environment(device, os.environ),
            )
        threading.Thread(target=self._listen, args=(said,), daemon=True, name=f"training {self.pid}").start()
        self._tell(json.dumps(task))

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def stored(self) -> None:
        """Tell it that the points it wants to be sure of are safe."""
        self._tell("stored")

    def ask_to_stop(self) -> None:
        """Let it end in order: after the present step, with a checkpoint. Asking again changes nothing."""
        if not self._stop_asked:
            self._stop_asked = True
            self._tell("stop")

    def kill(self) -> None:
        """End it now, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Wait until it is gone, and give back its pipes."""
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def reason(self) -> str:
        """Say in one sentence why the child ended without a word."""
        status = self._process.wait()
        ended = f"signal {-status}" if status < 0 else f"exit status {status}"
        hint = " (killed: was the machine short of memory?)" if status == -9 else ""
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        last = f": {lines[-1][:200]}" if lines else ""
        return f"its process ended with {ended}{hint}{last}; its log is {self._log}"

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError):  # it has died; the queue says so
            if self._process.stdin:
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()

    def _listen(self, said: SimpleQueue[Said]) -> None:
        assert self._process.stdout
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                said.put((self, json.loads(line)))
        self._process.wait()
        said.put((self, None))


def environment(device: Device, outer: Mapping[str, str]) -> dict[str, str]:
    """A child's environment variables: it sees one GPU, that device, whatever part of the machine we see ourselves."""
    path = os.pathsep.join(part for part in (str(ROOT), outer.get("PYTHONPATH", "")) if part)
    own = {**outer, "PYTHONPATH": path}
    if not device.is_cuda:
        return {**own, "BAKEOFF_DEVICE": device.name, "CUDA_VISIBLE_DEVICES": ""}
    number = int(device.name.partition(":")[2])
    visible = [entry.strip() for entry in outer.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry.strip()]
    own |= {"BAKEOFF_DEVICE": "cuda:0", "CUDA_VISIBLE_DEVICES": visible[number] if visible else str(number)}
    if ALLOCATOR not in outer and "PYTORCH_ALLOC_CONF" not in outer:
        own[ALLOCATOR] = "expandable_segments:True"  # rows of different lengths leave holes otherwise
    return own
