"""A transformers config.json in GGUF's terms: sizes, rotary embeddings and their scaling, soft caps, sliding windows.

Read from the file as it is, so that old (rope_theta, rope_scaling) and new (rope_parameters) configs both work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import ExportRefused, FileRefused
from engines.gguf_format.architectures import FAMILIES, Array, Layout
from engines.gguf_format.header import Header
from engines.gguf_format.safetensors_header import read_model_json

REMOTE_CODE = ("auto_map", "trust_remote_code", "custom_pipelines")


@dataclass(frozen=True)
class Hyperparameters:
    """Metadata under the architecture's prefix, and tensors that the config implies."""

    layout: Layout
    values: Mapping[str, int | float | str]
    """Key without prefix → value; bool is not used here."""
    tensors: Mapping[str, Array]
    """rope_freqs.weight where rotary frequencies are scaled one by one (Llama 3.1 and later)."""
    vocabulary: int
    tied: bool
    """Whether the output matrix is the embedding, stored once."""


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A folder's config.json. Raises: FileRefused if it is missing, or asks for code of its own."""
    file = folder / name
    if not file.is_file():
        raise FileRefused(f"{folder} has no config.json: not a transformers model.")
    config = read_model_json(file)
    for key in (*REMOTE_CODE, *(name for name in config if name.startswith("_attn_implementation"))):
        if config.get(key) and not (key.startswith("_attn") and config[key] in ("sdpa", "eager", "flash_attention_2")):
            raise FileRefused(f"{file} has {key!r}, which makes transformers load other code. It is never run here.")
    return config


