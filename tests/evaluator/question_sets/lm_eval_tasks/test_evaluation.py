"""Tasks of lm-eval from a file to comparisons: an endpoint of known replies, miniature weights, lm-eval's own `hf`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines import Choices, EngineError, HuggingFaceEngine, Sampling
from evaluator import ModelUnmeasurable, evaluate_tasks, named_tasks
from evaluator.question_sets.lm_eval_tasks.likelihood import likelihoods, rolling
from results import Model, Question, Store, Workspace, compare, decide
from results.analysis.statistics import wilson_interval
from tests.evaluator.endpoints import served
from tests.evaluator.question_sets.lm_eval_tasks.written import ADDED
from tests.evaluator.question_sets.test_evaluation import Known, model

CHAT = {"prompting": "chat"}


@pytest.fixture
def endpoint() -> Iterator[Any]:
    with served(Known, asked=[], replies={}) as server:
        yield server


def test_answers_are_judged_by_lm_eval_and_compared_like_any_other(
    store: Store, workspace: Workspace, endpoint: Any, folder: Path
) -> None:
    good = model(store, endpoint, "good", **{"1 and": "It is 3.", "3 and": "7", "5 and": "11!", "7 and": "15 of them"})
    poor = model(store, endpoint, "poor", **{"1 and": "3", "3 and": "No idea", "5 and": "1 or 11", "7 and": "51"})
    tasks = named_tasks(f"lm-eval:{folder}/sums.yaml")
    first, second = evaluate_tasks([good, poor], tasks, store, workspace, CHAT)
    assert {score.metric: score.value for score in first.scores} == {"pass@1": 1.0, "exact_match (number)": 1.0}
    assert {score.metric: score.value for score in second.scores} == {"pass@1": 0.5, "exact_match (number)": 0.5}
    outcomes = {one.item.split(" ")[0]: one for one in store.evaluations.outcomes(second.id)}
    assert [outcomes[str(place)].verdict for place in range(4)] == ["passed", "wrong", "passed", "wrong"]
    details = outcomes["2"].details
    assert (details["answer"], details["target"], details["metrics"]) == (
        "1 or 11",
        "11",
        {"exact_match (number)": 1.0},
    )
    contrast = compare(store, good, poor, "lm-eval:sums").quality
    assert contrast is not None and (contrast.items, contrast.only_a, contrast.only_b) == (4, 2, 0)
    assert decide(store, Question(measures=("lm-eval:sums",))).best == "good"
    before = len(endpoint.asked)
    assert evaluate_tasks([good, poor], tasks, store, workspace, CHAT) == [first, second]
    assert len(endpoint.asked) == before


def test_what_was_answered_stays_where_an_endpoint_breaks_off(
    store: Store, workspace: Workspace, endpoint: Any, folder: Path
) -> None:
    one = model(store, endpoint, "one", **{"1 and": "3", "3 and": "7"})
    tasks = named_tasks(f"lm-eval:{folder}/sums.yaml")
    with pytest.raises(EngineError, match="answered 500"):
        evaluate_tasks([one], tasks, store, workspace, CHAT | {"slots": 1})
    (begun,) = store.evaluations.list(model_id=one.id)
    kept = {outcome.details["answer"] for outcome in store.evaluations.outcomes(begun.id)}
    assert begun.status == "failed" and kept == {"3", "7"}
    endpoint.replies["one"] |= {"5 and": "11", "7 and": "0"}
    endpoint.asked.clear()
    (whole,) = evaluate_tasks([one], tasks, store, workspace, CHAT | {"slots": 1})
    assert len(endpoint.asked) == 2 and whole.id == begun.id
    assert {score.metric: (score.value, score.n) for score in whole.scores}["pass@1"] == (0.75, 4)


def test_documents_of_one_group_are_related(store: Store, workspace: Workspace, endpoint: Any, folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "sums.jsonl").read_text().splitlines()]
    grouped = [{**row, "group": f"text {place // 2}"} for place, row in enumerate(rows)]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in grouped))
    one = model(store, endpoint, "one", **{"1 and": "3", "3 and": "7", "5 and": "0", "7 and": "0"})
    (found,) = evaluate_tasks([one], named_tasks(f"lm-eval:{folder}/sums.yaml"), store, workspace, CHAT)
    groups = {outcome.item.split(" ")[0]: outcome.details["group"] for outcome in store.evaluations.outcomes(found.id)}
    assert groups == {str(place): f"text {place // 2}" for place in range(4)}
    assert {row.subset for row in store.evaluations.scores()} == {"in 2 groups"}
    first = found.scores[0]
    assert (first.low, first.high) == pytest.approx(wilson_interval(1, 2)), "two groups, not four items"


def test_a_task_over_several_tasks_has_each_ones_share(
    store: Store, workspace: Workspace, endpoint: Any, folder: Path
) -> None:
    (folder / "more.yaml").write_text((folder / "sums.yaml").read_text().replace("task: sums", "task: more"))
    (folder / "both.yaml").write_text("group: both\ntask: [sums, more]\n")
    one = model(store, endpoint, "one", **{"1 and": "3", "3 and": "7", "5 and": "0", "7 and": "0"})
    tasks = named_tasks(f"lm-eval:{folder}/both.yaml")
    (found,) = evaluate_tasks([one], tasks, store, workspace, CHAT)
    assert found.benchmark == "lm-eval:both"
    assert [(score.metric, score.value, score.n) for score in found.scores] == [
        ("pass@1", 0.5, 8),
        ("exact_match (number) of sums", 0.5, 4),
        ("exact_match (number) of more", 0.5, 4),
    ]
    assert {tag: share["value"] for tag, share in found.details["tags"].items()} == {"sums": 0.5, "more": 0.5}


@pytest.fixture(scope="module")
def engine(base: Path) -> Iterator[HuggingFaceEngine]:
    found = HuggingFaceEngine(str(base), {})
    yield found
    found.close()


class Asked:
    """A request of lm-eval's, as far as it is read: its arguments."""

    def __init__(self, *args: str) -> None:
        self.args = args


