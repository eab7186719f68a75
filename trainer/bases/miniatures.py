"""Miniature models: the real configuration classes with two layers, random weights and a trained small tokenizer.

A miniature takes the same paths as its big sibling (loading, templates, training, export, GGUF) in a second and
160 KB. What it says means nothing.

Try: python -c "import trainer; trainer.miniature('llama', '/tmp/miniature')"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engines import silence
from trainer.bases.miniature_tokenizers import miniature_tokenizer
from trainer.errors import BaseUnavailable

SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
    "initializer_range": 0.1,
}
"""Every row a multiple of 32, so that Q8_0 and Q4_0 can hold it; initialised widely, so that logits differ."""

ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "llama", {"rope_theta": 500000.0, "tie_word_embeddings": True}),
    "smollm2": ("LlamaConfig", "smollm2", {"rope_theta": 100000.0, "tie_word_embeddings": True}),
    "qwen2": ("Qwen2Config", "qwen2", {"rope_theta": 1000000.0, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3Config", "qwen3", {"rope_theta": 1000000.0, "tie_word_embeddings": True, "head_dim": 32}),
    "gemma": ("GemmaConfig", "gemma", {"head_dim": 32}),
    "gemma2": ("Gemma2Config", "gemma", {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 1024}),
    "gemma3": ("Gemma3TextConfig", "gemma", {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 512}),
    "mistral": ("MistralConfig", "mistral", {"rope_theta": 1000000.0, "sliding_window": None}),
    "phi3": ("Phi3Config", "phi3", {"tie_word_embeddings": False}),
}
"""Architecture → (configuration class of transformers, tokenizer style, what differs from SHAPE)."""


def miniature(architecture: str, folder: Path | str, seed: int = 0) -> Path:
    """Write a tiny model with tokenizer and chat template into `folder` and return it; done when it is there already.

    `architecture` is one of ARCHITECTURES. The same seed gives the same weights.
    Raises: BaseUnavailable for an unknown architecture.
    """
    import torch
    import transformers

    folder = Path(folder)
    if architecture not in ARCHITECTURES:
        raise BaseUnavailable(f"No miniature of architecture {architecture!r}; there are {', '.join(ARCHITECTURES)}")
    if (folder / "model.safetensors").is_file():
        return folder
    config_class, style, differences = ARCHITECTURES[architecture]
    tokenizer = miniature_tokenizer(style)
    config = getattr(transformers, config_class)(
        **{**SHAPE, **differences},
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    with silence():
        model.save_pretrained(folder)
    return folder