def hyperparameters(config: Mapping[str, Any]) -> Hyperparameters:
    """What GGUF needs to know. Raises: ExportRefused for other families and rotary scalings that llama.cpp lacks."""
    family = str(config.get("model_type"))
    if family not in FAMILIES:
        raise ExportRefused("architecture", f"{family!r} models are not exported; these are: {', '.join(FAMILIES)}.")
    architecture = FAMILIES[family]
    heads, width = int(config["num_attention_heads"]), int(config["hidden_size"])
    shared = int(config.get("num_key_value_heads") or heads)
    head = int(config.get("head_dim") or width // heads)
    layers = int(config["num_hidden_layers"])
    values: dict[str, int | float | str] = {
        "block_count": layers,
        "context_length": int(config["max_position_embeddings"]),
        "embedding_length": width,
        "feed_forward_length": int(config["intermediate_size"]),
        "attention.head_count": heads,
        "attention.head_count_kv": shared,
        "attention.layer_norm_rms_epsilon": float(config.get("rms_norm_eps", 1e-6)),
        "vocab_size": int(config["vocab_size"]),
    }
    if head != width // heads or architecture in ("qwen3", "gemma", "gemma2", "gemma3"):
        values |= {"attention.key_length": head, "attention.value_length": head}
    rope, tensors = _rope(config, architecture, head)
    values |= rope
    if architecture == "llama":
        values["rope.dimension_count"] = head
    if architecture in ("gemma2", "gemma3") and config.get("sliding_window"):
        values["attention.sliding_window"] = int(config["sliding_window"])
    _check_sliding(config, architecture)
    for key, ours in (
        ("attn_logit_softcapping", "attn_logit_softcapping"),
        ("final_logit_softcapping", "final_logit_softcapping"),
    ):
        if config.get(key):
            values[ours] = float(config[key])
    tied = bool(config.get("tie_word_embeddings", architecture.startswith("gemma")))
    return Hyperparameters(
        Layout(architecture, layers, heads, shared), values, tensors, int(config["vocab_size"]), tied
    )


def _check_sliding(config: Mapping[str, Any], architecture: str) -> None:
    """Sliding windows that llama.cpp does not apply must not matter."""
    window = config.get("sliding_window")
    if architecture in ("qwen2", "qwen3") and config.get("use_sliding_window"):
        raise ExportRefused("sliding-window", "llama.cpp runs Qwen without its sliding window; not exported.")
    if architecture == "llama" and window and int(window) < int(config["max_position_embeddings"]):
        raise ExportRefused(
            "sliding-window",
            f"The model attends to {window} of {config['max_position_embeddings']} tokens, llama.cpp to all. "
            f"Set max_position_embeddings to {window} in its config.json to export it for that length.",
        )


def _rope(
    config: Mapping[str, Any], architecture: str, head: int
) -> tuple[dict[str, int | float | str], dict[str, Array]]:
    parameters = config.get("rope_parameters") or {}
    if "full_attention" in parameters:  # Gemma 3: one set for each kind of layer
        local = parameters.get("sliding_attention", {}).get("rope_theta", 10_000.0)
        parameters = parameters["full_attention"]
    else:
        local = config.get("rope_local_base_freq", 10_000.0)
    if architecture == "gemma3" and float(local) != 10_000.0:
        raise ExportRefused("rope", f"Gemma 3 with a local rotary base of {local}: llama.cpp assumes 10000.")
    default = 1_000_000.0 if architecture == "gemma3" else 10_000.0
    base = float(parameters.get("rope_theta") or config.get("rope_theta") or default)
    values: dict[str, int | float | str] = {"rope.freq_base": base}
    scaling = dict(config.get("rope_scaling") or parameters)
    kind = str(scaling.get("rope_type") or scaling.get("type") or "default")
    if kind == "default":
        return values, {}
    if kind == "linear":
        return values | {"rope.scaling.type": "linear", "rope.scaling.factor": float(scaling["factor"])}, {}
    if kind == "llama3" and architecture == "llama":
        return values, {"rope_freqs.weight": llama3_factors(scaling, base, head)}
    if kind == "yarn":
        original = int(scaling.get("original_max_position_embeddings") or config["max_position_embeddings"])
        return values | {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": float(scaling["factor"]),
            "rope.scaling.original_context_length": original,
        }, {}
    raise ExportRefused("rope", f"Rotary scaling {kind!r} of a {architecture} model is not exported.")


def llama3_factors(scaling: Mapping[str, Any], base: float, head: int) -> Array:
    """(head / 2,) divisors of the rotary frequencies: 1 for short wavelengths, `factor` for long, smooth between.

    Source: transformers' `_compute_llama3_parameters` (the formula of Llama 3.1's release).
    """
    factor, low, high = (float(scaling[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    context = float(scaling["original_max_position_embeddings"])
    factors = []
    for pair in range(0, head, 2):
        wavelength = 2 * math.pi * base ** (pair / head)
        if wavelength < context / high:
            factors.append(1.0)
        elif wavelength > context / low:
            factors.append(factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, np.float32)


READ = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma": "gemma", "gemma2": "gemma2",
        "gemma3": "gemma3_text"}  # fmt: skip
"""GGUF architecture → transformers' model_type of what `config_of` makes. Mistral is read as llama."""

GEMMA2_27B_LAYERS = 46
"""The one Gemma 2 that scales queries by width over heads; a GGUF does not say so, and llama.cpp goes by this too."""


def config_of(header: Header) -> dict[str, Any]:
    """A transformers configuration of a GGUF file, the inverse of `hyperparameters`; its architecture is one of `READ`.

    Raises: FileRefused for rotary factors that no scaling known here gives.
    """
    get, architecture = header.hyperparameter, header.architecture
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    heads, width, layers = int(get("attention.head_count")), int(get("embedding_length")), int(get("block_count"))
    head = int(get("attention.key_length", width // heads))
    values: dict[str, Any] = {
        "model_type": READ[architecture],
        "hidden_size": width,
        "intermediate_size": int(get("feed_forward_length")),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": int(get("attention.head_count_kv", heads)),
        "head_dim": head,
        "rms_norm_eps": float(get("attention.layer_norm_rms_epsilon", 1e-6)),
        "max_position_embeddings": int(get("context_length")),
        "vocab_size": shapes["token_embd.weight"][1],
        "tie_word_embeddings": "output.weight" not in shapes,
    }
    for name in ("bos", "eos", "padding"):
        values[f"{name.removesuffix('ding')}_token_id"] = header.metadata.get(f"tokenizer.ggml.{name}_token_id")
    if architecture in ("llama", "qwen3"):
        values["attention_bias"] = "blk.0.attn_q.bias" in shapes
    if architecture in ("gemma2", "gemma3"):
        values["sliding_window"] = int(get("attention.sliding_window", 4096))
        wide = architecture == "gemma2" and layers == GEMMA2_27B_LAYERS
        values["query_pre_attn_scalar"] = width // heads if wide else head
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        if architecture == "gemma2" or get(key):
            values[key] = float(get(key)) if get(key) else None
    values["rope_parameters"] = _rope_parameters(header, head)
    return values


def _rope_parameters(header: Header, head: int) -> dict[str, Any]:
    get = header.hyperparameter
    base = float(get("rope.freq_base", 1_000_000.0 if header.architecture == "gemma3" else 10_000.0))
    found: dict[str, Any] = {"rope_type": "default", "rope_theta": base}
    kind = str(get("rope.scaling.type", "none"))
    if kind in ("linear", "yarn"):
        found |= {"rope_type": kind, "factor": float(get("rope.scaling.factor"))}
    if kind == "yarn":
        found["original_max_position_embeddings"] = int(get("rope.scaling.original_context_length"))
    if any(tensor.name == "rope_freqs.weight" for tensor in header.tensors):
        found |= _llama3_scaling(header, base, head)
    if header.architecture == "gemma3":
        local = {"rope_type": "default", "rope_theta": 10_000.0}
        return {"full_attention": found, "sliding_attention": local}
    return found


def _llama3_scaling(header: Header, base: float, head: int) -> dict[str, Any]:
    """The scaling whose divisors of the rotary frequencies are those in the file: they are all that a GGUF keeps."""
    stored = np.array(header.rotary_factors, np.float32)
    scaling: dict[str, Any] = {"factor": float(stored.max()), "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    for power in range(5, 18):  # Llama 3's own is 8,192
        scaling["original_max_position_embeddings"] = 1 << power
        if np.allclose(llama3_factors(scaling, base, head), stored, rtol=1e-3):
            return {"rope_type": "llama3", **scaling}
    raise FileRefused("its rope_freqs.weight is no Llama 3 scaling of rotary frequencies, the only one that is read")
