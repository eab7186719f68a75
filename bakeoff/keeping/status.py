"""`bakeoff status`: which runs are not finished, where they are, and what began again and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakeoff.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from results import RunSummary, Store

COLUMNS = {
    "run": "name",
    "status": "status",
    "steps": "steps",
    "of": "total_steps",
    "where": "where",
    "begun again": "retries",
    "why": "reason",
}


def status(
    all_: Annotated[bool, typer.Option("--all", help="Show finished runs too.")] = False,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say which runs wait, run or have stopped, on which host, how often each was begun again, and why.

    bakeoff status · bakeoff status --all --json
    """
    from bakeoff.listing import show
    from results import Workspace

    with Workspace.open(workspace).existing().store() as store:
        rows = [
            _row(one, store)
            for one in store.runs.list()
            if not one.run.archived and one.run.origin == "measured" and (all_ or one.run.status != "finished")
        ]
    show(rows, COLUMNS, as_json=json_, empty="Every run is finished. All of them: bakeoff status --all")


def _row(summary: RunSummary, store: Store) -> dict[str, Any]:
    """One run; `retries` as a list for programs is in the store's report of that kind."""
    from results import PLACE, RETRIES

    run = summary.run
    place, retries = store.reports.get(run.id, PLACE), store.reports.get(run.id, RETRIES)
    lost = retries.payload["retries"] if retries else []
    reasons = [run.reason, *(f"begun again at {one['at'][:19]}: {one['why']}" for one in lost[-1:])]
    running = run.status == "running" and place is not None
    return {
        "id": run.id,
        "name": run.name,
        "status": "queued" if run.status == "planned" else run.status,
        "steps": summary.steps,
        "total_steps": run.total_steps,
        "where": f"{place.payload['host']}, process {place.payload['process']}" if running and place else "",
        "retries": len(lost),
        "reason": "; ".join(filter(None, reasons)),
    }
