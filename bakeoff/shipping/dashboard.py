"""`bakeoff dashboard`: the pages in a browser, and the model server behind them."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from bakeoff.options import WorkspaceOption


def dashboard(
    workspace: WorkspaceOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8501,
    serve: Annotated[bool, typer.Option(help="Start the model server too (chat, arena, prompt sets).")] = True,
    headless: Annotated[bool, typer.Option("--headless", help="Open no browser window.")] = False,
) -> None:
    """Open the dashboard. Ctrl-C ends it and its model server.

    Example: bakeoff dashboard --port 8600 --no-serve
    """
    from dashboard import Processes
    from results import Workspace

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Workspace.open(workspace)
    if not place.path.exists():
        print(f"bakeoff: there is no workspace at {place.path} yet: one begins there", file=sys.stderr, flush=True)
    processes = Processes(
        place, port, serve=serve, headless=headless,
        say=lambda words: print(f"bakeoff: {words}", file=sys.stderr, flush=True),
    )  # fmt: skip
    try:
        processes.wait_until_answering()
        print(f"Dashboard: {processes.address} (Ctrl-C ends it)", flush=True)
        sys.exit(processes.wait())
    finally:
        processes.stop()
