"""Names of bases: what a quantized one stands for, and when two names mean the same weights.

sixteen_bit("unsloth/Qwen2.5-7B-Instruct-unsloth-bnb-4bit")   # "unsloth/Qwen2.5-7B-Instruct"
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

QUANTIZED = re.compile(
    r"[-_.](unsloth-bnb-4bit|bnb-[48]bit|bnb-(nf4|fp4)|[48]-?bit|int[48]|nf4|qat-.*|"
    r"(auto)?gptq([-_]?int[2348]|[-_]?[2348]bit)?([-_]\d+g)?|awq([-_]?int4|[-_]?4bit)?|"
    r"fp8([-_]dynamic|[-_]kv)?|hqq.*|eetq|exl[23].*|aqlm.*)$",
    re.IGNORECASE,
)
"""How names of quantized copies end."""

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
    if one.lower() == other.lower():
        return True
    owners = {str(PurePosixPath(name).parent).lower() for name in (one, other)}
    hub = all(re.fullmatch(r"[\w.-]+/[\w.-]+", name) for name in (one, other))
    if hub and not owners & set(MIRRORS):
        return False
    return _tail(one) == _tail(other)


def _tail(name: str) -> str:
    """What a model is called whoever publishes it: `unsloth/llama-3-8b` is `meta-llama/Meta-Llama-3-8B`."""
    return short_name(name).lower().removeprefix("meta-").replace("_", "-")
