"""`bakeoff runs`: what was fine-tuned and what became of it."""

from __future__ import annotations

from typing import Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption

COLUMNS = {
    "run": "name",
    "base": "base",
    "status": "status",
    "steps": "steps",
    "of": "total_steps",
    "last loss": "last_loss",
    "best validation": "best_validation_loss",
    "at step": "best_step",
    "note": "reason",
}
FIELDS = (
    "id", "name", "base", "status", "total_steps", "experiment", "seed", "reason", "origin", "machine_id", "started_at",
    "finished_at", "tags", "notes", "archived",
)  # fmt: skip
PROGRESS = ("steps", "last_loss", "best_validation_loss", "best_step")


def runs(
    archived: Annotated[bool, typer.Option("--archived", help="Show archived runs too.")] = False,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the runs, oldest first. Losses are nats per token.

    bakeoff runs · bakeoff runs --json
    """
    from bakeoff.listing import fields, show
    from results import Workspace

    with Workspace.open(workspace).existing().store() as store:
        summaries = store.runs.list()
    rows = [
        {**fields(each.run, FIELDS), **fields(each, PROGRESS)}
        for each in summaries
        if archived or not each.run.archived
    ]
    show(rows, COLUMNS, as_json=json_, empty="No runs yet. Train something: bakeoff demo")
