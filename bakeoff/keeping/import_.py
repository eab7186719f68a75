"""`bakeoff import`: runs and results made with other tools, into the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption


def import_(
    path: Annotated[Path, typer.Argument(help="A file, or a folder with anything of a known kind in it.")],
    model: Annotated[str | None, typer.Option(help="The model in the store that the results are of.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, write nothing.")] = False,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Import runs and results; the format is detected. Importing again changes nothing.

    bakeoff import outputs/my-run · bakeoff import mlruns --dry-run · bakeoff import samples.jsonl_results.jsonl
    """
    from results import Workspace, import_path

    with Workspace.open(workspace).store() as store:
        report = import_path(path, store, dry_run=dry_run, model=model)
    if json_:
        print(json.dumps(report.as_json()))
        return
    for item in report.items:
        what = f"{item.points} points" if item.kind == "run" else f"{item.benchmark}, {item.outcomes} outcomes"
        state = "would be imported" if dry_run and item.new else "imported" if item.new else "was there already"
        print(f"{item.kind} {item.name} ({item.format}): {what}; {state}")
        for missing in item.missing:
            print(f"  not in the file: {missing}")
    for sentence in (*report.notes, *(f"refused: {reason}" for reason in report.refused)):
        typer.echo(sentence, err=True)
