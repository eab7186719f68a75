"""The candidates of a decision as a chart and a table: whoever is left off the chart is named."""

from __future__ import annotations

from dashboard.views.deciding import candidates
from results import Store, decide
from tests.results.shelves import add_humaneval, add_latency, add_model


def test_who_has_a_score_and_no_time_is_named_beside_the_chart_and_scores_are_per_cent(store: Store) -> None:
    for place, name in enumerate(("timed", "untimed")):
        add_humaneval(store, model := add_model(store, name, 90_000_000), [True] * (place + 1) + [False] * 3)
        if name == "timed":
            add_latency(store, model, 0.2, 0.02)
    decided = decide(store)
    assert list(candidates.points(decided)["name"]) == ["timed"]
    assert candidates.undrawn(decided, "") == "Not drawn, for that figure of them is not known: untimed."
    assert candidates.undrawn(decided, "bytes") == ""
    shown = candidates.table(decided).set_index("Model")
    assert shown.loc["untimed", "Quality, pass@1, %"] == 50.0
