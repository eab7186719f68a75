"""Runs are held against each other only where their losses are over the same rows, by the same base."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from dashboard.views import tables
from dashboard.views.training import kin, runs
from results.records import Run, RunSummary, ScoreRow

AT = datetime(2026, 11, 30, tzinfo=UTC)


def row(id_: str, best: float, base: str = "tiny", data: Any = "shop.csv", rank: int = 8) -> RunSummary:
    """A finished run."""
    config = {"data": {"sources": [{"name": data}]}, "lora": {"rank": rank}}
    return RunSummary(Run(id_, id_, "demo", base, config, 0, status="finished"), 10, best, best, 10, AT)


def score(run_id: str, metric: str, value: float, n: int) -> ScoreRow:
    """A HumanEval score of a run's adapter."""
    return ScoreRow(
        f"{run_id}{metric}{n}", f"m-{run_id}", run_id, "adapter", run_id, "humaneval", metric, value, None, None, n,
        "pc", "", {}, "measured", AT,
    )  # fmt: skip


def test_a_loss_is_compared_with_the_baselines_only_over_the_same_rows_by_the_same_base() -> None:
    baseline = row("a", 1.0)
    every = [baseline, row("b", 0.9, rank=16), row("c", 0.2, base="other"), row("d", 0.3, data="code.csv")]
    found = runs.table(every, {}, {}, AT, baseline=baseline).set_index("Run")[runs.AGAINST]
    assert abs(found["b"] + 0.1) < 1e-9 and found["a"] == 0
    assert found[["c", "d"]].isna().all()
    families = kin.families(every)
    assert [[one.run.id for one in members] for members in families.values()] == [["a", "b"], ["c"], ["d"]]
    assert next(iter(families)) == "tiny on shop.csv"


def test_groups_do_not_average_over_bases_or_rows() -> None:
    every = [row("a", 1.0), row("b", 0.9), row("c", 0.2, base="other")]
    found = kin.groups(every, {"a": "8", "b": "8", "c": "8"}, "lora.rank")
    assert found["a"] == found["b"] != found["c"]
    assert kin.groups(every[:2], {"a": "8", "b": "8"}, "lora.rank")["a"] == "lora.rank = 8"


def test_a_table_shows_the_score_on_the_most_items_and_says_where_their_numbers_differ() -> None:
    every = [
        score("a", "pass@1", 0.9, 16), score("a", "pass@1", 0.5, 164), score("a", "pass@10", 0.99, 164),
        score("b", "pass@1", 0.25, 16),
    ]  # fmt: skip
    found = runs.scores(every, ["humaneval", "heldout"])
    assert list(found) == ["humaneval"]
    table = runs.table([row("a", 1.0), row("b", 1.0), row("c", 1.0)], {}, {}, AT, scored=found)
    assert list(table["HumanEval, %"])[:2] == [50.0, 25.0]
    assert list(table["HumanEval, %: items"])[:2] == [164, 16]
    same = runs.scores([replace(one, n=16) for one in every[::3]], ["humaneval"])
    assert "HumanEval, %: items" not in runs.table([row("a", 1.0)], {}, {}, AT, scored=same)


def test_settings_that_differ_are_columns(tmp_path: Path) -> None:
    settings = {"lora.rank": {"a": "8", "b": "16"}}
    table = runs.table([row("a", 1.0), row("b", 1.0)], {"a": "first"}, {}, AT, settings=settings)
    assert list(table["lora.rank"]) == ["8", "16"] and list(table["Run"]) == ["first", "b"]


def test_of_many_models_the_fastest_are_drawn() -> None:
    seconds = {"slow": 3.0, "middle": 2.0, "quick": 1.0}
    requests = pd.DataFrame(
        [
            {"label": name, "ttft_seconds": at, "tokens_per_second": 9 / at}
            for name, at in seconds.items()
            for _ in "abc"
        ]
    )
    for quantity in ("ttft_seconds", "tokens_per_second"):
        assert set(tables.fastest(requests, quantity, 2)["label"]) == {"quick", "middle"}
    assert len(tables.fastest(requests, "ttft_seconds", 40)) == 9
