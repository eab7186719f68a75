"""Questions that a command answers in JSON: what a file's rows become, what an experiment would take.

Each is a job of its own in `WORKSPACE/looks/`, named by what is asked, so that the same question is answered once: a
page that is reloaded finds the answer, or the command still at work on it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from typing import Any

from dashboard.jobs import commands, jobs
from dashboard.jobs.jobs import Job
from results import Workspace
from results.records import digest

FOLDER = "looks"
FILE = "experiment.yaml"
MOST_KEPT = 60
"""Answers that are kept; the oldest go."""


class Look:
    """One question, and its answer once the command has ended."""

    def __init__(self, job: Job) -> None:
        self.job = job

    @property
    def running(self) -> bool:
        """Whether it is being answered."""
        return self.job.running

    @property
    def asked(self) -> bool:
        """Whether anybody has asked it yet."""
        return (self.job.folder / "log").exists()

    @property
    def answer(self) -> Any:
        """What the command said, parsed; None while it runs, and where it said nothing that could be read."""
        if self.running:
            return None
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.job.folder / jobs.ANSWER).read_text(encoding="utf-8"))
        return None

    @property
    def refusal(self) -> str:
        """Why there is no answer: the last that the command said, which is one line that names value and remedy."""
        lines = [line.strip() for line in self.job.log().splitlines() if line.strip()]
        return lines[-1] if lines else f"the command ended without a word ({self.job.words()})"

    def ask(self) -> None:
        """Have it answered, also anew."""
        self.job.start()


def look(workspace: Workspace, verb: str, text: str, *options: str, about: Mapping[str, str] | None = None) -> Look:
    """The question that `bakeoff VERB experiment.yaml --json` answers, whether or not it was asked yet.

    text: the experiment file. about: what the answer rests on besides, e.g. when a file was last written.
    Raises: BakeoffError or OSError where the workspace cannot be written.
    """
    name = digest([verb, text, list(options), dict(about or {})])[:24]
    place = workspace.path / FOLDER / name
    if not (place / "command.json").exists():
        place = workspace.folder(FOLDER, name)
        _forget(workspace)
        (place / FILE).write_text(text, encoding="utf-8")
        (place / jobs.ANSWER).touch()
        jobs.create(place, [*commands.OURS, verb, str(place / FILE), "--json", *options])
    return Look(Job(place))


def file_of(job: Job) -> str:
    """The experiment file that a job of a page runs; empty where it has none."""
    path = job.folder / FILE
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _forget(workspace: Workspace) -> None:
    places = sorted((workspace.path / FOLDER).iterdir(), key=lambda place: place.stat().st_mtime_ns)
    for place in places[:-MOST_KEPT]:
        if not Job(place).running:
            shutil.rmtree(place, ignore_errors=True)
