"""`bakeoff train`: the trainings of an experiment, without export and measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff import progress
from bakeoff.options import JsonOption, WorkspaceOption


def train(
    file: Annotated[Path, typer.Argument(help="The experiment file.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train every variant of an experiment; finished runs are reused, stopped ones resume.

    Example: bakeoff train experiments/demo.yaml
    """
    import json
    import sys

    import trainer
    from bakeoff.writing import writable

    place = writable(workspace)
    store = place.store()
    experiment = trainer.load_experiment(file)
    before = {summary.run.id for summary in store.runs.list() if summary.run.status == "finished"}
    with progress.drawn() as report:
        runs = trainer.train(experiment, store, place, report)
    for line in trainer.rebuild(runs, store, place):
        print(f"bakeoff: {line}", file=sys.stderr)
    for run in runs:
        reused = run.id in before
        if as_json:
            print(json.dumps({"id": run.id, "name": run.name, "status": run.status, "reused": reused}))
        else:
            print(f"{run.name}: {run.status}{' (reused)' if reused else ''}{f', {run.reason}' if run.reason else ''}")
    sweep = store.reports.get(experiment.name, "sweep")
    for effect in sweep.payload.get("effects", []) if sweep and not as_json else []:
        print(effect["words"])
