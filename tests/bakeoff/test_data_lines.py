"""What `bakeoff run` says of the data: each matter once, and for which bases it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bakeoff.experiment.pipeline import data_lines
from results import Report, Run, Store


def report(refused: int) -> dict[str, Any]:
    left_out = {"no reasoning": {"rows": refused, "examples": ["s, row 1"]}} if refused else {}
    part = {"refused_by_template": refused, "left_out_no_answer": 0, "truncated": 0, "left_out": left_out}
    bad = {"no turns": {"rows": 1, "examples": ["rows.jsonl:3"]}}
    return {"sources": [{"source": "s", "read": 9, "usable": 8, "bad": bad}], "tokens": {"training": part}}


def test_lines_of_some_bases_name_them_and_common_ones_stand_once(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'results.db'}")
    runs = [Run(f"r{number}", f"r{number}", "x", base, {}, 0) for number, base in enumerate(("one", "one", "two"))]
    for run in runs:
        store.runs.add(run)
        store.reports.put(Report(run.id, "data", report(2 if run.base == "two" else 0)))
    assert data_lines(runs, store) == [
        "one: data: removed: 1 unreadable",
        "1 row cannot be read: no turns (1: rows.jsonl:3)",
        "two: data: removed: 1 unreadable, 2 not shown by the template",
        "two: 2 rows are left out: no reasoning (2: s, row 1)",
    ]
    assert data_lines(runs[:2], store)[0] == "data: removed: 1 unreadable"
