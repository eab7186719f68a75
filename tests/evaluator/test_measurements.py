"""HumanEval, held-out loss and stopping from models to scores in the store: miniature weights, the real sandbox."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from evaluator import (
    IdentityFailed,
    ModelUnmeasurable,
    evaluate_heldout,
    evaluate_humaneval,
    evaluate_stopping,
    load_benchmark,
    rescore,
    sandbox_available,
)
from results import Model, Report, Run, Store, Workspace
from trainer import miniature

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not sandbox_available()[0], reason=f"no sandbox: {sandbox_available()[1]}"),
]

FEW = {"tasks": 3, "max_tokens": 12}


@dataclass(frozen=True)
class Row:
    """What `evaluate_heldout` asks of a conversation."""

    messages: tuple[dict[str, str], ...]


ROWS = [
    Row(({"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"The number is {n}, naïvely."}))
    for n in range(5)
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base, a trained-looking adapter and one that was never trained."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    place = tmp_path_factory.mktemp("weights")
    base = miniature("smollm2", place / "base")
    for name, spread in (("trained", 0.2), ("untrained", 0.0)):
        torch.manual_seed(0)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, target_modules="all-linear"))
        for parameter, values in model.named_parameters():
            if "lora_B" in parameter:
                torch.nn.init.normal_(values, std=spread)
        model.save_pretrained(place / name)
    return {"base": base, "trained": place / "trained", "untrained": place / "untrained"}


def added(store: Store, weights: dict[str, Path], name: str, **more: Any) -> Model:
    base = str(weights["base"])
    if name == "base":
        model = Model("base-1", "base", "base", "mini", "b", 1, base)
    else:
        model = Model(f"{name}-1", name, "adapter", "mini", name, 1, str(weights[name]), base_path=base)
    return store.models.add(dataclasses.replace(model, **more))


def test_humaneval_from_weights_to_scores(store: Store, workspace: Workspace, weights: dict[str, Path]) -> None:
    store.runs.add(Run("run", "run", "e", "mini", {}, 0))
    task = load_benchmark("humaneval")[27].id
    store.reports.put(Report("run", "contamination", {"benchmark": "humaneval", "items": [task], "tasks": {}}))
    models = [added(store, weights, "base"), added(store, weights, "trained", run_id="run")]
    seen: list[tuple[str, int, int]] = []
    base, tuned = evaluate_humaneval(models, store, workspace, FEW, lambda *one: seen.append(one))
    for evaluation in (base, tuned):
        assert evaluation.status == "finished" and evaluation.subset == "3 of 164 tasks"
        assert evaluation.settings["prompting"] == "chat"
        outcomes = store.evaluations.outcomes(evaluation.id)
        assert len(outcomes) == 3 and all(outcome.verdict not in (None, "error") for outcome in outcomes)
        assert {"prompt", "answer", "code", "rule", "tokens", "finish_reason", "message"} <= set(outcomes[0].details)
        assert outcomes[0].details["prompt"].startswith("<|im_start|>")
    assert {score.metric: score.n for score in base.scores} == {"pass@1": 3}
    assert {score.metric: score.n for score in tuned.scores} == {"pass@1": 3, "pass@1_clean": 2}
    assert tuned.details["contamination"]["items"] == [task]
    assert seen[-1] == ("answers to humaneval", 6, 6)
    answers = [[one.details["answer"] for one in store.evaluations.outcomes(each.id)] for each in (base, tuned)]
    assert answers[0] != answers[1]
    seen.clear()
    assert evaluate_humaneval(models, store, workspace, FEW, lambda *one: seen.append(one)) == [base, tuned]
    assert not seen


def test_an_interrupted_evaluation_goes_on_with_what_is_left(
    store: Store, workspace: Workspace, weights: dict[str, Path]
) -> None:
    model = added(store, weights, "base")
    (whole,) = evaluate_humaneval([model], store, workspace, FEW)
    outcomes = store.evaluations.outcomes(whole.id)
    store.evaluations.begin(whole, replace=True)
    failed = dataclasses.replace(outcomes[1], verdict="error")
    store.evaluations.add_outcomes(whole.id, [outcomes[0], failed])
    totals: set[int] = set()
    (again,) = evaluate_humaneval([model], store, workspace, FEW, lambda what, _, total: totals.add(total))
    assert totals >= {2} and again.scores == whole.scores
    renewed = {outcome.item: outcome for outcome in store.evaluations.outcomes(whole.id)}
    for old in outcomes:
        assert renewed[old.item].details["answer"] == old.details["answer"]
        assert renewed[old.item].verdict == old.verdict


def test_rescoring_runs_stored_answers_again(store: Store, workspace: Workspace, weights: dict[str, Path]) -> None:
    model = added(store, weights, "base")
    tasks = load_benchmark("humaneval")
    (first,) = evaluate_humaneval([model], store, workspace, FEW)
    assert first.scores[0].value == 0
    outcomes = store.evaluations.outcomes(first.id)
    solved = next(task for task in tasks if task.id == outcomes[0].item)
    answer = f"```python\n{solved.prompt}{solved.canonical_solution}\n```"
    right = dataclasses.replace(outcomes[0], details={**outcomes[0].details, "answer": answer})
    store.evaluations.begin(first, replace=True)
    store.evaluations.add_outcomes(first.id, [right, *outcomes[1:]])
    again = rescore(first.id, store, tasks)
    assert again.scores[0].value == pytest.approx(1 / 3)
    assert store.evaluations.outcomes(first.id)[0].verdict == "passed"


def test_a_file_of_evalplus_gives_two_scores_and_a_failed_reference_none(
    store: Store, workspace: Workspace, weights: dict[str, Path], tmp_path: Path
) -> None:
    row = {"prompt": "def two():\n", "entry_point": "two", "base_input": [[]], "plus_input": [[]], "atol": 0}
    rows = [row | {"task_id": f"HumanEval/{n}", "canonical_solution": "    return 2\n"} for n in range(2)]
    rows[1]["canonical_solution"] = "    return missing\n"
    path = tmp_path / "HumanEvalPlus.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    wanted = {"benchmark": str(path), "max_tokens": 12}
    (evaluation,) = evaluate_humaneval([added(store, weights, "base")], store, workspace, wanted)
    assert (evaluation.benchmark, evaluation.status) == ("humaneval+", "finished")
    assert {score.metric: score.n for score in evaluation.scores} == {"pass@1": 1, "pass@1_base": 1}
    assert evaluation.details["limits"]["failed_references"].keys() == {"HumanEval/1"}
    assert [one.verdict == "error" for one in store.evaluations.outcomes(evaluation.id)] == [False, True]


def test_raw_prompting_and_samples(store: Store, workspace: Workspace, weights: dict[str, Path]) -> None:
    model = added(store, weights, "base")
    wanted = {**FEW, "tasks": 2, "prompting": "raw", "samples": 3, "temperature": 1.0, "k": (1, 3)}
    (evaluation,) = evaluate_humaneval([model], store, workspace, wanted)
    outcomes = store.evaluations.outcomes(evaluation.id)
    assert len({(outcome.item, outcome.sample) for outcome in outcomes}) == 6
    assert len({outcome.details["answer"] for outcome in outcomes if outcome.item == outcomes[0].item}) > 1
    assert {score.metric for score in evaluation.scores} == {"pass@1", "pass@3"}
    tasks = {task.id: task for task in load_benchmark("humaneval")}
    assert outcomes[0].details["prompt"] == tasks[outcomes[0].item].prompt


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"task": 3}, "task"),
        ({"k": (2,)}, "samples"),
        ({"samples": 2}, "temperature"),
        ({"tasks": ["HumanEval/999"]}, "HumanEval/999"),
        ({"temperature": -1}, "temperature"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    store: Store, workspace: Workspace, wanted: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelUnmeasurable, match=words):
        evaluate_humaneval([], store, workspace, wanted)


def test_heldout_is_cross_entropy_of_the_answers(store: Store, workspace: Workspace, weights: dict[str, Path]) -> None:
    from engines import HuggingFaceEngine

    models = [added(store, weights, "base"), added(store, weights, "trained")]
    base, tuned = evaluate_heldout(models, ROWS, store, workspace)
    engine = HuggingFaceEngine(weights["base"])
    nats, tokens, size = 0.0, 0, 0
    for row in ROWS:
        before = engine.render([row.messages[0]])  # type: ignore[list-item]
        whole = engine.render(row.messages, answer_next=False)  # type: ignore[arg-type]
        start, ids = len(engine.encode(before)), engine.encode(whole.rstrip("\n"))
        losses = engine.token_losses([ids])[0]
        nats += float(losses[start - 1 :].sum())
        tokens += len(ids) - start
        size += len(row.messages[1]["content"].encode())
    scores = {score.metric: score for score in base.scores}
    assert scores["loss_nats_per_token"].value == pytest.approx(nats / tokens, rel=1e-3)
    assert scores["bits_per_byte"].value == pytest.approx(nats / math.log(2) / size, rel=1e-3)
    assert scores["loss_nats_per_token"].n == len(ROWS)
    low, high = scores["bits_per_byte"].low, scores["bits_per_byte"].high
    assert low is not None and high is not None and low <= scores["bits_per_byte"].value <= high
    assert {score.metric for score in tuned.scores} >= {"bits_per_byte_whole", "loss_nats_per_token_whole"}
    assert tuned.scores != base.scores
    assert evaluate_heldout(models, ROWS, store, workspace) == [base, tuned]
    with pytest.raises(ModelUnmeasurable):
        evaluate_heldout(models, [], store, workspace)


def test_another_tokenizer_is_warned_of(
    store: Store, workspace: Workspace, weights: dict[str, Path], tmp_path: Path
) -> None:
    other = store.models.add(
        Model("other-1", "other", "base", "other", "o", 1, str(miniature("qwen2", tmp_path / "qwen2")))
    )
    first, second = evaluate_heldout([added(store, weights, "base"), other], ROWS, store, workspace)
    assert "warnings" not in first.details
    assert "base" in second.details["warnings"][0] and "bits per byte" in second.details["warnings"][0]


def test_stopping_sets_lengths_against_the_base(store: Store, workspace: Workspace, weights: dict[str, Path]) -> None:
    models = [added(store, weights, "trained"), added(store, weights, "base")]
    wanted = {"prompts": "study-d", "max_tokens": 10}
    tuned, base = evaluate_stopping(models, store, workspace, wanted)
    scores = {score.metric: score for score in tuned.scores}
    assert {"cut_off_share", "repetition_share", "answer_tokens_p50", "length_over_base"} <= set(scores)
    assert "length_over_base" not in {score.metric for score in base.scores}
    outcomes = store.evaluations.outcomes(tuned.id)
    cut = sum(outcome.details["finish_reason"] == "length" for outcome in outcomes)
    assert scores["cut_off_share"].value == cut / 3
    assert all(outcome.value == outcome.details["tokens"] <= 10 for outcome in outcomes)


def test_the_self_test_stops_and_says_which(store: Store, workspace: Workspace, weights: dict[str, Path]) -> None:
    untrained = added(store, weights, "untrained")
    with pytest.raises(IdentityFailed, match="never trained") as caught:
        evaluate_humaneval([untrained], store, workspace, FEW)
    assert caught.value.check == "adapter"
    (failed,) = store.evaluations.list(model_id=untrained.id)
    assert failed.status == "failed" and "untrained" in failed.reason
    template = (weights["base"] / "chat_template.jinja").read_text()
    known = added(store, weights, "base", template_sha256=hashlib.sha256(template.encode()).hexdigest())
    evaluate_stopping([known], store, workspace, {"prompts": "study-d", "max_tokens": 2})
    wrong = dataclasses.replace(known, id="base-2", name="base2", template_sha256="0" * 64)
    with pytest.raises(IdentityFailed, match="template"):
        evaluate_heldout([store.models.add(wrong)], ROWS, store, workspace)
