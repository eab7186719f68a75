"""Question sets from files to scores in the store: an endpoint whose replies are known, and miniature weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engines import EngineError
from evaluator import BenchmarkUnreadable, ModelUnmeasurable, evaluate_questions, read_question_set, sandbox_available
from results import Model, Question, Store, Workspace, compare, contrasts_by_tag, decide
from tests.evaluator.endpoints import Endpoint, served
from tests.evaluator.question_sets.files import lines


class Known(Endpoint):
    """Answers what its server has for the last user turn; breaks off where that is nothing."""

    def reply(self, body: Mapping[str, Any]) -> str | None:
        self.server.asked.append(body["messages"])
        replies = self.server.replies.get(body["model"], {})
        return next((text for part, text in replies.items() if part in body["messages"][-1]["content"]), None)


@pytest.fixture
def endpoint() -> Iterator[Any]:
    with served(Known, asked=[], replies={}) as server:
        yield server


def model(store: Store, endpoint: Any, name: str, **replies: str) -> Model:
    endpoint.replies[name] = {part.replace("_", " "): text for part, text in replies.items()}
    url = f"http://127.0.0.1:{endpoint.server_port}/v1"
    return store.models.add(Model(name, name, "remote", name, name, 0, url, details={"model": name}))


ROWS = [
    {"question": "Capital of France?", "answer": "Paris", "tags": ["cities"]},
    {"question": "Two and two?", "answer": 4, "tags": ["sums"]},
    {"question": "Three and three?", "answer": 6, "tags": ["sums"]},
    {"question": "Which is hot?", "choices": ["ice", "fire"], "answer": "fire"},
]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(lines(*ROWS))
    return path


def test_replies_become_verdicts_scores_and_comparisons(
    store: Store, workspace: Workspace, endpoint: Any, mine: Path
) -> None:
    good = model(store, endpoint, "good", France="Paris.", Two="It is 4.", Three="6", hot="B")
    poor = model(store, endpoint, "poor", France="Lyon, not Paris", Two="four", Three="no idea", hot="A")
    questions = read_question_set(mine)
    first, second = evaluate_questions([good, poor], questions, store, workspace)
    assert first.benchmark == "mine" and first.status == second.status == "finished"
    assert {score.metric: score.value for score in first.scores} == {"pass@1": 1.0, "no_answer_share": 0.0}
    assert {score.metric: score.value for score in second.scores} == {"pass@1": 0.0, "no_answer_share": 0.5}
    assert second.details["verdicts"] == {"wrong": 2, "no_answer": 2}
    assert (first.details["near_misses"], second.details["near_misses"]) == (0, 1)
    assert first.details["tags"]["sums"]["value"] == 1.0 and first.details["tags"]["sums"]["n"] == 2
    outcome = next(one.details for one in store.evaluations.outcomes(second.id) if one.item == "1")
    assert (outcome["answer"], outcome["found"], outcome["wanted"]) == ("Lyon, not Paris", "lyon, not paris", ["Paris"])
    shown = next(turns for turns in endpoint.asked if "hot" in turns[-1]["content"])[-1]["content"]
    assert shown == "Which is hot?\n\nA) ice\nB) fire\n\nAnswer with the letter of the right choice."
    contrast = compare(store, good, poor, "mine").quality
    assert contrast is not None and (contrast.method, contrast.only_a, contrast.items) == ("mcnemar", 4, 4)
    assert decide(store, Question(measures=("mine",))).best == "good"
    tags = {one.tag: one for one in contrasts_by_tag(store, good, poor, "mine")}
    assert {tag: one.contrast.items for tag, one in tags.items()} == {"cities": 1, "sums": 2}
    assert tags["sums"].contrast.only_a == 2 and tags["sums"].p_adjusted >= tags["sums"].contrast.p_value
    assert tags["sums"].sentence.startswith("sums: 100.0 % against 0.0 % on 2 items, +100.0 points")
    before = len(endpoint.asked)
    assert evaluate_questions([good, poor], questions, store, workspace) == [first, second]
    assert len(endpoint.asked) == before


def test_the_test_of_ones_own_with_the_most_items_decides(
    store: Store, workspace: Workspace, endpoint: Any, mine: Path, tmp_path: Path
) -> None:
    (tmp_path / "also.jsonl").write_bytes(lines(ROWS[1]))
    both = [model(store, endpoint, name, France="Paris", Two="4", Three="6", hot="B") for name in ("one", "other")]
    for path in (tmp_path / "also.jsonl", mine):
        evaluate_questions(both, read_question_set(path), store, workspace)
    assert decide(store, Question()).benchmark == "mine"


def test_an_interrupted_set_goes_on_with_what_is_left(
    store: Store, workspace: Workspace, endpoint: Any, mine: Path
) -> None:
    some = model(store, endpoint, "some", France="Paris", Two="4")
    questions = read_question_set(mine)
    with pytest.raises(EngineError, match="answered 500"):
        evaluate_questions([some], questions, store, workspace, {"slots": 1})
    (failed,) = store.evaluations.list(benchmark="mine")
    assert failed.status == "failed" and len(store.evaluations.outcomes(failed.id)) == 2
    endpoint.replies["some"] |= {"Three": "six", "hot": "B"}
    before = len(endpoint.asked)
    (done,) = evaluate_questions([some], questions, store, workspace, {"slots": 1})
    assert len(endpoint.asked) - before == 2
    assert done.id == failed.id and done.details["verdicts"] == {"passed": 3, "no_answer": 1}


def test_shares_are_compared_as_shares(store: Store, workspace: Workspace, endpoint: Any, tmp_path: Path) -> None:
    rows = [{"question": f"Say {n} red foxes", "answer": f"{n} red foxes", "check": "token_f1"} for n in range(8)]
    (tmp_path / "graded.jsonl").write_bytes(lines(*rows))
    questions = read_question_set(tmp_path / "graded.jsonl")
    half = model(store, endpoint, "half", Say="red")
    nothing = model(store, endpoint, "nothing", Say="blue whales")
    first, second = evaluate_questions([half, nothing], questions, store, workspace)
    assert {score.metric: score.value for score in first.scores} == {"mean_share": 0.5, "no_answer_share": 0.0}
    assert {score.metric: score.value for score in second.scores} == {"mean_share": 0.0, "no_answer_share": 0.0}
    contrast = compare(store, half, nothing, "graded").quality
    assert contrast is not None and contrast.metric == "mean_share" and contrast.method == "sign flips"
    assert contrast.difference == pytest.approx(0.5) and contrast.p_value < 0.05
    decision = decide(store, Question(measures=("graded",)))
    assert (decision.best, decision.metric) == ("half", "mean_share") and "bits per byte" not in decision.paragraph


def test_a_set_with_bad_items_is_measured_only_where_that_is_said(
    store: Store, workspace: Workspace, endpoint: Any, tmp_path: Path
) -> None:
    (tmp_path / "half.csv").write_text("question,answer\nTwo and two?,4\nThree?\n")
    questions = read_question_set(tmp_path / "half.csv")
    one = model(store, endpoint, "one", Two="4")
    with pytest.raises(BenchmarkUnreadable, match=r"1 of 2 items of half .*half.csv, line 3: has 1 cells.*--skip-bad"):
        evaluate_questions([one], questions, store, workspace)
    (found,) = evaluate_questions([one], questions, store, workspace, {"skip_bad": True})
    assert found.subset == "1 items, without 1 that cannot be read" and len(found.details["left_out"]) == 1


def test_another_right_answer_is_another_test(
    store: Store, workspace: Workspace, endpoint: Any, tmp_path: Path
) -> None:
    one = model(store, endpoint, "one", Two="4")
    found = []
    for answer in ("4", "5"):
        (tmp_path / "sum.csv").write_text(f"question,answer\nTwo and two?,{answer}\n")
        found += evaluate_questions([one], read_question_set(tmp_path / "sum.csv"), store, workspace)
    assert [one.scores[0].value for one in found] == [1.0, 0.0] and found[0].id != found[1].id


@pytest.mark.skipif(not sandbox_available()[0], reason=f"no sandbox: {sandbox_available()[1]}")
def test_programs_are_run_in_the_sandbox(store: Store, workspace: Workspace, endpoint: Any, tmp_path: Path) -> None:
    rows = [
        {"question": f"Write {name}(a, b), the sum.", "test": f"assert {name}(1, 2) == 3"} for name in ("add", "sum2")
    ]
    (tmp_path / "code.jsonl").write_bytes(lines(*rows))
    right = "```python\ndef add(a, b):\n    return a + b\n```"
    coder = model(store, endpoint, "coder", add=right, sum2="def sum2(a, b):\n    return a - b")
    (found,) = evaluate_questions([coder], read_question_set(tmp_path / "code.jsonl"), store, workspace)
    assert found.details["verdicts"] == {"passed": 1, "wrong": 1}
    assert "whole Python function `add`" in endpoint.asked[0][-1]["content"] + endpoint.asked[1][-1]["content"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"temprature": 1}, "evaluate.tests.temprature"), ({"samples": 2}, "set temperature"),
     ({"choices": "likelihood", "samples": 2, "temperature": 1}, "likelihood"), ({"tasks": 0}, "0 tasks cannot")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(
    store: Store, workspace: Workspace, mine: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ModelUnmeasurable, match=said):
        evaluate_questions([], read_question_set(mine), store, workspace, settings)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_likeliest_choice_is_the_answer_of_an_adapter_and_of_a_gguf_file(
    store: Store, workspace: Workspace, base: Path, tmp_path: Path
) -> None:
    """Against transformers' own cross-entropy, choice by choice; a GGUF file of 16 bits answers as its folder does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from engines import export

    rows = [
        {"question": f"Pick {n}.", "choices": ["red", "a long green one", f"blue {n}"], "answer": n % 3}
        for n in range(6)
    ]
    (tmp_path / "pick.jsonl").write_bytes(lines(*rows))
    questions = read_question_set(tmp_path / "pick.jsonl")
    folder = store.models.add(Model("m", "m", "base", "mini", "b", 1, str(base)))
    file = export(folder, "gguf-f16", workspace, store)
    settings = {"choices": "likelihood", "prompting": "raw"}
    first, second = evaluate_questions([folder, file], questions, store, workspace, settings)
    outcomes = store.evaluations.outcomes(first.id)
    torch_model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    for outcome, row in zip(outcomes, rows, strict=True):
        prompt = tokenizer(f"{row['question']}\n\n").input_ids
        for choice, nats in zip(row["choices"], outcome.details["nats_of_choices"], strict=True):
            ids = tokenizer(f"{row['question']}\n\n{choice}").input_ids
            logits = torch_model(torch.tensor([ids])).logits[0].log_softmax(-1).detach()
            own = -sum(float(logits[place - 1, ids[place]]) for place in range(len(prompt), len(ids)))
            assert nats == pytest.approx(own, abs=0.05)  # the engine computes in bfloat16
        place = min(range(3), key=lambda one: outcome.details["nats_of_choices"][one])
        assert (outcome.verdict == "passed") == (place == row["answer"])
    assert {score.metric for score in first.scores} == {"pass@1", "pass@1_by_bytes"}
    other = {one.item: one.details["nats_of_choices"] for one in store.evaluations.outcomes(second.id)}
    for outcome in outcomes:
        assert other[outcome.item] == pytest.approx(outcome.details["nats_of_choices"], abs=0.05)
