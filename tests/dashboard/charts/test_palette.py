"""One colour a fine-tune, whatever is added later."""

from __future__ import annotations

from pathlib import Path

from dashboard import palette
from tests.dashboard import stores


def test_forms_of_one_run_share_its_colour_and_differ_in_symbol(workspaces: dict[str, Path]) -> None:
    store = stores.Workspace(workspaces["small"]).store()
    models = {model.name: model for model in store.models.list()}
    styles = palette.styles(store.runs.list(), store.models.list())
    adapter, small = styles[models["demo-rank16"].id], styles[models["demo-rank16-q4_0"].id]
    assert adapter.colour == small.colour == styles[models["demo-rank16"].run_id or ""].colour
    assert adapter.symbol != small.symbol
    assert styles[models["tiny-base"].id].colour == palette.GREY


def test_a_new_run_changes_no_others_style(workspaces: dict[str, Path]) -> None:
    rows = stores.Workspace(workspaces["large"]).store().runs.list()
    before, after = palette.styles(rows[:-1], []), palette.styles(rows, [])
    first = sorted(rows, key=lambda row: str(row.run.started_at))[:-1]
    assert all(before.get(row.run.id) in (None, after[row.run.id]) for row in first)


def test_forty_runs_are_told_apart(workspaces: dict[str, Path]) -> None:
    rows = stores.Workspace(workspaces["large"]).store().runs.list()[:40]
    assert len({(style.colour, style.dash) for style in palette.styles(rows, []).values()}) == 40
