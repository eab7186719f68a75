"""`bakeoff run FILE`: an experiment from its file to its scores."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.options import WorkspaceOption


def run(
    experiment_file: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment file (YAML).")],
    workspace: WorkspaceOption = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Everything in a minute or a few, with miniatures of each base.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="All tasks of every benchmark, whatever the file says.")] = False,
) -> None:
    """Run an experiment: train its variants, export their forms, measure them. Goes on where it stopped.

    Examples: bakeoff run experiments/demo.yaml · bakeoff run mine.yaml --rehearse
    """
    from bakeoff import progress, summary
    from bakeoff.pipeline import run_experiment, whole
    from results import Workspace
    from trainer import load_experiment

    experiment = load_experiment(experiment_file)
    place = Workspace.open(workspace)
    if rehearse:
        from trainer import rehearsal

        experiment = rehearsal(experiment, place)
    if full:
        experiment = whole(experiment)
    store = place.store()
    with progress.drawn() as report:
        outcome = run_experiment(experiment, store, place, report, summary.say)
    summary.show(outcome, store)
    if outcome.unfinished:
        sys.exit(1)
