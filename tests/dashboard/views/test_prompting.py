"""How far votes are from a clear ranking, and which prompt comes next."""

from __future__ import annotations

import re

from dashboard.views import prompting
from results import Vote, rate
from results.analysis.statistics import votes_to_separate


def votes(a: str, b: str, won: int, lost: int) -> list[Vote]:
    """Votes between two."""
    ends = ["a"] * won + ["b"] * lost
    return [Vote(f"{a}{b}{n}", "?", a, b, "x", "y", end) for n, end in enumerate(ends)]  # type: ignore[arg-type]


def test_what_would_settle_a_place_is_the_votes_needed_less_those_cast() -> None:
    ranking = rate(votes("a", "b", 9, 5))
    (pair,) = ranking.pairs
    (said,) = prompting.progress(ranking, {"a": "Ada", "b": "Bob"})
    needed = votes_to_separate(pair.probability)
    assert needed is not None and needed > 14
    assert said == f"About {needed - 14} more votes between Ada and Bob would settle place 1"


def test_places_that_are_settled_need_nothing_and_level_ones_say_so() -> None:
    assert prompting.progress(rate(votes("a", "b", 40, 1)), {}) == []
    (said,) = prompting.progress(rate(votes("a", "b", 8, 8)), {})
    assert "level so far" in said


def test_votes_that_nobody_casts_are_not_asked_for() -> None:
    for ahead, behind in (("a", "b"), ("b", "a")):
        ranking = rate(votes(ahead, behind, 53, 50))
        (said,) = prompting.progress(ranking, {})
        assert said.startswith(
            f"{ahead} and {behind} are too close for 300 votes to settle place 1: 51 % of votes prefer "
        )
        low, high = map(int, re.findall(r"by these votes (\d+) to (\d+) %$", said)[0])
        assert low < 50 < high and low + high > 100


def test_the_next_prompt_is_one_with_the_fewest_votes() -> None:
    assert prompting.least_voted(("x", "y", "z"), {"x": 2, "y": 1, "z": 1}) == ["y", "z"]
    assert prompting.least_voted(("x", "y"), {}) == ["x", "y"]


def test_a_question_is_what_the_person_asks_last() -> None:
    assert prompting.question("[system] Be kind\n\n[user] Why?") == "Why?"
    assert prompting.question("plain") == "plain"
