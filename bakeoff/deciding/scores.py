"""`bakeoff scores`: every measured or imported number, with its interval and where it comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption

COLUMNS = {
    "model": "model",
    "benchmark": "benchmark",
    "metric": "metric",
    "value": "value",
    "low": "low",
    "high": "high",
    "n": "n",
    "machine": "machine",
    "subset": "subset",
    "origin": "origin",
}


OURS = ("humaneval", "humaneval+", "mbpp", "mbpp+", "heldout", "stopping", "latency")
"""Benchmarks that there are also where nothing was measured by them yet."""


def scores(
    benchmark: Annotated[str | None, typer.Option(help="Only this benchmark, e.g. humaneval.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model, by name or id.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Show those of archived models too.")] = False,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the scores with their 95 % intervals. Units are in the metric's name.

    bakeoff scores --benchmark humaneval · bakeoff scores --json
    """
    from bakeoff.listing import show
    from results import NotFound, Workspace

    with Workspace.open(workspace).existing().store() as store:
        wanted = store.models.find(model).id if model else None
        found = store.evaluations.scores()
        away = {one.id for one in store.models.list() if one.archived and not archived} - {wanted}
    tests = sorted({each.benchmark for each in found})
    if tests and benchmark is not None and benchmark not in (*tests, *OURS):
        raise NotFound(f"no scores by {benchmark!r}; there are some by {', '.join(tests)}")
    rows = [
        {
            **{name: getattr(each, name) for name in ("model", "benchmark", "metric", "value", "low", "high", "n")},
            "machine": each.machine_id,
            **{name: getattr(each, name) for name in ("subset", "origin", "settings", "form", "finished_at")},
            "evaluation": each.evaluation_id,
        }
        for each in found
        if benchmark in (None, each.benchmark) and wanted in (None, each.model_id) and each.model_id not in away
    ]
    show(rows, COLUMNS, as_json=json_, empty="No scores yet. Measure something: bakeoff evaluate, bakeoff latency")