@pytest.fixture(scope="module")
def own(base: Path, engine: HuggingFaceEngine) -> Any:
    """lm-eval's own model over the same weights in the same arithmetic."""
    from lm_eval.models.huggingface import HFLM

    dtype = str(engine.model.dtype).removeprefix("torch.")
    return HFLM(pretrained=str(base), dtype=dtype, softmax_dtype="float32", device="cpu", batch_size=1)


PAIRS = [
    ("What colour has a rose?\nAnswer:", " red"),
    ("What colour has a rose?\nAnswer: ", "yellow and green"),
    ("Trailing lines\n\n", "of the context"),
    ("", "A text without a context"),
    ("def add(a, b):", "\n    return a + b"),
    ("word " * 3000, "end"),
]


@pytest.mark.slow
def test_likelihoods_are_lm_evals_own(engine: HuggingFaceEngine, own: Any) -> None:
    requests = [Asked(*pair) for pair in PAIRS]
    found = likelihoods(engine, "", requests)
    told = own.loglikelihood(requests, disable_tqdm=True)
    for (nats, greedy), (expected, hit) in zip(found, told, strict=True):
        assert nats == pytest.approx(expected, rel=2e-2, abs=0.05) and greedy == hit
    texts = ["A whole text.", "word " * 3000]
    wholes = own.loglikelihood_rolling([Asked(text) for text in texts], disable_tqdm=True)
    assert rolling(engine, "", texts) == pytest.approx(wholes, rel=2e-2)


