"""What people's blind votes say of the models that a decision is about: beside the verdict, and no part of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from results import Decision, Ratings
from results.records import Vote


def among(decision: Decision, cast: Sequence[Vote]) -> list[Vote]:
    """The votes between two models that the decision is about."""
    asked = {one.model_id for one in decision.candidates}
    return [vote for vote in cast if {vote.model_a, vote.model_b} <= asked]


def said(decision: Decision, ranking: Ratings) -> str:
    """Who is first by votes, where the verdict's choice stands, and what may be read from that.

    ranking: by the votes that `among` found.
    """
    count = f"{ranking.votes:,} blind vote{'' if ranking.votes == 1 else 's'} between these models"
    places = {one.model_id: one for one in ranking.ratings}
    if ranking.settled is None:
        return f"{count}. {ranking.standing} Votes are no part of the verdict."
    first = ranking.ratings[0]
    value, low, high = (100 * share for share in first.chance)
    name = decision.candidate(first.model_id).model
    wins = f"preferred to the average of them {value:.0f} % of the time [{low:.0f} to {high:.0f}]"
    found = f"{count}: {name} is first, {wins}"
    shipped = decision.chosen or decision.best
    if shipped in places and shipped != first.model_id:
        own = places[shipped]
        between = f", by these votes {own.rank_low} to {own.rank_high}" if own.rank_low < own.rank_high else ""
        found += f"; {decision.candidate(shipped).model} is number {own.rank}{between}"
    return f"{found}. {ranking.standing} Votes are no part of the verdict."
