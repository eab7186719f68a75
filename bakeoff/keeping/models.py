"""`bakeoff models`: everything in the workspace that answers a prompt."""

from __future__ import annotations

from typing import Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption

COLUMNS = {
    "model": "name",
    "format": "form",
    "base": "base",
    "run": "run",
    "bytes": "bytes",
    "identity": "short_identity",
}
FIELDS = ("id", "name", "form", "base", "bytes", "identity", "path", "details", "created_at", "archived")


def models(
    archived: Annotated[bool, typer.Option("--archived", help="Show archived and replaced models too.")] = False,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the models: bases, adapters, merged folders, GGUF files, remote endpoints.

    bakeoff models · bakeoff models --json
    """
    from bakeoff.listing import fields, show
    from results import Workspace

    with Workspace.open(workspace).existing().store() as store:
        found = store.models.list()
    rows = [{**fields(each, FIELDS), "run": each.run_id} for each in found if archived or not each.archived]
    if not json_:
        rows = [{**row, "short_identity": str(row["identity"])[:12]} for row in rows]
    show(rows, COLUMNS, as_json=json_, empty="No models yet. Train something: bakeoff demo")
