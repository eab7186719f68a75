"""Points that could not be delivered, kept in files until the store takes them.

One file for each run and process, a line of JSON for each batch, synced to the disk. A line torn by a crash is left
out; delivering twice changes nothing, because a point's key is (run, metric, step).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from results.errors import BakeoffError
from results.files.locks import wait_for_lock
from results.records import Point

Deliver = Callable[[str, list[Point]], None]


class Spool:
    """`Spool(folder)`; the folder is made when something has to be kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, run_id: str, points: Sequence[Point]) -> None:
        """Append a batch to this process's file of the run; on disk when it returns. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"run": run_id, "points": [[p.metric, p.step, p.value] for p in points]})
        with _locked(self.folder / f"{_prefix(run_id)}{os.getpid()}.jsonl", "a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def files(self, run_id: str | None = None) -> list[Path]:
        """Files with points not delivered, of one run or of all, oldest first."""
        pattern = "*.jsonl" if run_id is None else f"{_prefix(run_id)}*.jsonl"
        found = []
        for path in self.folder.glob(pattern):
            try:
                found.append((path.stat().st_mtime_ns, path))
            except OSError:  # delivered by another process a moment ago
                continue
        return [path for _, path in sorted(found)]

    def deliver(self, deliver: Deliver, run_id: str | None = None) -> list[str]:
        """Hand every kept point, of one run or of all, to `deliver(run_id, points)`, and remove the files.

        A file that `deliver` refuses stays; one sentence about each is returned.
        """
        problems = []
        for path in self.files(run_id):
            try:
                with _locked(path, "r") as file:
                    for run, points in _batches(file).items():
                        deliver(run, points)
                    path.unlink()
            except FileNotFoundError:  # delivered by another process a moment ago
                continue
            except (BakeoffError, OSError) as error:
                problems.append(f"{path.name} waits to be delivered: {error}")
        return problems


def _prefix(run_id: str) -> str:
    return hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()[:16] + "-"


def _batches(file: IO[str]) -> dict[str, list[Point]]:
    """Points by run; a torn line is left out."""
    found: dict[str, list[Point]] = {}
    for line in file:
        try:
            content = json.loads(line)
            points = [Point(str(metric), int(step), float(value)) for metric, step, value in content["points"]]
            found.setdefault(str(content["run"]), []).extend(points)
        except (ValueError, KeyError, TypeError):
            continue
    return found


@contextmanager
def _locked(path: Path, mode: str) -> Iterator[IO[str]]:
    """The file, held by this process alone; opened anew if it was delivered and removed while waiting for it.

    Raises: FileNotFoundError in mode "r" if it is gone.
    """
    while True:
        with path.open(mode, encoding="utf-8") as file:
            wait_for_lock(file)
            try:
                if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                    continue
            except FileNotFoundError:
                continue
            yield file
            return
