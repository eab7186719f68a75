"""`bakeoff rename`: call a fine-tune otherwise, everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from bakeoff.options import WorkspaceOption


def rename(
    name: Annotated[str, typer.Argument(help="The fine-tune, by its name, or by a format's such as demo-rank8@q4_0.")],
    new: Annotated[str, typer.Argument(help="What it is called from now on.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Rename a fine-tune with its run and all its formats. Its earlier names still find it.

    bakeoff rename demo-rank8 shop-bot
    """
    from results import Workspace

    with Workspace.open(workspace).existing().store() as store:
        before = store.models.find(name).fine_tune
        store.models.rename(name, new)
        formats = ", ".join(one.name for one in store.models.formats(new))
    print(f"{before} is called {new} now: {formats}")
