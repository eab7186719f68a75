"""`bakeoff data`: what a data file, folder or experiment's sources become, before anything is spent."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.options import JsonOption

if TYPE_CHECKING:
    from trainer import Preview


def data(
    source: Annotated[
        str, typer.Argument(metavar="FILE-OR-EXPERIMENT", help="A data file, folder or Hub id, or an experiment file.")
    ],
    rows: Annotated[int, typer.Option("--rows", min=0, help="Rows to show per source.")] = 3,
    base: Annotated[
        str,
        typer.Option(
            "--base",
            metavar="NAME",
            help="Render rows with this base's chat template. Default: the experiment's first base.",
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what was read and what was not, which columns were used, and rows with their trained part marked.

    Exit 1 if a source has no usable row.

    Examples: bakeoff data rows.jsonl · bakeoff data my.yaml --rows 5 · bakeoff data rows/ --base smollm2-135m-instruct
    """
    import trainer
    from bakeoff import listing, progress
    from bakeoff.fine_tuning import data_text

    with progress.drawn() as report:
        found, said = trainer.previews(source, rows, base, report)
    if as_json:
        print(json.dumps([_as_json(preview, said) for preview in found], indent=2))
    else:
        console = listing.output()
        for line in said:
            console.print(line, markup=False, highlight=False)
        for preview in found:
            console.print(data_text.preview_text(preview), soft_wrap=True)
    if not all(preview.report["usable"] for preview in found):
        sys.exit(1)


def _as_json(preview: Preview, said: Sequence[str]) -> dict[str, object]:
    report = preview.report
    unusable = report["read"] - report["usable"]
    rows = [asdict(row) for row in preview.shown]
    return {**report, "unusable": unusable, "base": preview.base, "said": list(said), "rows": rows}
