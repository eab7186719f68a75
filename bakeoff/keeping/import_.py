"""`bakeoff import`: runs and results made with other tools, into the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption


def import_(
    path: Annotated[
        Path, typer.Argument(help="A file, or a folder: everything in it that has a known format is imported.")
    ],
    model: Annotated[
        str | None, typer.Option(help="Whose results they are: a model in the store, or a name for a new one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, write nothing.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line for each run and evaluation.")] = False,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Import runs and results; the format is detected. Importing again changes nothing.

    Exit status 1: something of a known kind could not be read, the rest was imported.

    bakeoff import outputs/my-run · bakeoff import good/samples.jsonl --model good · bakeoff import mlruns --dry-run
    """
    from bakeoff.keeping.import_text import items_text, remarks
    from results import Workspace, import_path

    place = Workspace.open(workspace)
    with place.passing_store() if dry_run else place.store() as store:
        report = import_path(path, store, dry_run=dry_run, model=model)
    if json_:
        print(json.dumps(report.as_json()))
    else:
        print("\n".join(items_text(report, verbose)))
        for sentence in remarks(report, verbose):
            typer.echo(sentence, err=True)
    if report.refused:
        raise typer.Exit(1)
