"""Names of bases: what a quantized one stands for, and when two names mean the same weights.

sixteen_bit("unsloth/Qwen2.5-7B-Instruct-unsloth-bnb-4bit")   # "unsloth/Qwen2.5-7B-Instruct"
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

QUANTIZED = re.compile(
    r"[-_.](unsloth-bnb-4bit|bnb-[48]bit|bnb-(nf4|fp4)|[48]-?bit|int[48]|nf4|"
    r"(auto)?gptq([-_]?int[2348]|[-_]?[2348]bit)?([-_]\d+g)?|awq([-_]?int4|[-_]?4bit)?|"
    r"fp8([-_](dynamic|block|kv))?|hqq.*|eetq|exl[23].*|aqlm.*)$",
    re.IGNORECASE,
)
"""How names of quantized copies end."""

RENAMED = {
    "unsloth/mistral-7b": "mistralai/Mistral-7B-v0.1",
    "unsloth/zephyr-sft": "HuggingFaceH4/mistral-7b-sft-beta",
    "unsloth/tinyllama": "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T",
    "unsloth/tinyllama-chat": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    "unsloth/solar-10.7b": "upstage/SOLAR-10.7B-v1.0",
    "unsloth/pixtral-12b-2409-base": "mistralai/Pixtral-12B-Base-2409",
}
"""Copies whose name no rule leads to their publisher's, in small letters. Source: Unsloth's own map, 2026.10.9."""

MIRRORS = ("unsloth", "mlx-community", "thebloke", "neuralmagic", "redhatai", "hugging-quants", "modelscope")
"""Owners that publish others' models again: another owner's of the same name has the same weights."""


def sixteen_bit(name: str) -> str:
    """The name of what a quantized copy was made of, by its ending; "" if the name is no such copy's."""
    plain, before = name.rstrip("/"), ""
    while plain != before:
        before, plain = plain, QUANTIZED.sub("", plain)
    return plain if plain != name.rstrip("/") else ""


def four_bit(name: str) -> bool:
    """Whether a name is a quantized copy's."""
    return bool(sixteen_bit(name))


def short_name(name: str) -> str:
    """A name without the folder or owner, and without the ending of a GGUF file."""
    return name.rstrip("/").replace("\\", "/").rpartition("/")[2].removesuffix(".gguf")


def same_weights(one: str, other: str) -> bool:
    """Whether two names mean the same weights: equal, or a mirror's copy, or a folder of that name."""
    one, other = (RENAMED.get(name.lower(), name) for name in (one, other))
    if one.lower() == other.lower():
        return True
    owners = {str(PurePosixPath(name).parent).lower() for name in (one, other)}
    hub = all(re.fullmatch(r"[\w.-]+/[\w.-]+", name) for name in (one, other))
    if hub and not owners & set(MIRRORS):
        return False
    return _tail(one) == _tail(other)


def _tail(name: str) -> str:
    """What a model is called whoever publishes it: `unsloth/llama-3-8b` is `meta-llama/Meta-Llama-3-8B`."""
    return short_name(name).lower().removeprefix("meta-").removesuffix("-hf").replace("_", "-")
