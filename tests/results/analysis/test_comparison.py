"""Two models against each other: paired where it can be, unpaired where it must be, and said to be so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import (
    Evaluation,
    NotFound,
    Outcome,
    Report,
    Score,
    Store,
    compare,
    comparison_markdown,
    contrast_counts,
    verdict,
)
from results.analysis import wording
from results.analysis.findings import Contrast
from tests.results.shelves import HERE, THERE, add_heldout, add_humaneval, add_latency, add_model


@pytest.fixture
def store(tmp_path: Path, migrated_sqlite: Path) -> Any:
    """One database is enough: the judge reads through the store's own methods."""
    (tmp_path / "results.db").write_bytes(migrated_sqlite.read_bytes())
    with Store(f"sqlite:///{tmp_path / 'results.db'}") as opened:
        yield opened


def test_the_paired_table_and_its_verdict(store: Store) -> None:
    a, b = add_model(store, "a"), add_model(store, "b")
    add_humaneval(store, a, [True] * 30 + [True] * 15 + [False] * 5 + [False] * 14)
    add_humaneval(store, b, [True] * 30 + [False] * 15 + [True] * 5 + [False] * 14)
    found = compare(store, a, b)
    assert found.quality is not None
    assert (found.quality.both, found.quality.only_a, found.quality.only_b, found.quality.neither) == (30, 15, 5, 14)
    assert found.quality.p_value == pytest.approx(0.0281, abs=1e-4) and found.quality.better == "a"
    assert found.quality.difference == pytest.approx(10 / 64)
    assert found.quality.low < found.quality.difference < found.quality.high
    assert found.verdict.startswith("a is better than b") and "| 30 | 15 | 5 | 14 |" in comparison_markdown(found)
    back = compare(store, b, a)
    assert back.quality is not None and back.quality.better == "b"
    assert back.quality.difference == -found.quality.difference
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["quality"]["only_a"] == 15


def test_only_shared_tasks_are_compared_and_that_is_said(store: Store) -> None:
    a, b, c = (add_model(store, name) for name in "abc")
    add_humaneval(store, a, [True] * 20)
    add_humaneval(store, b, [True, False] * 6, subset="12 of 164 tasks")
    found = compare(store, a, b)
    assert found.quality is not None and found.quality.items == 12 and found.subset == "12 shared items"
    assert any("only the 12 items that both have" in problem for problem in found.problems)
    assert any("latency: a was not measured; run: bakeoff latency" in problem for problem in found.problems)
    with pytest.raises(NotFound, match="Nothing was measured on both a and c"):
        compare(store, a, c)


def test_other_settings_and_other_machines_are_named(store: Store) -> None:
    a, b = add_model(store, "a"), add_model(store, "b")
    add_humaneval(store, a, [True] * 20)
    add_humaneval(store, b, [True] * 20, settings={"prompting": "raw"})
    add_heldout(store, a, [50.0] * 10)
    add_heldout(store, b, [50.0] * 10)
    add_latency(store, a, 0.3, 0.02)
    add_latency(store, b, 0.3, 0.02, machine=THERE)
    found = compare(store, a, b)
    assert found.quality is None and found.latency == () and found.bits_per_byte is not None
    text = " ".join(found.problems)
    assert "measured with other settings (prompting: " in text
    assert "on machine here, not on there" in text or "on machine there, not on here" in text


def test_contaminated_tasks_are_also_left_out(store: Store) -> None:
    a, b = add_model(store, "a"), add_model(store, "b")
    add_humaneval(store, a, [True] * 20 + [False] * 20)
    add_humaneval(store, b, [False] * 20 + [True] * 10 + [False] * 10)
    assert compare(store, a, b).clean is None
    items = [f"HumanEval/{task}" for task in range(20)]
    store.reports.put(Report("a", "contamination", {"benchmark": "humaneval", "items": items}))
    found = compare(store, a, b)
    assert found.quality is not None and found.quality.difference == pytest.approx(0.25)
    assert found.clean is not None and (found.clean.items, found.clean.better) == (20, "b")
    assert "Without the items found in training data: b is better than a" in comparison_markdown(found)


