"""`bakeoff run FILE`: an experiment from its file to its scores, or all of it in miniature."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.options import WorkspaceOption

if TYPE_CHECKING:
    from results import Workspace
    from trainer import Experiment


def run(
    experiment_file: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment file (YAML).")],
    workspace: WorkspaceOption = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="The whole experiment in about a minute, with a miniature of each base.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="All tasks of every benchmark, whatever the file says.")] = False,
    ray: Annotated[
        str,
        typer.Option(
            "--ray",
            metavar="local|HOST:PORT",
            help="Train over a Ray cluster, one on this machine or an existing one: docs/beyond_one_machine.md.",
        ),
    ] = "",
) -> None:
    """Run an experiment: train its variants, export their formats, measure them. Resumes where it stopped.

    Examples: bakeoff run experiments/demo.yaml · bakeoff run mine.yaml --rehearse · bakeoff run mine.yaml --ray local
    """
    from bakeoff import progress
    from bakeoff.experiment import summary
    from bakeoff.experiment.pipeline import run_experiment, whole
    from bakeoff.writing import writable
    from results import BakeoffError
    from trainer import OverRay, load_experiment

    experiment = load_experiment(experiment_file)
    place = writable(workspace)
    if rehearse and ray:
        raise BakeoffError("--rehearse goes through everything on this machine: give it without --ray")
    over = OverRay(ray) if ray else None
    if rehearse:
        rehearse_whole(experiment, place, experiment_file)
        return
    if full:
        experiment = whole(experiment)
    store = place.store()
    with progress.drawn() as report:
        outcome = run_experiment(experiment, store, place, report, summary.say, over=over)
    summary.show(outcome, store)
    if not outcome.complete:
        sys.exit(1)


def rehearse_whole(experiment: Experiment, workspace: Workspace, file: Path) -> None:
    """Rehearse in a workspace and store of its own, anew each time: no miniature comes among the real models."""
    import shutil
    import time

    import torch

    from bakeoff import progress
    from bakeoff.experiment import summary
    from bakeoff.experiment.pipeline import run_experiment
    from results import Workspace
    from trainer import rehearsal

    began = time.monotonic()
    torch.set_num_threads(1)  # products this small gain nothing by a second one, and lose much on a busy machine
    place = Workspace(workspace.folder("rehearsals") / experiment.name)
    shutil.rmtree(place.path, ignore_errors=True)
    small = rehearsal(experiment, place)
    for line in small.words:
        summary.say(line)
    store = place.store(place.folder() / "results.db")
    with progress.drawn() as report:
        outcome = run_experiment(small.experiment, store, place, report, summary.say, small.leads)
    summary.show_rehearsal(outcome, time.monotonic() - began, place.path, file)
    if not outcome.complete:
        sys.exit(1)
