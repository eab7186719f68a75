"""Answers by transformers' continuous batching: the tokens of `generate` and of PEFT, our ends, nothing lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from engines import EngineError, HuggingFaceEngine, Sampling
from engines.huggingface.requests import Request
from engines.huggingface.slot_attention import IMPLEMENTATION
from tests.engines.huggingface.test_batching import LIMITS, PROMPTS, generated, made_adapter
from trainer import miniature

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature("llama", tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture(scope="module")
def adapters(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("adapters")
    return {
        "stabilised": made_adapter(folder, place / "stabilised", 2, r=6, lora_alpha=12, use_rslora=True),
        "dora": made_adapter(folder, place / "dora", 5, use_dora=True),
    }


@pytest.fixture
def engine(folder: Path, adapters: dict[str, Path]) -> HuggingFaceEngine:
    return HuggingFaceEngine(folder, adapters, dtype=torch.float32, decoder="generate_batch")


@pytest.fixture(scope="module")
def ours(folder: Path, adapters: dict[str, Path]) -> HuggingFaceEngine:
    return HuggingFaceEngine(folder, adapters, dtype=torch.float32, decoder="batched")


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "gemma", "gemma3", "mistral", "phi3"])
def test_greedy_answers_are_those_of_generate(architecture: str, tmp_path: Path) -> None:
    base = miniature(architecture, tmp_path / architecture)
    engine = HuggingFaceEngine(base, dtype=torch.float32, decoder="generate_batch")
    requests = [Request(engine.encode(p), Sampling(max_tokens=n)) for p, n in zip(PROMPTS, LIMITS, strict=True)]
    answers = dict(engine.answers(requests, slots=3))
    for i, want in enumerate(generated(base, PROMPTS, LIMITS, engine.encode)):
        ends = [place for place, token in enumerate(want) if token in engine.end_ids]
        assert list(answers[i].ids) == (want[: ends[0]] if ends else want), (architecture, i)
        assert answers[i].finish_reason == ("stop" if ends else "length")
    assert engine.details()["answers"] == {"generate_batch": len(PROMPTS)}


def test_adapters_answer_as_peft_generates(folder: Path, adapters: dict[str, Path], engine: HuggingFaceEngine) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    requests = [Request(engine.encode(p), Sampling(max_tokens=9), name) for p in PROMPTS[:4] for name in adapters]
    answers = dict(engine.answers(requests))
    for name, path in adapters.items():
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), path)
        for i, request in enumerate(requests):
            if request.adapter == name:
                ids = torch.tensor([request.ids])
                want = model.eval().generate(
                    input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=9, do_sample=False
                )
                tokens = want[0, ids.shape[1] :].tolist()
                assert list(answers[i].ids) == [token for token in tokens if token not in engine.end_ids], (name, i)


def test_answers_end_where_ours_end(engine: HuggingFaceEngine, ours: HuggingFaceEngine) -> None:
    whole = dict(ours.answers([Request(ours.encode(p), Sampling(max_tokens=30)) for p in PROMPTS]))
    stops = [Sampling(max_tokens=30, stop=(whole[i].text[4:7] or "never",)) for i in range(len(PROMPTS))]
    requests = [Request(ours.encode(p), one, "dora") for p, one in zip(PROMPTS, stops, strict=True)]
    requests += [Request(ours.encode(p), one) for p, one in zip(PROMPTS, stops, strict=True)]
    requests += [Request(ours.encode(p), Sampling(max_tokens=12, ignore_end=True), "dora") for p in PROMPTS]
    requests += [
        Request(ours.encode(p), Sampling(max_tokens=30), cut=lambda t: 4 if len(t) > 6 else None) for p in PROMPTS
    ]
    expected = dict(ours.answers(requests))
    assert {answer.finish_reason for answer in expected.values()} == {"stop", "length"}
    assert dict(engine.answers(requests, slots=4)) == expected


def test_a_near_tie_is_told_where_generate_may_part(folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    engine = HuggingFaceEngine(folder, dtype=torch.bfloat16, decoder="generate_batch")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    requests = [Request(engine.encode(p), Sampling(max_tokens=12)) for p in PROMPTS]
    answers = dict(engine.answers(requests))
    assert any(answer.near_tie is not None for answer in answers.values())
    assert any(answer.near_tie is None for answer in answers.values())
    for i, answer in answers.items():
        ids = torch.tensor([requests[i].ids])
        want = model.generate(ids, max_new_tokens=12, do_sample=False, attention_mask=torch.ones_like(ids))
        tokens = [token for token in want[0, ids.shape[1] :].tolist() if token not in engine.end_ids]
        agree = len(answer.ids) if answer.near_tie is None else answer.near_tie
        assert list(answer.ids[:agree]) == tokens[:agree]


def test_what_it_cannot_do_is_answered_by_our_loop_and_named(
    engine: HuggingFaceEngine, ours: HuggingFaceEngine, tmp_path: Path
) -> None:
    ids = engine.encode(PROMPTS[1])
    requests = [
        Request(ids, Sampling(max_tokens=6)),
        Request(ids, Sampling(max_tokens=6, temperature=1.0, seed=3)),
        Request(ids, Sampling(max_tokens=6, ignore_end=True)),
    ]
    assert dict(engine.answers(requests)) == dict(ours.answers(requests))
    details = engine.details()
    assert details["answers"] == {"generate_batch": 2, "batched": 1}
    (reason,) = details["not_by_generate_batch"]
    assert "one seed" in reason
    capped = HuggingFaceEngine(miniature("gemma2", tmp_path / "g"), dtype=torch.float32, decoder="generate_batch")
    list(capped.answers([Request(capped.encode("x"), Sampling(max_tokens=2))]))
    (reason,) = capped.details()["not_by_generate_batch"]
    assert "soft cap" in reason


def test_where_it_fails_our_loop_answers_the_rest_and_says_so(
    engine: HuggingFaceEngine, ours: HuggingFaceEngine
) -> None:
    passes = []

    def fail(*_: Any) -> None:
        passes.append(1)
        if len(passes) == 4:
            raise ValueError("no kernel image")

    engine.model.register_forward_pre_hook(fail)  # continuous batching alone calls the whole model
    requests = [Request(engine.encode(p), Sampling(max_tokens=8)) for p in PROMPTS]
    assert dict(engine.answers(requests, slots=3)) == dict(ours.answers(requests))
    assert "no kernel image" in engine.details()["notes"][0]
    assert engine.details()["answers"]["batched"] > 0


@pytest.mark.parametrize("decoder", ["generate_batch", "batched"])
def test_out_of_memory_halves_the_rows_and_loses_no_answer(
    decoder: str, folder: Path, adapters: dict[str, Path], ours: HuggingFaceEngine
) -> None:
    engine = HuggingFaceEngine(folder, adapters, dtype=torch.float32, decoder=decoder)

    def full(_: Any, args: Any, kwargs: Any) -> None:
        rows = kwargs["input_ids"].shape[0] if decoder == "batched" else len(kwargs["logits_to_keep"])
        if rows > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    watched = engine.model if decoder == "generate_batch" else engine.model.get_decoder()
    watched.register_forward_pre_hook(full, with_kwargs=True)
    requests = [Request(engine.encode(p), Sampling(max_tokens=8), name) for p in PROMPTS for name in ("", "dora")]
    requests.append(Request(engine.encode("x"), Sampling(max_tokens=8, temperature=1.0, seed=4)))
    expected = dict(ours.answers(requests))
    found = list(engine.answers(requests, slots=12))
    assert sorted(found, key=lambda one: one[0]) == sorted(expected.items(), key=lambda one: one[0]), (
        "every answer, and each once"
    )
    assert engine.details()["notes"] == [
        "the GPU's memory ran out with 12 rows at once; 6 from there on",
        "the GPU's memory ran out with 6 rows at once; 3 from there on",
    ]


def test_one_row_that_does_not_fit_goes_to_our_loop_and_then_names_the_remedy(engine: HuggingFaceEngine) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    request = Request(engine.encode("x"), Sampling(max_tokens=2))
    hook = engine.model.register_forward_pre_hook(full)
    assert len(dict(engine.answers([request] * 3))) == 3
    assert engine.details()["answers"] == {"batched": 3} and "no room for one row" in engine.details()["notes"][-1]
    hook.remove()
    engine.model.get_decoder().register_forward_pre_hook(full)
    with pytest.raises(EngineError, match="smaller max_tokens"):
        list(engine.answers([request] * 3))


def test_losses_are_the_same_when_memory_runs_out_under_them(
    engine: HuggingFaceEngine, ours: HuggingFaceEngine
) -> None:
    def full(_: Any, args: Any, kwargs: Any) -> None:
        if kwargs["input_ids"].shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    engine.model.get_decoder().register_forward_pre_hook(full, with_kwargs=True)
    texts = [engine.encode(p) for p in PROMPTS]
    for found, expected in zip(engine.token_losses(texts, "dora"), ours.token_losses(texts, "dora"), strict=True):
        assert torch.allclose(found, expected, atol=1e-5)
    assert "ran out over 7 texts" in engine.details()["notes"][0]


def test_closing_stops_its_thread_and_puts_our_attention_back(engine: HuggingFaceEngine) -> None:
    before = set(threading.enumerate())
    running = engine.answers([Request(engine.encode(p), Sampling(max_tokens=200)) for p in PROMPTS * 4], slots=2)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert not set(threading.enumerate()) - before
    assert engine.model.config._attn_implementation == IMPLEMENTATION
    assert list(engine.stream_text("x", Sampling(max_tokens=2)))
    assert list(engine.answers([Request(engine.encode("x"), Sampling(max_tokens=2))]))


def test_an_unknown_decoder_is_named(folder: Path) -> None:
    with pytest.raises(EngineError, match="'vllm' is no decoder; choose batched or generate_batch"):
        HuggingFaceEngine(folder, decoder="vllm")
