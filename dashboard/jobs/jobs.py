"""Long work in processes of its own: it outlives page, browser and dashboard, and can be stopped and resumed.

A job is a folder in the workspace: what is run, its log, its exit status. Whether it still runs is told by a lock that
its process holds, so neither a restart of the dashboard nor a reused process number can deceive.

Try: python -m dashboard.jobs.jobs FOLDER runs the command in FOLDER/command.json
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

from results import Workspace, lock_is_held, now, take_lock, wait_for_lock

State = Literal["not begun", "running", "finished", "stopped", "failed", "was killed"]
ENDS: dict[int | None, State] = {None: "was killed", 0: "finished", 130: "stopped", -2: "stopped"}
"""How a job ended, by its exit status; every other one is a failure. Ctrl-C is 130, or -2 before the command is up."""
LOG_BYTES = 20_000
"""So much of a log's end is shown on a page."""
ANSWER = "answer.json"
"""A file that is in a job's folder takes what the command prints; without it that is in the log, with what it says."""
LOOKS = 3
"""So often a job is looked at before it is taken to have been killed."""
START_SECONDS = 60.0
"""A job that was started can be stopped after this long at most."""


class Job:
    """One folder of `workspace/jobs/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return lock_is_held(self.folder / "lock")

    @property
    def title(self) -> str:
        """`run-demo, 22 Nov 07:10 UTC`: what it is for people."""
        words = self.name.split("-", 4)  # date, time, microseconds, kind, name: see `folder`
        return f"{words[-1]}, {self.started:%d %b %H:%M} UTC"

    @property
    def kind(self) -> str:
        """What it does, as `folder` was told."""
        return (self.name.split("-", 4) + [""] * 5)[3]

    @property
    def exit_status(self) -> int | None:
        """The exit status of its last time; None while it runs, or when it was killed."""
        path = self.folder / "status"
        return int(path.read_text()) if path.exists() and not self.running else None

    @property
    def command(self) -> list[str]:
        """What it runs."""
        found = json.loads((self.folder / "command.json").read_text(encoding="utf-8"))
        return [str(word) for word in found]

    @property
    def started(self) -> datetime:
        """When it was last started."""
        return datetime.fromtimestamp((self.folder / "command.json").stat().st_mtime, UTC)

    @property
    def state(self) -> State:
        """How it stands; without an exit status it was killed, or has not begun.

        It may begin or end between two looks: an end is taken for one only if the job did not run at either.
        """
        begun = (self.folder / "log").exists()
        for _ in range(LOOKS):
            if self.running:
                return "running"
            if (status := self.exit_status) is not None:
                return ENDS.get(status, "failed")
        return "was killed" if begun else "not begun"

    def words(self) -> str:
        """Its state as a page shows it: a failure with its exit status."""
        return f"{self.state} ({self.exit_status})" if self.state == "failed" else self.state

    def log(self) -> str:
        """The end of what it said; a progress line that was overdrawn shows its last state."""
        path = self.folder / "log"
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
        return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))

    def start(self) -> None:
        """Run it, or run it again: what it did before is found and reused by the command itself. Not twice at once."""
        with contextlib.ExitStack() as opened:
            lock = opened.enter_context((self.folder / "lock").open("a"))
            if not _taken(lock):
                return
            log = opened.enter_context((self.folder / "log").open("ab"))  # with the lock held: the sign that it began
            os.utime(self.folder / "command.json")
            for name in ("status", "pid"):
                (self.folder / name).unlink(missing_ok=True)
            # The lock is handed over, so that the job runs from this moment on and not from when Python is up.
            process = subprocess.Popen(
                [sys.executable, "-m", "dashboard.jobs.jobs", str(self.folder), str(lock.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
            )
        _children.append(process)

    def stop(self) -> None:
        """Ctrl-C: training stops at a checkpoint, and the same job goes on from there."""
        path, deadline = self.folder / "pid", time.monotonic() + START_SECONDS
        while self.running and time.monotonic() < deadline:
            if path.exists() and (number := path.read_text()):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(number), signal.SIGINT)
                return
            time.sleep(0.05)


def _taken(lock: IO[str]) -> bool:
    """Take a job's lock. False when it runs; somebody who only looks at it is waited for."""
    for _ in range(20):
        if take_lock(lock):
            return True
        time.sleep(0.02)
    return False


_children: list[subprocess.Popen[bytes]] = []
"""Started here; kept so that `reap` can take their exit status and none stays a zombie."""


def reap() -> None:
    """Take the exit status of jobs that have ended."""
    _children[:] = [child for child in _children if child.poll() is None]


def folder(workspace: Workspace, kind: str, name: str) -> Path:
    """A new job's folder, named after the time, the kind and the name."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:40] or "job"
    return workspace.folder("jobs", f"{now():%Y%m%d-%H%M%S-%f}-{kind}-{slug}")


def create(place: Path, command: Sequence[str]) -> Job:
    """A job that runs `command`; start it next."""
    half = place / "command.half"  # a page that looks meanwhile sees the whole command or no job
    half.write_text(json.dumps(list(command)), encoding="utf-8")
    half.replace(place / "command.json")
    return Job(place)


def find(workspace: Workspace, kind: str) -> list[Job]:
    """The jobs of a kind, newest first."""
    reap()
    root = workspace.path / "jobs"
    places = sorted(root.iterdir(), reverse=True) if root.is_dir() else []
    found = [Job(place) for place in places if (place / "command.json").exists()]
    return [job for job in found if job.kind == kind]


def main(place: Path, held: int | None = None) -> int:
    """Run the folder's command to its end, holding the folder's lock. held: its descriptor, if somebody took it."""
    with (place / "lock").open("a") if held is None else os.fdopen(held, "a") as lock:
        wait_for_lock(lock)
        # A handler, not "ignore": the command would inherit that and could not be stopped.
        signal.signal(signal.SIGINT, lambda *_: None)
        # The command holds the lock too: were this process alone killed, what it started would still be seen to run.
        with (place / ANSWER).open("wb") if (place / ANSWER).exists() else contextlib.nullcontext() as answer:
            command = subprocess.Popen(Job(place).command, stdout=answer, pass_fds=(lock.fileno(),))
        (place / "pid").write_text(str(os.getpid()))
        status = command.wait()
        (place / "status").write_text(str(status))
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:3])))
