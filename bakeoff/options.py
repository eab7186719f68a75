"""Options that several verbs share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        envvar="BAKEOFF_WORKSPACE",
        help="Folder of the store, checkpoints and artifacts. Default: ./workspace",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout instead of a table.")]
DownloadOption = Annotated[
    bool, typer.Option("--download", help="First fetch the file of humaneval+, mbpp or mbpp+, if there is none here.")
]
