"""The arena's ranking: who wins how often, by whose votes, and what would settle what is open."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data, prompting, tables, voting
from dashboard.widgets import addressed, chart, page
from dashboard.widgets.selection import URL
from results import Ratings
from results.records import Vote, percent

MOST_DRAWN = 40
"""Places that are drawn; all are in the table."""


def show() -> None:
    """The votes to rank by, and the ranking; of many models once it is worked out."""
    st.subheader("Ranking")
    judges = sorted({vote.judge for vote in voting.votes()})
    if not judges:
        st.caption("No vote yet.")
        return
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    judge = left.selectbox("Judged by", judges, key="judge", bind=URL, format_func=lambda name: name or "people")
    asked = sorted({str(vote.details["set"]) for vote in voting.votes() if vote.details.get("set")})
    of = addressed.one(middle, "Prompts of", {"": "All votes", **{name: name for name in asked}}, "of") if asked else ""
    kinds = {vote.blind for vote in voting.votes() if vote.judge == judge}
    sighted = kinds == {False} or (
        len(kinds) > 1 and st.toggle("Votes with the names in sight", key="sighted", bind=URL, help="Cast in Chat")
    )
    equal = right.toggle("Adjust for answer length", key="equal", bind=URL, help="Voters tend to prefer longer answers")
    cast = voting.chosen(judge, not sighted, of)
    if not cast:
        st.caption("No vote of this kind yet.")
    elif (found := voting.ranking(cast, equal)) is None:
        st.fragment(_awaited, run_every=1.0)(cast, equal)
    else:
        _ranked(found, judge)


def _awaited(cast: list[Vote], equal: bool) -> None:
    if voting.ranking(cast, equal) is not None:
        st.rerun()
    models = len({id_ for vote in cast for id_ in (vote.model_a, vote.model_b)})
    what = f"The ranking of {models:,} models by {len(cast):,} votes"
    st.caption(f":material/hourglass_top: {what} is being worked out …")


def _ranked(ranking: Ratings, judge: str) -> None:
    names = data.model_names()
    seen = "blind" if ranking.blind else "with the names in sight: they tell of the names too"
    st.caption(f"{ranking.votes} votes, {seen}. {ranking.standing}")
    for sentence in prompting.progress(ranking, names):
        st.markdown(f"- {escaping.label(sentence, 300)}.")
    if judge:
        st.caption(escaping.label(voting.calibration(judge).words, 300))
    table = tables.ranking(ranking, names)
    listed = table["model_id"].isin([model.id for model in data.models()])
    if not listed.all() and not st.toggle("Show archived models", key="archived", bind=URL):
        table = table[listed]
    if len(table) > MOST_DRAWN:
        st.caption(f"The first {MOST_DRAWN} of {len(table):,} are drawn; all are in the table.")
    drawn = table.head(MOST_DRAWN)
    chart.show(charts.ranking(drawn, data.styles()), key="ranking", alt="Ranking, 95 % intervals")
    _table(table)
    if ranking.length_chance is not None:
        wins = percent(ranking.length_chance)
        st.caption(f"Of two equally good answers, one twice as long wins {wins} of the votes.")
    page.download(lambda: table.drop(columns="model_id"), "arena")


def _table(table: pd.DataFrame) -> None:
    shown = table.drop(columns="model_id").rename(columns=str.capitalize).rename(columns={"Strength": "Win rate"})
    shares = ["Win rate", "Low", "High"]
    shown[shares] *= 100
    share: Any = st.column_config.NumberColumn(
        format="%.0f %%", help="Expected against the average opponent, with its 95 % interval"
    )
    st.dataframe(shown, hide_index=True, alt="Ranking", column_config=dict.fromkeys(shares, share))
