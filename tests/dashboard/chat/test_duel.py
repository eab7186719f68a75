"""Blind pairs: drawn where a vote teaches most, on random sides, only whole answers judged."""

from __future__ import annotations

import json
import random

from dashboard.chat import duel
from dashboard.chat.client import Sampling
from results import Vote, rate
from tests.dashboard.answers import AnswerServer
from tests.dashboard.chat.test_chat import until


def vote(number: int, a: str, b: str, winner: str) -> Vote:
    """A vote on nothing in particular."""
    return Vote(str(number), "?", a, b, "x", "y", winner)  # type: ignore[arg-type]


def test_a_pair_that_was_never_compared_comes_first() -> None:
    ranking = rate([vote(n, "a", "b", "a") for n in range(5)] + [vote(9, "a", "c", "b")])
    drawn = {frozenset(duel.pair(ranking, ["a", "b", "c"], random.Random(seed))) for seed in range(20)}
    assert drawn == {frozenset(("b", "c"))}


def test_sides_are_drawn_by_lot() -> None:
    ranking = rate([vote(n, "a", "b", "a") for n in range(5)])
    assert {duel.pair(ranking, ["a", "b"], random.Random(seed)) for seed in range(20)} == {("a", "b"), ("b", "a")}
    assert {duel.pair(None, ["a", "b"], random.Random(seed)) for seed in range(20)} == {("a", "b"), ("b", "a")}


def test_half_an_answer_cannot_be_judged(serving: AnswerServer) -> None:
    match = duel.begin("Why?", ("demo-rank8", "dies-early"), Sampling())
    until(lambda: not match.active)
    assert not match.judgeable


def test_a_pair_is_there_again_after_the_dashboard_was(serving: AnswerServer) -> None:
    match = duel.begin("Why?", ("demo-rank8", "demo-rank16"), Sampling(), of="mine")
    begun = json.loads(json.dumps(duel.as_kept(match)))
    until(lambda: not match.active)
    ended = duel.from_kept(json.loads(json.dumps(duel.as_kept(match))), [])
    assert ended is not None and ended.judgeable and (ended.prompt, ended.of, ended.vote) == ("Why?", "mine", None)
    assert ended.left.snapshot().text == match.left.snapshot().text
    made = ended.judge("a", {"demo-rank8": "8", "demo-rank16": "16"}, "me")
    again = duel.from_kept(json.loads(json.dumps(duel.as_kept(ended))), [made])
    assert again is not None and again.vote == made, "nobody votes twice on one pair"
    if begun["left"]["state"] in ("waiting", "streaming"):
        broken = duel.from_kept(begun, [])
        assert broken is not None and not broken.active and not broken.judgeable
    assert duel.from_kept({"prompt": "another kind"}, []) is None and duel.from_kept(None, []) is None


def test_a_vote_holds_the_answers_and_their_models(serving: AnswerServer) -> None:
    match = duel.begin("Why?", ("demo-rank8", "demo-rank16"), Sampling())
    until(lambda: not match.active)
    assert match.judgeable
    made = match.judge("b", {"demo-rank8": "8", "demo-rank16": "16"}, "me")
    assert (made.model_a, made.model_b, made.winner, made.blind, made.voter) == ("8", "16", "b", True, "me")
    assert made.answer_b.startswith("demo-rank16 heard: Why?")
    assert made.details["a"]["sampling"]["temperature"] == 0.0
