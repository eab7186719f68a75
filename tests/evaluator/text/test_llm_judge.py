"""A model as judge: positions are swapped, contradictions are ties, votes carry the judge's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from engines import Chunk, Completion, Message, Sampling
from evaluator.errors import ModelUnmeasurable
from evaluator.text.llm_judge import compared, judge_answers
from results import Evaluation, Machine, Model, Outcome, Progress, Store, Workspace


class Judge:
    """Replies by a rule over the text it is asked: what a real endpoint does, without its randomness."""

    def __init__(self, rule: Callable[[str, str], str]) -> None:
        self.rule = rule
        self.asked: list[str] = []

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Chunk]:
        text = messages[-1]["content"]
        self.asked.append(text)
        first = text.split("# Answer 1\n")[1].split("\n\n# Answer 2\n")[0]
        second = text.split("# Answer 2\n")[1].split("\n\nReply with")[0]
        yield Chunk(self.rule(first, second))

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        raise NotImplementedError

    def render(self, messages: Sequence[Message]) -> str:
        raise NotImplementedError

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def close(self) -> None:
        pass


def longer(first: str, second: str) -> str:
    return "1" if len(first) > len(second) else "2"


def test_a_preference_counts_only_if_it_survives_the_swap() -> None:
    assert compared(Judge(longer), "p", "a long answer", "short")[0] == "a"
    assert compared(Judge(longer), "p", "short", "a long answer")[0] == "b"
    winner, details = compared(Judge(lambda first, second: "1"), "p", "x", "y")
    assert winner == "tie" and details["consistent"] is False
    assert compared(Judge(lambda first, second: "tie"), "p", "x", "y")[0] == "tie"
    assert compared(Judge(lambda first, second: "Neither."), "p", "x", "y")[0] == "both_bad"
    assert compared(Judge(lambda first, second: "Answer 1 or 2?"), "p", "x", "y")[1]["consistent"] is False


def test_equal_answers_need_no_judge_and_markers_in_answers_are_text() -> None:
    judge = Judge(longer)
    assert compared(judge, "p", "same", "same") == ("tie", {"identical": True})
    assert not judge.asked
    compared(judge, "{first}", "{second}{second}", "{prompt}")
    assert "# Prompt\n{first}\n" in judge.asked[0] and "# Answer 1\n{second}{second}\n" in judge.asked[0]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Workspace(tmp_path / "workspace").store()
    store.machines.add(Machine("m", "cpu", (), 1, 1, "", ""))
    for name, answers in (("one", ["long answer", "x"]), ("two", ["brief", "y"])):
        store.models.add(Model(f"{name}-1", name, "base", "b", name, 1, name))
        begun = store.evaluations.begin(Evaluation(name, f"{name}-1", "stopping", {}, "m"))
        store.evaluations.add_outcomes(
            begun.id, [Outcome(f"prompt {i}", details={"answer": text}) for i, text in enumerate(answers)]
        )
        store.evaluations.finish(begun.id, [])
    return store


def test_votes_are_stored_once_under_the_judges_name(store: Store) -> None:
    one, two = store.models.find("one"), store.models.find("two")
    judge = Judge(longer)
    votes = judge_answers(judge, "gpt", one, two, "stopping", store)
    assert [vote.winner for vote in votes] == ["a", "tie"]
    assert {vote.judge for vote in store.votes.list()} == {"gpt"}
    asked = len(judge.asked)
    assert judge_answers(judge, "gpt", one, two, "stopping", store) == []
    assert len(judge.asked) == asked and len(store.votes.list()) == 2
    with pytest.raises(ModelUnmeasurable, match="own answers"):
        judge_answers(judge, "one", one, two, "stopping", store)
    with pytest.raises(ModelUnmeasurable, match="bakeoff evaluate"):
        judge_answers(judge, "gpt", one, two, "humaneval", store)


def test_answers_of_one_engine_are_judged_where_there_are_such(store: Store) -> None:
    def answered(name: str, engine: str, text: str) -> None:
        one = Evaluation(f"{name}-{engine}", f"{name}-1", "humaneval", {"engine": engine}, "m")
        store.evaluations.begin(one)
        store.evaluations.add_outcomes(one.id, [Outcome("T/0", details={"answer": text})])
        store.evaluations.finish(one.id, [])

    one, two = store.models.find("one"), store.models.find("two")
    answered("one", "huggingface", "of transformers")
    answered("two", "llamacpp", "of llama.cpp, the second")
    (mixed,) = judge_answers(Judge(longer), "gpt", one, two, "humaneval", store)
    assert mixed.details["engines"] == ["transformers", "llama.cpp"]
    answered("two", "huggingface", "of transformers, the second")
    answered("one", "llamacpp", "of llama.cpp")
    (like,) = judge_answers(Judge(longer), "gpt", one, two, "humaneval", store)
    assert (like.answer_a, like.answer_b) == ("of llama.cpp", "of llama.cpp, the second")
    assert "engines" not in like.details
