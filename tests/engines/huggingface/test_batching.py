"""The batched decoder against transformers' own generate and PEFT, on miniatures of every family, in float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import HuggingFaceEngine, Sampling
from engines.gguf_format.peft_files import AdapterRefused, read_adapter
from engines.huggingface.lora_bank import read_lora_gguf
from engines.huggingface.requests import Request
from trainer import miniature

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

PROMPTS = [
    "def add(a, b):",
    "The sky is",
    "x",
    "import os\nimport sys\n\ndef main(arguments):\n    for one in arguments:\n        print(one)\n" * 3,
    "List the planets: Mercury, Venus,",
    "def f(n):\n    return",
    "Once upon a time there was",
]
LIMITS = [5, 17, 1, 12, 9, 30, 3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature("llama", tmp_path_factory.mktemp("base") / "llama")


def made_adapter(base: Path, folder: Path, seed: int, **config: Any) -> Path:
    """A PEFT adapter folder with random matrices, written by PEFT itself."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(**{"r": 4, "target_modules": "all-linear", **config})
    )
    for name, weights in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weights, std=0.2)
    model.save_pretrained(folder)
    return folder


NAMES = ("", "one", "two")
"""Rows of `with_two_adapters`: the base's own, and its adapters'."""


def with_two_adapters(family: str, place: Path, **config: Any) -> HuggingFaceEngine:
    """A miniature of a family with two adapters, in float32. config: keys of its config.json that are other ones."""
    folder = miniature(family, place / "base")
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **config}))
    adapters = {name: made_adapter(folder, place / name, seed) for seed, name in enumerate(NAMES[1:])}
    return HuggingFaceEngine(folder, adapters, dtype=torch.float32)


