"""What GGUF calls the tensors of each model family, and how it lays them out.

Names come from the official `gguf` package's own table. Two families are stored otherwise than transformers has them:
Llama's query and key rows are interleaved for rotary embeddings, and Gemma's norm weights have 1 added.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.errors import ExportRefused

Array = npt.NDArray[Any]

FAMILIES = {
    "llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma": "gemma", "gemma2": "gemma2",
    "gemma3_text": "gemma3",
}  # fmt: skip
"""transformers' model_type → GGUF architecture. Mistral is stored as llama."""


@dataclass(frozen=True)
class Layout:
    """One model's architecture as GGUF sees it."""

    architecture: str
    layers: int
    heads: int
    key_value_heads: int

    def name(self, module: str) -> str:
        """GGUF tensor name, with suffix, of a transformers parameter, e.g. model.norm.weight → output_norm.weight.

        Raises: ExportRefused for a parameter that the architecture does not have.
        """
        found = _names(self.architecture, self.layers).get_name(module, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ExportRefused(
                "tensor-names", f"{module} has no counterpart in GGUF's {self.architecture} architecture; not exported."
            )
        return str(found)

    def to_gguf(self, name: str, tensor: Array) -> Array:
        """A tensor (rows first) from transformers' layout to GGUF's. Works on the B matrix of an adapter too."""
        if self.architecture == "llama":
            heads = self._rotated(name)
            return interleaved(tensor, heads) if heads else tensor
        if self.architecture.startswith("gemma") and name.endswith("norm.weight"):
            return np.asarray(tensor + tensor.dtype.type(1))
        return tensor

    def from_gguf(self, name: str, tensor: Array) -> Array:
        """The inverse of `to_gguf`."""
        if self.architecture == "llama":
            heads = self._rotated(name)
            return halved(tensor, heads) if heads else tensor
        if self.architecture.startswith("gemma") and name.endswith("norm.weight"):
            return np.asarray(tensor - tensor.dtype.type(1))
        return tensor

    def moves_rows(self, name: str) -> bool:
        """Whether a tensor's rows lie in another order in GGUF."""
        return self.architecture == "llama" and self._rotated(name) > 0

    def _rotated(self, name: str) -> int:
        """Heads of a tensor whose rows rotary embeddings turn; 0 for all others."""
        if ".attn_q." in name:
            return self.heads
        return self.key_value_heads if ".attn_k." in name else 0


@lru_cache(maxsize=8)
def _names(architecture: str, layers: int) -> Any:
    """The `gguf` package's table of one architecture: 20 ms to build, asked for once a tensor."""
    import gguf

    kind = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    return gguf.get_tensor_name_map(kind, layers)


def interleaved(tensor: Array, heads: int) -> Array:
    """Rows of each head from (first halves, second halves) to pairs: (heads * 2 * n, …) → the same shape.

    Source: the permutation of llama.cpp's Llama converter.
    """
    rows = tensor.shape[0]
    paired = tensor.reshape(heads, 2, rows // heads // 2, *tensor.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(paired.reshape(tensor.shape))


def halved(tensor: Array, heads: int) -> Array:
    """The inverse of `interleaved`."""
    rows = tensor.shape[0]
    paired = tensor.reshape(heads, rows // heads // 2, 2, *tensor.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(paired.reshape(tensor.shape))