@pytest.mark.parametrize("warmed", [0, 2])
def test_the_ratio_of_times_is_taken_prompt_by_prompt_without_the_first_request(store: Store, warmed: int) -> None:
    store.machines.add(HERE)
    a, b = add_model(store, "a"), add_model(store, "b")
    for model, factor in ((a, 3.0), (b, 1.0)):
        seconds = [(prompt, place, length * factor * (1 + 0.02 * (place % 3))) for prompt, length in
                   (("short", 0.1), ("long", 2.0)) for place in range(6)]  # fmt: skip
        first = 3.0 if model is a and not warmed else 1.0
        outcomes = [
            Outcome(
                prompt, place, None, 1.0, {"ttft_seconds": one * (first if place == 0 else 1), "tpot_seconds": 0.02}
            )
            for prompt, place, one in seconds
        ]
        begun = store.evaluations.begin(
            Evaluation(f"timed-{model.id}", model.id, "latency", {"concurrency": 1}, HERE.id)
        )
        store.evaluations.add_outcomes(begun.id, outcomes)
        store.evaluations.finish(
            begun.id, [Score("ttft_seconds_p50", 1.0, None, None, 12)], {"warm_up_dropped": warmed}
        )
    found = compare(store, a, b)
    ratio = next(one for one in found.latency if one.metric == "ttft_seconds")
    assert ratio.ratio == pytest.approx(3.0) and 2.8 < ratio.low <= ratio.high < 3.3
    assert ratio.median_a / ratio.median_b == pytest.approx(ratio.ratio)
    assert ratio.n_a == (12 if warmed else 10)
    assert any("first request of each prompt is left out" in one for one in found.problems) == (not warmed)


def test_latency_ratios_have_intervals(store: Store) -> None:
    a, b = add_model(store, "a"), add_model(store, "b")
    add_latency(store, a, 0.6, 0.02)
    add_latency(store, b, 0.3, 0.08)
    ratios = {ratio.metric: ratio for ratio in compare(store, a, b).latency}
    assert ratios["ttft_seconds"].ratio == pytest.approx(2.0) and ratios["tpot_seconds"].ratio == pytest.approx(0.25)
    assert 1.8 < ratios["ttft_seconds"].low < 2.0 < ratios["ttft_seconds"].high < 2.2


def test_bits_per_byte_are_paired_by_row(store: Store) -> None:
    rows = np.random.default_rng(3).gamma(2, 20, 80)
    a, b = add_model(store, "a"), add_model(store, "b")
    add_heldout(store, a, list(rows * 1.02))
    add_heldout(store, b, list(rows))
    found = compare(store, a, b, benchmark="heldout").quality
    assert found is not None and found.method == "sign flips" and found.better == "b", "fewer bits are better"
    assert found.value_b == pytest.approx(rows.sum() / (80 * 100) / np.log(2))
    assert found.low < found.difference < found.high and found.low > 0


def test_five_tasks_that_all_fall_one_way_tell_nobody_apart(store: Store) -> None:
    a, b = add_model(store, "a"), add_model(store, "b")
    add_humaneval(store, a, [True] * 5 + [False] * 45)
    add_humaneval(store, b, [False] * 50)
    found = compare(store, a, b)
    assert found.quality is not None and found.quality.too_few and found.quality.better is None
    assert "cannot be told apart yet: the two differ on 5 of 50 items" in found.verdict and "p =" not in found.verdict


def test_totals_alone_are_unpaired_and_conservative() -> None:
    found = contrast_counts(75, 164, 60, 164)
    assert found.method == "newcombe" and found.p_value == pytest.approx(0.0922, abs=1e-3) and found.better is None
    assert found.p_at_best is not None and found.p_at_best < 0.001, "paired outcomes might tell these two apart"
    assert "unpaired" in verdict("3", "1", "humaneval", found)
    with pytest.raises(ValueError, match="at least one task"):
        contrast_counts(0, 0, 1, 1)


def test_equal_figures_do_not_rule_a_difference_out(store: Store) -> None:
    found = contrast_counts(50, 100, 50, 100)
    said = verdict("a", "b", "humaneval", found)
    assert found.items_needed is None and 0.1 < found.high < 0.2
    assert f"one of up to {100 * found.high:.1f} points is not ruled out: measure more tasks (100 now)" in said


@given(st.integers(6, 400), st.integers(1, 400))
def test_what_was_measured_already_is_not_asked_for(items: int, needed_items: int) -> None:
    found = Contrast(
        "bits_per_byte", "sign flips", items, 0.657, 0.643, 0.014, -0.001, 0.024, 0.051, items_needed=needed_items,
        assumption="new items behave as these did",
    )  # fmt: skip
    said = wording.needed(found)
    assert (f"takes about {needed_items:,} rows in all ({items:,} now)" in said) == (needed_items > items)
    assert (f"and these {items:,} did not: measure more rows" in said) == (needed_items <= items)
