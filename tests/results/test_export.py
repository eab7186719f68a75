"""Flat files that no spreadsheet runs, and that other tools read back as they were."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results import BakeoffError, Point, Run, Store, export_table, load_published
from results.export import begins_formula, neutral
from results.published import read_published
from tests.results.shelves import add_humaneval, add_model

EVIL = '=HYPERLINK("http://evil","x")'


@pytest.fixture
def store(tmp_path: Path, migrated_sqlite: Path) -> Any:
    """A store with a model and a run whose names are formulas."""
    (tmp_path / "results.db").write_bytes(migrated_sqlite.read_bytes())
    with Store(f"sqlite:///{tmp_path / 'results.db'}") as opened:
        add_humaneval(opened, add_model(opened, EVIL), [True, False])
        run = Run("r", "@run", "e", "b", {"seed": -1, "note": "=1"}, 0, status="finished", origin="imported")
        values = (-1.5, math.nan, -math.inf, 2.0)
        opened.runs.add(run, [Point("loss", step, value) for step, value in enumerate(values)])
        yield opened


def test_csv_neutralises_texts_and_keeps_numbers(store: Store, tmp_path: Path) -> None:
    assert export_table(store, tmp_path / "scores.csv") == 1
    with (tmp_path / "scores.csv").open(encoding="utf-8-sig", newline="") as file:
        row = next(csv.DictReader(file))
    assert row["model"] == "'" + EVIL and float(row["value"]) == 0.5
    export_table(store, tmp_path / "points.csv", "points")
    with (tmp_path / "points.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["value"] == "-1.5" and rows[0]["run"] == "'@run", "negative numbers are numbers"
    assert math.isnan(float(rows[1]["value"])) and float(rows[2]["value"]) == -math.inf
    assert not any(begins_formula(cell) for row in rows[1:] for cell in row.values() if cell != " -Infinity")


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet"])
@pytest.mark.parametrize("table", ["scores", "runs", "points", "models", "outcomes", "votes", "published"])
def test_other_formats_read_back(store: Store, tmp_path: Path, ending: str, table: str) -> None:
    path = tmp_path / f"{table}.{ending}"
    count = export_table(store, path, table)
    if ending == "json":
        rows = json.loads(path.read_text())
    elif ending == "jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    assert len(rows) == count == {"points": 4, "outcomes": 2, "votes": 0, "published": 0}.get(table, 1)
    if table == "models":
        assert rows[0]["name"] == EVIL, "only a spreadsheet needs the apostrophe"


def test_refusals(store: Store, tmp_path: Path) -> None:
    for path, table, reason in (
        ("a.xlsx", "scores", "names no format"),
        ("a.csv", "secrets", "No table 'secrets'"),
        ("none/a.csv", "scores", "cannot write"),
    ):
        with pytest.raises(BakeoffError, match=reason):
            export_table(store, tmp_path / path, table)
    export_table(store, tmp_path / "a.csv")
    with pytest.raises(BakeoffError, match="exists"):
        export_table(store, tmp_path / "a.csv")
    assert not list(tmp_path.glob(".*part"))


@given(st.text(max_size=20))
@settings(max_examples=100)
def test_no_cell_begins_a_formula(text: str) -> None:
    cell = neutral(text)
    assert not begins_formula(cell) and cell.removeprefix("'") in (text, text.removeprefix("'"))


@pytest.mark.parametrize("sign", [*"=+-@", *"＝＋－＠", "﹦", "﹢", "﹣", "﹫", "⁼", "⁺", "\u2212", "\t", "\r"])
@pytest.mark.parametrize(
    "before",
    ["", " ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u2060", "\u00ad", "\u202e", "\u034f", "\u3164", "\ufe0f",
     "\x00", "\x1b", " \u200b\u00a0", "\u180e", "\u061c", "\n", "\x0b"],
)  # fmt: skip
def test_a_formula_is_neutralised_behind_whatever_cannot_be_seen(before: str, sign: str) -> None:
    text = f"{before}{sign}cmd|' /C calc'!A0"
    assert neutral(text) == "'" + text


def test_plain_texts_stay_as_they_are() -> None:
    for text in ("a=b", "1-2", "é@x", "", " ", "中=1", "(=1)", "'=1", '"=1'):
        assert neutral(text) == text


def test_the_published_studies_load_once(store: Store) -> None:
    assert load_published(store) == load_published(store) == len(store.published.list()) > 140
    passed = {one.subject: (one.value, one.n) for one in store.published.list() if one.metric == "passed"}
    assert passed["variant 3"] == (75, 164) and passed["variant 5"] == (73, 164) and len(passed) == 5
    losses = [one for one in read_published() if one.metric == "loss"]
    assert len(losses) == 120 and losses[0].value == 0.8803 and losses[0].details["step"] == 1
    assert store.models.list()[0].name == EVIL and len(store.evaluations.list()) == 1, "they are no measurements"


def test_a_broken_study_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("study: x\n")
    with pytest.raises(BakeoffError, match=r"bad\.yaml"):
        read_published(tmp_path)


def test_every_finding_survives_json() -> None:
    from results import decide_counts

    found = decide_counts({"a": (1, 2), "b": (2, 2)})
    assert set(found.as_json()) == {field.name for field in dataclasses.fields(found)}
