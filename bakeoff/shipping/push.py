"""`bakeoff push MODEL REPOSITORY`: publish a model on the Hugging Face Hub with a card filled from the store."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bakeoff.options import WorkspaceOption


def push(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name or id of a model (bakeoff models).")],
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="user/name on the Hub.")],
    public: Annotated[bool, typer.Option("--public", help="Make it public. Default: private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the card and the files; send nothing.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Publish a model with a card of its data, settings, curves, scores and contamination. Needs HF_TOKEN.

    Example: bakeoff push demo-rank8 your-name/demo-rank8 --dry-run
    """
    import trainer
    from results import Workspace

    place = Workspace.open(workspace).existing()
    with place.store() as store:
        upload = trainer.upload_of(store.models.find(model), repository, store, place)
    if dry_run:
        print(upload.card)
        for name, size in upload.sizes.items():
            print(f"would send {name}, {size:,} bytes", file=sys.stderr)
    else:
        total = sum(upload.sizes.values())
        print(f"sending {len(upload.files)} files, {total / 1e6:.1f} MB, to {repository}", file=sys.stderr)
        print(trainer.push(upload, private=not public))
