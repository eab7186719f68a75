"""What is said below the chart of scores: on which items, through what, who is left out and why."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data
from dashboard.views.scoring import contests, scores
from dashboard.widgets import addressed, chart
from results import Contest, judge_sentences, left_out_words
from results.records import Model, ScoreRow

MOST_SAID = 5
"""Models of which it is said why they are left out."""


def show(found: Contest, chosen: Sequence[Model], drawn: Sequence[Model], own: bool) -> None:
    """The items, the engines, what was left out of prompts, and who is not among the compared."""
    subsets = sorted({one.evaluation.subset for one in found.found.values() if one.evaluation.subset})
    of = f"{', '.join(subsets)}. " if subsets else ""
    on = "each model's own items: not to be compared" if own else f"the {len(found.common)} items that all have"
    crowd = f" The best {len(drawn)} of {len(chosen)} are drawn." if len(drawn) < len(chosen) else ""
    st.caption(escaping.label(f"{found.metric} with 95 % intervals on {on}. {of}{found.engines}{crowd}", 900))
    for model in drawn:
        if said := left_out_words(model.name, found.found[model.id].evaluation.details):
            st.caption(escaping.label(said, 600))
    details = {model.name: found.found[model.id].evaluation.details for model in drawn}
    for said in dict.fromkeys(one for name, told in details.items() for one in judge_sentences(name, told)):
        st.caption(escaping.label(said, 600))
    known = data.models_by_id()
    reasons = [(known[id_].name, one.reason) for id_, one in found.missing.items()]
    told = [f"{name}, {reason}" for name, reason in reasons if not reason.startswith("not measured")]
    for sentence in told[:MOST_SAID]:
        st.caption(escaping.label(f"Left out: {sentence}", 400))
    if len(told) > MOST_SAID:
        st.caption(f"And {len(told) - MOST_SAID} more are left out: measured with other settings, or on few items.")


def unfinished(benchmark: str, archived: bool) -> None:
    """Who was measured by a test, but not to its end, and why."""
    known = data.models_by_id()
    for id_, status, count, reason in contests.unfinished(benchmark):
        if id_ in known and (archived or not known[id_].archived):
            st.warning(escaping.label(f"{known[id_].name}: {status}, {count} answers so far. {reason}", 300))


def totals(figures: Sequence[ScoreRow]) -> None:
    """Figures that other tools wrote, by one of their metrics."""
    metric = addressed.one(st, "Metric", {row.metric: row.metric for row in figures}, "metric")
    chart.show(
        charts.score_list(
            scores.totals(figures, metric), data.styles(), title=escaping.chart_label(metric), percent=False
        ),
        key=f"totals-{figures[0].benchmark}",
        alt="Scores as imported",
    )
    st.caption("Figures that other tools wrote: imported as they are, measured nowhere here, without items to compare.")


def every_item(found: Contest, chosen: Sequence[Model]) -> None:
    """Verdicts of all models on all items, where they are few enough to be told apart."""
    if found.metric != "pass@1" or len(found.common) > scores.MOST_ITEMS:
        return
    st.subheader("Every item")
    table = contests.verdicts(found, [model.id for model in chosen[: scores.MOST_DRAWN]])
    chart.show(charts.task_matrix(table), key=f"matrix-{found.benchmark}", alt="Verdict of every model on every item")