@pytest.fixture(scope="module")
def adapters(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("adapters")
    return {
        "plain": made_adapter(folder, place / "plain", 1, lora_alpha=8),
        "stabilised": made_adapter(folder, place / "stabilised", 2, r=6, lora_alpha=12, use_rslora=True),
        "few": made_adapter(folder, place / "few", 3, target_modules=["q_proj", "down_proj"]),
        "patterned": made_adapter(
            folder, place / "patterned", 4, rank_pattern={"v_proj": 2}, alpha_pattern={"layers.1.mlp.up_proj": 32}
        ),
        "dora": made_adapter(folder, place / "dora", 5, use_dora=True),
    }


@pytest.fixture(scope="module")
def engine(folder: Path, adapters: dict[str, Path]) -> HuggingFaceEngine:
    return HuggingFaceEngine(folder, adapters, dtype=torch.float32)


def generated(folder: Path, prompts: list[str], limits: list[int], encode: Any) -> list[list[int]]:
    """What transformers generates, one prompt at a time; ends are cut off."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for prompt, limit in zip(prompts, limits, strict=True):
        ids = torch.tensor([encode(prompt)])
        out = model.generate(ids, max_new_tokens=limit, do_sample=False, attention_mask=torch.ones_like(ids))
        found.append(out[0, ids.shape[1] :].tolist())
    return found


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "mistral", "phi3"])
def test_greedy_answers_are_those_of_generate(architecture: str, tmp_path: Path) -> None:
    base = miniature(architecture, tmp_path / architecture)
    if architecture in ("gemma2", "gemma3", "mistral"):
        # A window shorter than the texts, or it is never tried.
        config = json.loads((base / "config.json").read_text())
        (base / "config.json").write_text(json.dumps({**config, "sliding_window": 8}))
    engine = HuggingFaceEngine(base, dtype=torch.float32)
    requests = [Request(engine.encode(p), Sampling(max_tokens=n)) for p, n in zip(PROMPTS, LIMITS, strict=True)]
    answers = dict(engine.answers(requests, slots=3))
    expected = generated(base, PROMPTS, LIMITS, engine.encode)
    for i, want in enumerate(expected):
        ends = [place for place, token in enumerate(want) if token in engine.end_ids]
        assert list(answers[i].ids) == (want[: ends[0]] if ends else want), (architecture, i)
        assert answers[i].finish_reason == ("stop" if ends else "length")


def test_adapters_answer_as_in_peft(folder: Path, adapters: dict[str, Path], engine: HuggingFaceEngine) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ids = torch.tensor([engine.encode(PROMPTS[3])])
    names = ["", *adapters]
    mixed = engine.mixed_logits(PROMPTS[3], names)
    for place, name in enumerate(names):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        if name:
            model = PeftModel.from_pretrained(model, adapters[name])
        with torch.inference_mode():
            expected = model.eval()(input_ids=ids).logits[0, -1]
        assert torch.allclose(mixed[place], expected, atol=2e-4), name
        alone = engine.mixed_logits(PROMPTS[3], [name])[0]
        assert torch.allclose(mixed[place], alone, atol=1e-4), name


def test_base_rows_are_bit_equal_beside_adapters(engine: HuggingFaceEngine) -> None:
    alone = engine.mixed_logits(PROMPTS[0], ["", "", ""])
    mixed = engine.mixed_logits(PROMPTS[0], ["plain", "", "dora"])
    assert torch.equal(mixed[1], alone[1])
    assert not torch.equal(mixed[0], alone[0])


def test_mixed_batch_decodes_as_each_adapter_alone(engine: HuggingFaceEngine, adapters: dict[str, Path]) -> None:
    requests = [Request(engine.encode(p), Sampling(max_tokens=12), name) for p in PROMPTS for name in ("", *adapters)]
    together = dict(engine.answers(requests, slots=8))
    for name in ("", *adapters):
        own = [i for i, request in enumerate(requests) if request.adapter == name]
        alone = dict(engine.answers([requests[i] for i in own], slots=2))
        assert [together[i].ids for i in own] == [alone[place].ids for place in range(len(own))], name
    assert together[0].ids != together[1].ids


def test_bfloat16_is_packed_and_agrees_with_generate_up_to_near_ties(folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    engine = HuggingFaceEngine(folder, dtype=torch.bfloat16)
    assert all(layer.packed is not None and layer.weight is None for layer in engine.layers.values())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    layer = engine.layers["model.layers.0.mlp.up_proj"]
    assert torch.equal(layer.plain_weight(), model.model.layers[0].mlp.up_proj.weight)
    requests = [Request(engine.encode(p), Sampling(max_tokens=10)) for p in PROMPTS]
    for i, answer in engine.answers(requests, slots=4):
        ids = torch.tensor([requests[i].ids])
        want = model.generate(ids, max_new_tokens=10, do_sample=False, attention_mask=torch.ones_like(ids))
        tokens = [token for token in want[0, ids.shape[1] :].tolist() if token not in engine.end_ids]
        agree = len(answer.ids) if answer.near_tie is None else answer.near_tie
        assert list(answer.ids[:agree]) == tokens[:agree]


def test_strands_give_the_answers_of_one_thread_at_every_run(engine: HuggingFaceEngine) -> None:
    requests = [Request(engine.encode(p), Sampling(max_tokens=n)) for p in PROMPTS for n in (4, 9, 13)]
    one = dict(engine.answers(requests, slots=12))
    torch.set_num_threads(2)
    try:
        runs = [dict(engine.answers(requests, slots=12)) for _ in range(2)]
    finally:
        torch.set_num_threads(1)
    assert [runs[0][i].ids for i in range(len(requests))] == [one[i].ids for i in range(len(requests))]
    assert runs[0] == runs[1]


def test_a_broken_strand_raises_and_closing_stops_all(engine: HuggingFaceEngine) -> None:
    def broken(text: str) -> int | None:
        raise ZeroDivisionError

    good = [Request(engine.encode(p), Sampling(max_tokens=200, ignore_end=True)) for p in PROMPTS * 2]
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            list(engine.answers([*good, Request(engine.encode("x"), Sampling(max_tokens=3), cut=broken)], slots=8))
        running = engine.answers(good, slots=8)
        next(running)
        running.close()
    finally:
        torch.set_num_threads(1)


def test_stop_strings_cuts_and_limits(engine: HuggingFaceEngine) -> None:
    ids = engine.encode(PROMPTS[4])
    whole = dict(engine.answers([Request(ids, Sampling(max_tokens=30, ignore_end=True))]))[0]
    assert whole.tokens == 30 and whole.finish_reason == "length"
    stop = whole.text[10:13]
    stopped = dict(engine.answers([Request(ids, Sampling(max_tokens=30, stop=(stop,), ignore_end=True))]))[0]
    assert stopped.text == whole.text[: whole.text.index(stop)]
    assert stopped.finish_reason == "stop" and stopped.tokens < 30
    cut = dict(
        engine.answers(
            [Request(ids, Sampling(max_tokens=30, ignore_end=True), cut=lambda t: 4 if len(t) > 6 else None)]
        )
    )
    assert cut[0].text == whole.text[:4]


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.floats(0.2, 2.0), st.floats(0.3, 1.0))
def test_sampling_depends_on_the_seed_and_not_on_the_batch(seed: int, temperature: float, top_p: float) -> None:
    engine = _shared_engine()
    sampling = Sampling(max_tokens=6, temperature=temperature, top_p=top_p, seed=seed)
    request = Request(engine.encode("The sky is"), sampling)
    others = [Request(engine.encode(p), Sampling(max_tokens=6, temperature=1.0, seed=seed + 1)) for p in PROMPTS[:3]]
    alone = dict(engine.answers([request], slots=1))[0]
    beside = dict(engine.answers([*others, request], slots=3))[3]
    assert alone.ids == beside.ids


_ENGINE: list[HuggingFaceEngine] = []


def _shared_engine() -> HuggingFaceEngine:
    """Hypothesis calls a test many times: the engine is loaded once, outside of function fixtures."""
    if not _ENGINE:
        import tempfile

        _ENGINE.append(HuggingFaceEngine(miniature("llama", Path(tempfile.mkdtemp()) / "llama"), dtype=torch.float32))
    return _ENGINE[0]


def test_stream_gives_the_pieces_of_the_whole_answer(engine: HuggingFaceEngine) -> None:
    turns: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]
    whole = engine.complete([engine.render(turns)], Sampling(max_tokens=20))[0]
    chunks = list(engine.stream(turns, Sampling(max_tokens=20)))
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert sum(chunk.tokens for chunk in chunks) == whole.tokens
    assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].finish_reason == whole.finish_reason
    stop = whole.text[5:8]
    text = "".join(chunk.text for chunk in engine.stream(turns, Sampling(max_tokens=20, stop=(stop,))))
    assert text == whole.text[: whole.text.index(stop)]


def test_token_losses_are_cross_entropies(folder: Path, engine: HuggingFaceEngine) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = [engine.encode(p) for p in PROMPTS]
    for text, losses in zip(texts, engine.token_losses(texts), strict=True):
        ids = torch.tensor([text])
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, :-1]
        assert torch.allclose(
            losses, torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none"), atol=1e-4
        )


def test_foreign_and_unreadable_adapters_are_refused(
    folder: Path, adapters: dict[str, Path], engine: HuggingFaceEngine, tmp_path: Path
) -> None:
    with pytest.raises(AdapterRefused, match="adapter_config"):
        engine.add_adapter("none", tmp_path)
    other = made_adapter(miniature("phi3", tmp_path / "phi3"), tmp_path / "other", 1)
    with pytest.raises(AdapterRefused, match="another base"):
        engine.add_adapter("other", other)
    trained_head = made_adapter(folder, tmp_path / "head", 1, modules_to_save=["embed_tokens"])
    with pytest.raises(AdapterRefused, match="embed_tokens"):
        read_adapter(trained_head, torch.float32)


def test_a_lora_gguf_is_the_adapter_that_it_was_made_of(weights: Path, tmp_path: Path) -> None:
    """Scales folded in, query and key rows interleaved: undone, the matrices are the folder's own."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    from engines.gguf_format.header import read_header
    from engines.gguf_format.lora import deltas, layout_of, write_lora

    layout = layout_of(read_header(weights))
    # Two of the thirty layers are enough, with the widths of the real file.
    config = AutoConfig.for_model(
        "llama", hidden_size=576, intermediate_size=1536, num_hidden_layers=2, vocab_size=64,
        num_attention_heads=layout.heads, num_key_value_heads=layout.key_value_heads, head_dim=64,
    )  # fmt: skip
    model = get_peft_model(
        AutoModelForCausalLM.from_config(config), LoraConfig(r=4, lora_alpha=8, target_modules="all-linear")
    )
    for name, values in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(values)
    model.save_pretrained(tmp_path / "adapter")
    write_lora(tmp_path / "adapter.gguf", deltas(tmp_path / "adapter", layout), read_header(weights), "adapter")
    folder = read_adapter(tmp_path / "adapter", torch.float32)
    file = read_lora_gguf(tmp_path / "adapter.gguf", weights, folder.keys(), torch.float32)
    assert file.keys() == folder.keys()
    for layer, matrices in folder.items():
        assert torch.allclose(file[layer].up @ file[layer].down, matrices.up @ matrices.down, atol=1e-6), layer


def test_a_closed_engine_raises(folder: Path) -> None:
    engine = HuggingFaceEngine(folder, dtype=torch.float32)
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.complete(["x"], Sampling(max_tokens=1))
