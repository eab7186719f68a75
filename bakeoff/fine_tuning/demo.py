"""`bakeoff demo`: two fine-tunes of a 135M model, trained, measured and compared on this machine, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.options import WorkspaceOption

DEMO = Path(__file__).resolve().parents[2] / "experiments" / "demo.yaml"


def demo(
    workspace: WorkspaceOption = None,
    full: Annotated[bool, typer.Option("--full", help="All 164 HumanEval tasks instead of the demo's subset.")] = False,
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard", help="Do not open the dashboard afterwards.")] = False,
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8501,
) -> None:
    """Train, measure and compare two fine-tunes of a 135M model on this machine, then open the dashboard.

    Examples: bakeoff demo · bakeoff demo --no-dashboard · bakeoff demo --full
    """
    from bakeoff.fine_tuning.run import run
    from bakeoff.shipping.dashboard import dashboard

    run(DEMO, workspace=workspace, full=full)
    if not no_dashboard:
        dashboard(workspace=workspace, port=port)
