"""`bakeoff status`: runs that wait, run or stopped, where, and what began again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from results import Report, Run, Store, Workspace


@pytest.fixture
def told(store: Store, workspace: Workspace) -> dict[str, dict[str, object]]:
    """What it says, by run, of one that waits, one that runs, one that stopped and one that has finished."""
    for name in ("waits", "runs", "stops", "done"):
        store.runs.add(Run(name, name, "mini", "base", {}, 0))
    store.runs.start("runs", None, 40)
    store.reports.put(Report("runs", "place", {"host": "node-7", "process": 123, "since": ""}))
    lost = [{"at": f"2026-11-30T0{hour}:00:00+00:00", "why": f"its node went down ({hour})"} for hour in (1, 2)]
    store.reports.put(Report("runs", "retries", {"retries": lost}))
    for name, status in (("stops", "stopped"), ("done", "finished")):
        store.runs.start(name, None, 40)
        store.reports.put(Report(name, "place", {"host": "node-7", "process": 124, "since": ""}))
        store.runs.finish(name, status, "needs 8 GPUs" if name == "stops" else "")  # type: ignore[arg-type]
    shown = CliRunner().invoke(app, ["status", "--json", "--workspace", str(workspace.path)])
    assert shown.exit_code == 0, shown.output
    return {row["id"]: row for row in json.loads(shown.output)}


def test_it_says_who_waits_who_runs_where_and_why_it_began_again(told: dict[str, dict[str, object]]) -> None:
    assert {name: row["status"] for name, row in told.items()} == {
        "waits": "queued",
        "runs": "running",
        "stops": "stopped",
    }
    assert told["runs"]["where"] == "node-7, process 123" and told["runs"]["retries"] == 2
    assert told["runs"]["reason"] == "begun again at 2026-11-30T02:00:00: its node went down (2)"
    assert told["stops"]["where"] == "" and told["stops"]["reason"] == "needs 8 GPUs"


def test_without_open_runs_it_says_so(workspace: Workspace, tmp_path: Path) -> None:
    workspace.store().close()
    shown = CliRunner().invoke(app, ["status", "--workspace", str(workspace.path)])
    assert "Every run is finished" in shown.output
