"""One run's LoRA weights while it trains, and how PEFT names them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.multi_lora import kernels

SAME_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers of one parent that read the same tensor."""


class Adapter:
    """One run's LoRA weights: the layer's name to its pair (A (rank, in), B (out, rank)), fp32.

    All weights lie in one flat parameter, so that the optimizer, the norm and the cast to the base's dtype are one
    operation each instead of several hundred. Layers that read the same input lie together, their As end to end.
    """

    def __init__(
        self, layers: dict[str, nn.Linear], rank: int, scale: float, dropout: float, dropout_draws: torch.Generator
    ) -> None:
        self.rank, self.scale, self.dropout, self.dropout_draws = rank, scale, dropout, dropout_draws
        self._places: dict[str, tuple[tuple[int, int, int], ...]] = {}
        """Where A and B of a layer lie in the flat weights: where each begins, its height and its width."""
        self._groups = layers_by_input(layers)
        size = 0
        for names in self._groups:
            for part in (0, 1):
                for name in names:
                    shape = ((rank, layers[name].in_features), (layers[name].out_features, rank))[part]
                    self._places[name] = (*self._places.get(name, ()), (size, *shape))
                    size += shape[0] * shape[1]
        device = next(iter(layers.values())).weight.device
        self.weights = nn.Parameter(torch.zeros(size, device=device))
        self.weights.grad = torch.zeros_like(self.weights)
        self.pairs = self.views(self.weights.detach())
        self.own = GradientBuffer(self, self.weights.grad, dropout_draws)
        """The buffer whose gradients the optimizer reads."""
        self._buffers: list[GradientBuffer] = []
        self._cast = self._transposed = self.weights.detach()
        self._a_transposed: dict[tuple[str, int], Tensor] = {}
        self._b_transposed: dict[str, Tensor] = {}
        self._blocks: NDArray[np.int64]

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that an optimizer steps: the flat weights."""
        return [self.weights]

    def gradient_buffer(self) -> GradientBuffer:
        """A buffer for the rows that one more thread computes, until `reduce_gradients`."""
        buffer = self.own
        if self._buffers:
            draws = self.dropout_draws
            seed = int(torch.randint(2**62, (), generator=draws, device=draws.device))
            buffer = GradientBuffer(
                self, torch.zeros_like(self.own.flat), torch.Generator(draws.device).manual_seed(seed)
            )
        self._buffers.append(buffer)
        return buffer

    def reduce_gradients(self) -> None:
        """Add up what the threads found, in the order in which they were given their buffers."""
        for buffer in self._buffers[1:]:
            self.own.flat.add_(buffer.flat)
        self._buffers.clear()

    def gradient_norm(self) -> float:
        """The Euclidean norm of all gradients together."""
        return float(torch.linalg.vector_norm(self.own.flat))

    def scale_gradients(self, by: float) -> None:
        """Multiply all gradients, in place."""
        self.own.flat.mul_(by)

    def forget_gradients(self) -> None:
        """Set all gradients to zero, in place."""
        self.own.flat.zero_()

    def cast(self, dtype: torch.dtype) -> None:
        """Take over the present weights for passes in a dtype; called once after every update.

        A and B are kept as they are and transposed: the larger products read either without transposing it every time.
        """
        weights = self.weights.detach()
        if not self._a_transposed or self._cast.dtype != dtype:
            self._cast, self._transposed = weights.to(dtype), torch.empty_like(weights, dtype=dtype)
            self._blocks = self._transposed_blocks()
        elif self._cast is not weights:
            self._cast.copy_(weights)
        if kernels.serves(self._cast):
            kernels.transpose(weights, self._blocks, self.scale, self._transposed)
            return
        for start, height, width, is_b in self._blocks.tolist():
            block = slice(start, start + height * width)
            transposed = weights[block].view(height, width).t() * (self.scale if is_b else 1.0)
            self._transposed[block].view(width, height).copy_(transposed)

    def _transposed_blocks(self) -> NDArray[np.int64]:
        """Lay out what is transposed, As of a group as one and every B: rows of (first, height, width, is it a B)."""
        blocks = []
        for names in self._groups:
            start, rank, width = self._places[names[0]][0]
            blocks.append((start, len(names) * rank, width, 0))
            stacked = self._transposed[start : start + len(names) * rank * width].view(width, -1)
            parts = torch.split(stacked, rank, 1)
            self._a_transposed |= {(name, 1): part for name, part in zip(names, parts, strict=True)}
            self._a_transposed[names[0], len(names)] = stacked
            for name in names:
                start, height, rank = self._places[name][1]
                blocks.append((start, height, rank, 1))
                self._b_transposed[name] = self._transposed[start : start + height * rank].view(rank, height)
        return np.array(blocks, dtype=np.int64)

    def stacked_a(self, names: Sequence[str]) -> Tensor:
        """The As of one layer or of all that lie together, end to end: (layers · rank, in)."""
        return self.stacked_a_of(self._cast, names)

    def stacked_a_transposed(self, names: Sequence[str]) -> Tensor:
        """`stacked_a` transposed: (in, layers · rank)."""
        return self._a_transposed[names[0], len(names)]

    def scaled_b_transposed(self, name: str) -> Tensor:
        """s Bᵀ of a layer, s the adapter's scale: (rank, out)."""
        return self._b_transposed[name]

    def stacked_a_of(self, flat: Tensor, names: Sequence[str]) -> Tensor:
        """The part of a flat tensor where the As of these layers lie: (layers · rank, in)."""
        (start, _, width), (last, rank, _) = self._places[names[0]][0], self._places[names[-1]][0]
        return flat[start : last + rank * width].view(-1, width)

    def views(self, flat: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """The pairs of a flat tensor, by the layer's name."""

        def view(place: tuple[int, int, int]) -> Tensor:
            start, height, width = place
            return flat[start : start + height * width].view(height, width)

        return {name: (view(places[0]), view(places[1])) for name, places in sorted(self._places.items())}


class GradientBuffer:
    """One thread's part in an adapter's step: the gradients of its rows, and what dropout draws for them."""

    def __init__(self, adapter: Adapter, flat: Tensor, dropout_draws: torch.Generator) -> None:
        self.adapter, self.flat, self.dropout_draws = adapter, flat, dropout_draws
        self.gradients = adapter.views(flat)
        """The gradients of the pairs, fp32: every backward pass adds to them."""

    def stacked_a_gradients(self, names: Sequence[str]) -> Tensor:
        """The gradients of the As of one layer or of all that lie together: (layers · rank, in)."""
        return self.adapter.stacked_a_of(self.flat, names)


def new_adapter(
    layers: dict[str, nn.Linear], rank: int, alpha: float, *, rslora: bool, dropout: float, seed: int
) -> Adapter:
    """A fresh adapter, initialised like PEFT's: A uniform (Kaiming, a = √5), B zero. The seed alone decides A."""
    device = next(iter(layers.values())).weight.device
    scale = alpha / (math.sqrt(rank) if rslora else rank)
    adapter = Adapter(layers, rank, scale, dropout, torch.Generator(device).manual_seed(seed + 1))
    draws = torch.Generator().manual_seed(seed)
    for a, _ in adapter.pairs.values():
        bound = 1 / math.sqrt(a.shape[1])  # kaiming_uniform_ with a = √5 has this bound
        a.copy_(torch.empty(a.shape).uniform_(-bound, bound, generator=draws))
    return adapter


def layers_by_input(names: Iterable[str]) -> list[list[str]]:
    """Layer names grouped by the input they read: query, key and value; gate and up; others alone."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        parent, _, own = name.rpartition(".")
        kind = next((kind for kind in SAME_INPUT if own in kind), (own,))
        groups.setdefault((parent, kind[0]), []).append(name)
    return [sorted(group) for group in groups.values()]


def peft_name(layer: str, part: str) -> str:
    """The key that PEFT files have for a layer's `lora_A` or `lora_B`."""
    return f"base_model.model.{layer}.{part}.weight"


def layer_and_part(key: str) -> tuple[str, str]:
    """Take a PEFT key apart into the layer's name and its part."""
    match = re.fullmatch(r"base_model\.model\.(.+)\.(lora_[AB])\.weight", key)
    if match is None:
        raise ValueError(f"{key!r} is not a LoRA weight of a PEFT adapter")
    return match[1], match[2]
