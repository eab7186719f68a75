"""Files from before GGUF: a GPT-2 is written in the layout of ggml's `convert-h5-to-ggml.py` and really answers."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import EngineError, FileRefused, Sampling, open_engine
from engines.llamacpp.ggml_legacy import CTransformersEngine, _whole_characters, refuse_modern
from results import Model, Workspace

END = b"<|endoftext|>"
VOCABULARY = [*(bytes([byte]) for byte in range(256)), END]
NAMES = {
    "transformer.wte.weight": "model/wte", "transformer.wpe.weight": "model/wpe", "lm_head.weight": "model/lm_head",
    "transformer.ln_f.weight": "model/ln_f/g", "transformer.ln_f.bias": "model/ln_f/b",
}  # fmt: skip
CONTEXT = 64


def _name(name: str) -> str:
    """transformers' name of a GPT-2 tensor → the file's: h.0.attn.c_attn.weight is h0/attn/c_attn/w."""
    if name in NAMES:
        return NAMES[name]
    layer, *path, kind = name.removeprefix("transformer.h.").split(".")
    letter = {"weight": "g" if path[0].startswith("ln") else "w", "bias": "b"}[kind]
    return "/".join(["model", f"h{layer}", *path, letter])


def write_ggml(path: Path, model: Any, vocabulary: list[bytes]) -> None:
    """A GPT-2 as a GGML file in float32: magic, sizes, vocabulary, then each tensor with its own little header."""
    sizes = model.config
    with path.open("wb") as file:
        file.write(b"lmgg")
        file.write(struct.pack("6i", len(vocabulary), sizes.n_positions, sizes.n_embd, sizes.n_head, sizes.n_layer, 0))
        file.write(struct.pack("i", len(vocabulary)))
        for token in vocabulary:
            file.write(struct.pack("i", len(token)) + token)
        for name, tensor in model.state_dict().items():
            if name.endswith((".attn.bias", ".attn.masked_bias")):
                continue
            data = tensor.numpy().astype(np.float32)
            if ".c_" in name and data.ndim == 2:
                data = data.T  # transformers keeps these as (in, out)
            label = _name(name).encode()
            file.write(struct.pack("3i", data.ndim, len(label), 0))
            file.write(struct.pack(f"{data.ndim}i", *reversed(data.shape)))
            file.write(label + np.ascontiguousarray(data).tobytes())


@pytest.fixture(scope="module")
def gpt2() -> Any:
    """A GPT-2 of two layers, 256 bytes and an end as its vocabulary, far from uniform answers."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=257, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.fixture(scope="module")
def old(gpt2: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same GPT-2 as a GGML file."""
    folder = tmp_path_factory.mktemp("ggml")
    write_ggml(folder / "gpt2.bin", gpt2, VOCABULARY)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    return folder / "gpt2.bin"


def _greedy(model: Any, prompt: str, tokens: int) -> str:
    """What transformers says, byte by byte."""
    import torch

    ids = torch.tensor([list(prompt.encode())])
    for _ in range(tokens):
        logits = model(ids).logits[:, -1]
        logits[:, 256] = float("-inf")
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], 1)
    return bytes(ids[0, len(prompt.encode()) :].tolist()).decode("utf-8", "replace")


@pytest.mark.slow
def test_an_old_file_answers_as_transformers_does(gpt2: Any, old: Path) -> None:
    engine = open_engine(Model("o", "old", "ggml", "gpt2", "f" * 64, 1, str(old)), Workspace(old.parent / "workspace"))
    assert isinstance(engine, CTransformersEngine)
    prompts = ["Why is the sky blue?", "def add(a, b):", "naïve café 中文"]
    answers = engine.complete(prompts, Sampling(24, ignore_end=True))
    assert [answer.text for answer in answers] == [_greedy(gpt2, prompt, 24) for prompt in prompts]
    assert [answer.prompt_tokens for answer in answers] == [len(prompt.encode()) for prompt in prompts]
    assert all(answer.tokens == 24 and answer.finish_reason == "length" for answer in answers)
    assert engine.complete(prompts[:1], Sampling(24, ignore_end=True))[0].text == answers[0].text  # nothing left over
    with pytest.raises(EngineError, match="1 to 64"):
        engine.complete(["x" * 80], Sampling(4))
    with pytest.raises(EngineError, match="chat template"):
        engine.render([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.count_tokens("a")


@pytest.mark.slow
def test_an_old_file_is_sampled_by_seed_and_stopped(old: Path) -> None:
    engine = CTransformersEngine(old, threads=1)

    def say(**settings: Any) -> str:
        return engine.complete(["The sky"], Sampling(**{"max_tokens": 32, "ignore_end": True} | settings))[0].text

    drawn = [say(temperature=1.0, seed=seed) for seed in range(4)]
    assert len(set(drawn)) == 4 and say(temperature=1.0, seed=2) == drawn[2]
    assert len(set(drawn[0])) > 4, "the same random number for every token"
    assert say(temperature=1.0, seed=3, top_p=1e-6) == say()  # the smallest nucleus is the best token
    whole = say()
    assert say(stop=(whole[3:6],)) == whole[: whole.index(whole[3:6])]
    engine.close()


@pytest.mark.slow
def test_the_end_token_ends_an_old_answer(gpt2: Any, tmp_path: Path) -> None:
    """The best first token is made the end: the answer is empty, and says that it is complete."""
    import torch

    prompt = b"The sky"
    first = int(gpt2(torch.tensor([list(prompt)])).logits[0, -1].argmax())
    assert first not in prompt
    vocabulary = [*VOCABULARY]
    vocabulary[first], vocabulary[256] = END, bytes([first])
    write_ggml(tmp_path / "ends.bin", gpt2, vocabulary)
    engine = CTransformersEngine(tmp_path / "ends.bin", "gpt2")
    answer = engine.complete([prompt.decode()], Sampling(8))[0]
    assert (answer.text, answer.tokens, answer.finish_reason) == ("", 0, "stop")
    assert engine.complete([prompt.decode()], Sampling(8, ignore_end=True))[0].tokens == 8
    engine.close()


def test_modern_files_are_refused_by_name(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(FileRefused, match=r"'llama'.*no Llama 3, Qwen2"):
        refuse_modern(weights)
    (tmp_path / "weights.bin").write_bytes(b"\x80\x04pickle" + b"\0" * 30)
    with pytest.raises(FileRefused, match="neither GGML nor GGUF"):
        CTransformersEngine(tmp_path / "weights.bin")
    (tmp_path / "old.bin").write_bytes(b"tjgg" + b"\0" * 60)
    with pytest.raises(EngineError, match="model_type"):
        CTransformersEngine(tmp_path / "old.bin")


@pytest.mark.parametrize(
    ("data", "text", "rest"),
    [
        (b"abc", "abc", b""),
        ("é".encode()[:1], "", b"\xc3"),
        ("a😀".encode()[:3], "a", b"\xf0\x9f"),
        (b"\xff", "\ufffd", b""),
    ],
)
def test_half_characters_wait(data: bytes, text: str, rest: bytes) -> None:
    assert _whole_characters(data) == (text, rest)