@pytest.mark.slow
def test_in_float32_every_choice_is_lm_evals_own(base: Path) -> None:
    """What differs in bfloat16 is the rounding of sums in batches of another shape, and not what is read."""
    import torch
    from lm_eval.models.huggingface import HFLM

    engine = HuggingFaceEngine(str(base), {}, dtype=torch.float32)
    own = HFLM(pretrained=str(base), dtype="float32", softmax_dtype="float32", device="cpu", batch_size=3)
    choices = (" yes", " no", " maybe so", "\n\nBoth of them")
    requests = [Asked(f"{'Read this. ' * (n % 9)}Question {n}?\nAnswer:", one) for n in range(25) for one in choices]
    found, told = likelihoods(engine, "", requests), own.loglikelihood(requests, disable_tqdm=True)
    engine.close()
    assert [greedy for _, greedy in found] == [greedy for _, greedy in told]
    for place in range(0, len(requests), len(choices)):
        mine, theirs = ([nats for nats, _ in one[place : place + len(choices)]] for one in (found, told))
        assert mine == pytest.approx(theirs, abs=1e-3)
        assert mine.index(max(mine)) == theirs.index(max(theirs))


@pytest.mark.slow
def test_a_continuation_is_greedy_where_it_is_what_greedy_decoding_gives(engine: HuggingFaceEngine) -> None:
    prompt = "def add(a, b):"
    (answer,) = engine.complete([prompt], Sampling(max_tokens=4, ignore_end=True))
    (request,) = (engine.request(prompt, Sampling(max_tokens=4, ignore_end=True)),)
    _, generated = next(iter(engine.answers([request])))
    assert answer.text == generated.text
    other = (*generated.ids[:-1], (generated.ids[-1] + 1) % 100)
    ((_, (same, another)),) = engine.likelihoods([Choices(request.ids, (generated.ids, other))])
    assert same.greedy and not another.greedy


@pytest.mark.slow
@pytest.mark.parametrize("name", ["colours", "next", "whole", "sums"])
def test_a_base_and_its_adapter_are_measured_together(
    store: Store, workspace: Workspace, base: Path, folder: Path, tmp_path: Path, name: str
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    adapter = tmp_path / "adapter"
    config = LoraConfig(target_modules="all-linear", init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(adapter)
    models = [
        store.models.add(Model("base-1", "plain", "base", "mini", "", 1, str(base))),
        store.models.add(Model("tuned-1", "tuned", "adapter", "mini", "", 1, str(adapter), base_path=str(base))),
    ]
    tasks = named_tasks(f"lm-eval:{folder}/{name}.yaml")
    plain, tuned = evaluate_tasks(models, tasks, store, workspace)
    total = 6 if name == "colours" else len(ADDED)
    for found in (plain, tuned):
        outcomes = store.evaluations.outcomes(found.id)
        assert len(outcomes) == total and found.status == "finished", json.dumps(found.details)
    labels = [score.metric for score in plain.scores]
    assert (
        labels
        == {
            "colours": ["pass@1", "acc", "acc_norm"],
            "next": ["mean_share" if plain.details["metric"] == "perplexity" else "pass@1", "perplexity", "acc"],
            "whole": ["word_perplexity", "byte_perplexity", "bits_per_byte"],
            "sums": ["pass@1", "exact_match (number)"],
        }[name]
    )
    said = [[one.details["responses"] for one in store.evaluations.outcomes(found.id)] for found in (plain, tuned)]
    assert said[0] != said[1], "the adapter was asked, not the base twice"
    if name == "whole":
        assert plain.details["notes"] == [
            "no metric is one number for each document of which more is better: nothing decides by it"
        ]


def test_likelihoods_of_a_model_out_of_reach_are_refused_by_name(
    store: Store, workspace: Workspace, endpoint: Any, folder: Path
) -> None:
    far = model(store, endpoint, "far")
    with pytest.raises(ModelUnmeasurable, match="far is a remote: its weights are out of reach"):
        evaluate_tasks([far], named_tasks(f"lm-eval:{folder}/colours.yaml"), store, workspace)
