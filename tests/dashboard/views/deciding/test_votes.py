"""People's votes beside a verdict: of the models asked about alone, with what may be read from them."""

from __future__ import annotations

from dashboard.views.deciding import votes
from results import Question, Store, Vote, decide, rate
from tests.dashboard.views.deciding.test_verdict import store as store


def cast(a: str, b: str, won: int, lost: int) -> list[Vote]:
    """Votes between two models, by id."""
    ends = ["a"] * won + ["b"] * lost
    return [Vote(f"{a}{b}{n}", "?", a, b, "x", "y", end) for n, end in enumerate(ends)]  # type: ignore[arg-type]


def test_votes_of_the_models_asked_about_say_who_is_first_and_where_the_choice_stands(store: Store) -> None:
    known = {one.name: one.id for one in store.models.list()}
    decision = decide(store, Question(models=(known["good"], known["great"])))
    every = [*cast(known["good"], known["great"], 30, 4), *cast(known["base"], known["good"], 9, 1)]
    found = votes.among(decision, every)
    assert len(found) == 34, "a vote on who is not asked about is no part of it"
    said = votes.said(decision, rate(found))
    assert decision.chosen == known["great"]
    assert said.startswith("34 blind votes between these models: good is first, preferred to the average of them ")
    assert "; great is number 2. Settled: each model is preferred to each below it." in said
    assert said.endswith("Votes are no part of the verdict.")


def test_few_votes_are_no_ranking(store: Store) -> None:
    known = {one.name: one.id for one in store.models.list()}
    said = votes.said(decide(store), rate(cast(known["good"], known["great"], 1, 0)))
    assert said == (
        "1 blind vote between these models. No ranking yet: a model has 1 vote, and each needs at least 6. "
        "Votes are no part of the verdict."
    )
