"""Conversations on the disk: there after a reload, a restart and a killed server, and nobody else's."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from dashboard.chat.client import Sampling
from dashboard.chat.conversation import Conversation, Pane
from dashboard.chat.shelf import Shelf
from tests.dashboard.answers import AnswerServer
from tests.dashboard.chat.test_chat import until

PANES = [Pane("demo-rank8", Sampling(max_tokens=6)), Pane("demo-rank16", Sampling(max_tokens=6))]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "workspace" / "conversations")


def asked(shelf: Shelf, prompt: str, owner: str = "ada") -> Conversation:
    """A conversation with one answered prompt."""
    talk = shelf.new(owner)
    talk.ask(prompt, PANES)
    until(lambda: not talk.active)
    return talk


def written(shelf: Shelf, name: str) -> str:
    """The text of a conversation's first answer on the disk."""
    return str(json.loads((shelf.folder / f"{name}.json").read_text())["turns"][0]["answers"]["0"]["text"])


def test_what_was_said_is_there_after_a_restart_and_goes_on_where_it_stood(shelf: Shelf, serving: AnswerServer) -> None:
    talk = asked(shelf, "Why?")
    before, name = talk.export()["turns"], talk.id
    until(lambda: "word4" in written(shelf, name))
    del talk
    gc.collect()  # as in another process: nobody holds it any more
    found = Shelf(shelf.folder).find(name, "ada")
    assert found is not None and found.export()["turns"] == before
    found.ask("And now?", PANES)
    until(lambda: not found.active)
    assert serving.requests[-1]["messages"][1]["content"].startswith("demo-rank")
    assert [turn.prompt for turn in found.turns] == ["Why?", "And now?"]


def test_one_under_way_is_the_same_for_whoever_asks_and_its_answers_go_on(shelf: Shelf, serving: AnswerServer) -> None:
    talk = shelf.new("ada")
    talk.ask("Why?", [Pane("slow-one", Sampling(max_tokens=6))])
    until(lambda: talk.turns[0].answers[0].snapshot().tokens > 1)
    again = Shelf(shelf.folder).find(talk.id, "ada")
    assert again is talk and again.active
    until(lambda: not talk.active)
    assert talk.turns[0].answers[0].whole


def test_an_answer_that_was_being_written_when_the_dashboard_ended_keeps_its_words_and_says_so(
    shelf: Shelf, serving: AnswerServer
) -> None:
    talk = shelf.new("ada")
    talk.ask("Why?", [Pane("slow-one", Sampling())])
    until(lambda: talk.turns[0].answers[0].snapshot().tokens > 2)
    shelf.keep(talk)
    kept = (shelf.folder / f"{talk.id}.json").read_text()
    talk.stop()
    until(lambda: not talk.active)
    other = Shelf(shelf.folder.parent / "another process")
    other.folder.mkdir()
    (other.folder / f"{talk.id}.json").write_text(kept)
    found = other.find(talk.id, "ada")
    assert found is not None
    shot = found.turns[0].answers[0].snapshot()
    assert shot.state == "failed" and "word1" in shot.text and "Regenerate" in shot.message
    found.again(0, [Pane("demo-rank8", Sampling(max_tokens=4))])
    until(lambda: not found.active)
    assert found.turns[0].answers[0].whole


def test_the_list_has_an_owners_own_the_newest_first_by_name(shelf: Shelf, serving: AnswerServer) -> None:
    first, second, other = asked(shelf, "First"), asked(shelf, "Second"), asked(shelf, "Secret", owner="bob")
    until(lambda: len(shelf.titles("ada")) == 2 and len(shelf.titles("bob")) == 1)
    first.title = "Palindromes"
    shelf.keep(first)
    assert [one.title for one in shelf.titles("ada")] == ["Palindromes", "Second"]
    assert shelf.find(other.id, "ada") is None and shelf.find(other.id, "bob") is other
    shelf.remove(other.id, "ada")
    assert shelf.find(other.id, "bob") is other
    shelf.remove(second.id, "ada")
    assert [one.title for one in shelf.titles("ada")] == ["Palindromes"]
    second.kept()
    assert shelf.find(second.id, "ada") is None, "what was removed does not come back"


@pytest.mark.parametrize("name", ["../../secret", "", "x" * 32, "0" * 31, "0" * 32])
def test_ids_that_are_none_find_nothing(shelf: Shelf, name: str) -> None:
    shelf.folder.parent.mkdir(parents=True)
    (shelf.folder.parent / "secret.json").write_text("{}")
    assert shelf.find(name, "") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "ID"}', '{"id": "ID", "turns": [{"prompt": 1}]}'])
def test_a_file_of_another_kind_is_no_conversation(shelf: Shelf, text: str) -> None:
    name = "a" * 32
    shelf.folder.mkdir(parents=True)
    (shelf.folder / f"{name}.json").write_text(text.replace("ID", name))
    assert shelf.find(name, "") is None
    shelf.titles("")


def test_where_nothing_can_be_written_the_conversation_goes_on_and_says_why(
    shelf: Shelf, serving: AnswerServer
) -> None:
    shelf.folder.parent.mkdir(parents=True)
    shelf.folder.write_text("in the way")  # as a folder that nobody may write to, for root too
    talk = asked(shelf, "Why?")
    assert talk.turns[0].answers[0].whole
    until(lambda: bool(talk.unkept))
    assert str(shelf.folder) in talk.unkept
    assert shelf.titles("ada") == []
