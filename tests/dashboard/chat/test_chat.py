"""Answers over real HTTP: several at once, stopped, abandoned, cut off, refused."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from dashboard.chat import client
from dashboard.chat.client import Answer, Sampling
from dashboard.chat.conversation import Conversation, Pane, figures, votes
from dashboard.errors import ServerSilent
from tests.dashboard.answers import AnswerServer


def until(true: Callable[[], bool], seconds: float = 600.0) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def ask(model: str, **sampling: int) -> Answer:
    """One answer, started."""
    return Answer(model, [{"role": "user", "content": "Why?"}], Sampling(**sampling)).start()


def test_an_answer_arrives_with_its_figures(serving: AnswerServer) -> None:
    answer = ask("demo-rank8", max_tokens=32)
    until(lambda: not answer.active)
    shot = answer.snapshot()
    assert shot.state == "finished"
    assert shot.text.startswith("demo-rank8 heard: Why?")
    assert shot.tokens == 32
    assert shot.ttft_seconds is not None
    assert shot.tokens_per_second is not None
    assert "32 tokens" in figures(shot)


def test_panes_stream_at_the_same_time(serving: AnswerServer) -> None:
    first, second = ask("slow-one"), ask("slow-two")
    until(lambda: first.snapshot().tokens > 1 and second.snapshot().tokens > 1)
    assert first.active
    assert second.active
    first.stop()
    assert first.snapshot().state == "stopped"
    assert second.active
    second.stop()


def test_stopping_ends_the_generation_on_the_server(serving: AnswerServer) -> None:
    before = serving.cancelled
    answer = ask("silent-one")
    until(lambda: answer._response is not None)
    answer.stop()
    until(lambda: serving.cancelled > before)
    assert answer.snapshot().state == "stopped"


def test_an_answer_nobody_looks_at_stops(serving: AnswerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ABANDONED_SECONDS", 0.2)
    before = serving.cancelled
    answer = ask("slow-one")
    until(lambda: not answer.active)
    assert answer.snapshot().state == "stopped"
    until(lambda: serving.cancelled > before)


def test_a_stream_that_breaks_off_is_a_failure_and_keeps_its_words(serving: AnswerServer) -> None:
    answer = ask("dies-early")
    until(lambda: not answer.active)
    shot = answer.snapshot()
    assert shot.state == "failed"
    assert "word0" in shot.text
    assert shot.message


def test_a_refusal_is_told_in_the_servers_words(serving: AnswerServer) -> None:
    answer = ask("refuses-all")
    until(lambda: not answer.active)
    assert "does not fit into memory" in answer.snapshot().message


def test_no_server_is_one_line_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_SERVE_URL", "http://me:secret@127.0.0.1:9")
    with pytest.raises(ServerSilent) as caught:
        client.served()
    assert "127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value)
    answer = ask("any")
    until(lambda: not answer.active)
    assert "secret" not in answer.snapshot().message


def test_each_pane_keeps_its_own_history(serving: AnswerServer) -> None:
    talk, panes = Conversation(), [Pane("demo-rank8", Sampling()), Pane("demo-rank16", Sampling())]
    talk.system = "Be brief."
    talk.ask("One?", panes)
    until(lambda: not talk.active)
    talk.ask("Two?", panes)
    until(lambda: not talk.active)
    sent = next(r for r in reversed(serving.requests) if r["model"] == "demo-rank16")
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert sent["messages"][2]["content"].startswith("demo-rank16 heard: One?")


def test_an_edited_prompt_forgets_what_came_after(serving: AnswerServer) -> None:
    talk, panes = Conversation(), [Pane("demo-rank8", Sampling())]
    for prompt in ("One?", "Two?", "Three?"):
        talk.ask(prompt, panes)
        until(lambda: not talk.active)
    talk.resend(1, "Other?", panes)
    until(lambda: not talk.active)
    assert [turn.prompt for turn in talk.turns] == ["One?", "Other?"]
    assert talk.export()["turns"][1]["answers"][0]["text"].startswith("demo-rank8 heard: Other?")


def test_the_best_of_three_is_two_votes_and_a_tie_three(serving: AnswerServer) -> None:
    talk = Conversation()
    talk.ask("Why?", [Pane(name, Sampling()) for name in ("tiny-base", "demo-rank8", "demo-rank16")])
    until(lambda: not talk.active)
    ids = {"tiny-base": "0", "demo-rank8": "1", "demo-rank16": "2"}
    best = votes(talk.turns[-1], 1, "a", ids)
    assert [(vote.model_a, vote.model_b, vote.winner) for vote in best] == [("1", "0", "a"), ("1", "2", "a")]
    assert len(votes(talk.turns[-1], None, "tie", ids)) == 3
    assert all(vote.answer_a.startswith("demo-rank8") and not vote.blind for vote in best)
