"""`bakeoff export`: a model in the format that ships, or the store's figures as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.options import WorkspaceOption


def export(
    target: Annotated[str, typer.Argument(help="A model's name, or a new file: .csv, .json, .jsonl or .parquet.")],
    form: Annotated[str, typer.Option(help="For a model: merged, gguf-f16, gguf-q8_0, lora-gguf, …")] = "gguf-q8_0",
    over: Annotated[
        str, typer.Option(help="For lora-gguf: the format of the base's file, where the base is no GGUF itself.")
    ] = "gguf-q8_0",
    table: Annotated[
        str, typer.Option(help="For a table: scores, runs, points, models, outcomes, answers, votes, published.")
    ] = "scores",
    workspace: WorkspaceOption = None,
) -> None:
    """Write a model in the format that ships (behind the parity gate), or a table of the store.

    Examples: bakeoff export demo-rank8 --form gguf-q8_0 · bakeoff export losses.parquet --table points ·
    bakeoff export answers.jsonl --table answers · bakeoff import answers.jsonl
    """
    from results import FORMATS, Workspace, export_table

    place = Workspace.open(workspace).existing()
    with place.store() as store:
        if Path(target).suffix.lower() in FORMATS:
            print(f"{target}: {export_table(store, target, table):,} rows")
            return
        from typing import get_args

        import engines
        from bakeoff.writing import writable
        from results import BakeoffError, Form

        writable(place.path)

        for name in (form, over):
            if name not in get_args(Form):
                raise BakeoffError(f"No format {name!r}. There are: {', '.join(get_args(Form))}")
        made = engines.export(store.models.find(target), form, place, store, over)  # type: ignore[arg-type]
        print(f"{made.name}: {made.form}, {made.bytes / 1e6:.0f} MB, {place.resolve(made.path)}")
