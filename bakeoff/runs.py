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


def runs(
    archived: Annotated[bool, typer.Option("--archived", help="Archived runs too.")] = False,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the runs, oldest first. Losses are nats per token.

    bakeoff runs · bakeoff runs --json
    """
    from bakeoff.listing import show
    from results import Workspace

    with Workspace.open(workspace).store() as store:
        summaries = store.runs.list()
    rows = [
        {
            **{name: getattr(each.run, name) for name in ("id", "name", "base", "status")},
            **{name: getattr(each, name) for name in ("steps", "last_loss", "best_validation_loss", "best_step")},
            **{name: getattr(each.run, name) for name in ("total_steps", "experiment", "seed", "reason", "origin")},
            **{name: getattr(each.run, name) for name in ("machine_id", "started_at", "finished_at", "tags", "notes")},
            "archived": each.run.archived,
        }
        for each in summaries
        if archived or not each.run.archived
    ]
    show(rows, COLUMNS, as_json=json_, empty="No runs yet. Train something: bakeoff demo")
