"""Attention over slots: rows of one batch that are at different places of different texts.

Transformers' own path copies every key and value once per query head group and grows the cache by concatenation: most
of a decode step of a small model. Here the cache is allocated ahead, written in place at each row's own length, and
read grouped. The function is registered with transformers by name, so every architecture that uses its attention
interface (Llama, Qwen2, Qwen3, Gemma, Mistral, Phi) runs unchanged on it.

Does not cover: models with states other than keys and values (Mamba), encoders, attention sinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import torch
import torch.nn.functional as functional
from transformers import AttentionInterface, Cache

from engines.huggingface.forks import Beginning, Fork

IMPLEMENTATION = "bakeoff_slots"
"""What `attn_implementation` is set to. No mask function goes with it: transformers then builds no mask."""

GROWTH = 128
"""Positions by which a full cache grows."""


@dataclass(frozen=True)
class Step:
    """Where the rows of one decode step stand."""

    lengths: torch.Tensor
    """(slots,) int64: tokens already in each row's cache; the step's token goes to that place."""
    width: int
    """Positions that attention reads: more than the longest row."""
    mask: torch.Tensor
    """(slots, 1, 1, width), 0 where a row may look and -inf elsewhere, in the keys' dtype."""


def decode_step(lengths: torch.Tensor, width: int, dtype: torch.dtype) -> Step:
    """The masks of one step: row i sees its first `lengths[i]` positions and its own token."""
    hidden = torch.arange(width, device=lengths.device)[None, :] > lengths[:, None]
    mask = torch.zeros(hidden.shape, dtype=dtype, device=lengths.device).masked_fill_(hidden, float("-inf"))
    return Step(lengths, width, mask[:, None, None, :])


class How(TypedDict, total=False):
    """What transformers passes by name, as far as it is heeded; what else it passes is for other implementations."""

    sliding_window: int | None
    """A row sees its last so many positions."""
    softcap: float | None
    step: Step | None
    """Where the rows of a decode step stand; None while texts are read."""
    fork: Fork | None
    """Where continuations stand behind the prompts that are read."""


def slot_attention_forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **how: Unpack[How],
) -> tuple[torch.Tensor, None]:
    """query (rows, heads, n, d), key and value (rows, groups, width, d) -> (rows, n, heads, d).

    Without a step the rows are texts padded on the right, so causality alone hides the padding; `query` is the last n
    of `width` positions, the others were read before.
    """
    if fork := how.get("fork"):
        cut, seen = fork.prompts, fork.before + fork.prompts
        whole: How = {"sliding_window": how.get("sliding_window"), "softcap": how.get("softcap")}
        first = (query[:, :, :cut], key[:, :, :seen], value[:, :, :seen])
        read, _ = slot_attention_forward(module, *first, attention_mask, scaling, **whole)
        hidden = fork.mask(whole["sliding_window"], query.dtype)
        return torch.cat([read, _masked(query[:, :, cut:], key, value, hidden, scaling, whole["softcap"])], 1), None
    del module, attention_mask
    step, sliding_window, softcap = how.get("step"), how.get("sliding_window"), how.get("softcap")
    length, asked = key.shape[2], query.shape[2]
    mask = None
    if step is not None:
        mask = step.mask
        if sliding_window is not None and step.width > sliding_window:
            places = torch.arange(step.width, device=key.device)[None, :]
            mask = mask.masked_fill((places <= step.lengths[:, None] - sliding_window)[:, None, None, :], float("-inf"))
    elif (sliding_window is not None and length > sliding_window) or softcap or asked < length:
        before = length - asked
        band = torch.ones(asked, length, dtype=torch.bool, device=key.device).tril(before)
        if sliding_window is not None:
            band = band.triu(1 + before - sliding_window)
        mask = torch.zeros(asked, length, dtype=query.dtype, device=key.device).masked_fill_(~band, float("-inf"))
    if softcap:
        return _capped(query, key, value, mask, scaling, softcap), None
    grouped = query.shape[1] != key.shape[1]
    if grouped and step is not None:
        return folded(query, key, value, mask, scaling).transpose(1, 2), None
    if grouped and not _kernel_groups(query, mask):
        key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], dim=1) for part in (key, value))
        grouped = False
    causal = mask is None and query.shape[2] > 1
    output = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, scale=scaling, enable_gqa=grouped
    )
    return output.transpose(1, 2), None


def _masked(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scaling: float | None,
    softcap: float | None,
) -> torch.Tensor:
    """query (rows, heads, n, d), key and value (rows, groups, width, d), mask (rows, 1, n, width)
    -> (rows, n, heads, d)."""
    if softcap:
        return _capped(query, key, value, mask, scaling, softcap)
    key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], dim=1) for part in (key, value))
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling).transpose(1, 2)


def folded(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    """query (rows, heads, 1, d), key and value (rows, groups, width, d) -> (rows, heads, 1, d).

    The heads that share a group's keys become its queries, so nothing is repeated. With a mask and groups the GPU's
    fast kernels refuse and the slow one copies all keys and values; on a CPU bf16 takes a quarter of the time.
    """
    rows, heads, _, width = query.shape
    groups = key.shape[1]
    output = functional.scaled_dot_product_attention(
        query.reshape(rows, groups, heads // groups, width), key, value, attn_mask=mask, scale=scaling
    )
    return output.reshape(rows, heads, 1, width)


def _kernel_groups(query: torch.Tensor, mask: torch.Tensor | None) -> bool:
    """Whether the kernel that reads whole texts takes grouped keys: on a GPU flash attention, Ampere and newer."""
    return not query.is_cuda or (mask is None and torch.cuda.get_device_capability(query.device)[0] >= 8)


def _capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    softcap: float,
) -> torch.Tensor:
    """Gemma 2's attention: scores squeezed by softcap · tanh(score / softcap) before the softmax."""
    rows, heads, n, width = query.shape
    groups = key.shape[1]
    folded = query.reshape(rows, groups, heads // groups * n, width)
    scores = torch.matmul(folded, key.transpose(2, 3)).float() * (scaling if scaling is not None else width**-0.5)
    scores = (softcap * torch.tanh(scores / softcap)).view(rows, heads, n, -1)
    if mask is not None:
        scores = scores + mask
    weights = torch.softmax(scores, -1).to(value.dtype).view(rows, groups, heads // groups * n, -1)
    return torch.matmul(weights, value).view(rows, heads, n, width).transpose(1, 2)


class SlotCache(Cache):  # type: ignore[misc]
    """Keys and values of `slots` rows, every row with its own length.

    A forward either fills some rows (`filling`), stretch after stretch, or adds one token to all (`step`).
    """

    def __init__(self, slots: int) -> None:
        super().__init__(layers=[])
        self.slots = slots
        self.capacity = 0
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.filling: torch.Tensor | None = None
        """(rows,) slot numbers that the next forward fills; None for a decode step."""
        self.filled = 0
        """Positions of theirs that earlier forwards have filled."""
        self.step: Step | None = None

    def reserve(self, positions: int) -> None:
        """Make room for `positions` in every row."""
        if positions <= self.capacity:
            return
        self.capacity = -(-positions // GROWTH) * GROWTH
        self.keys = [self._grown(layer) for layer in self.keys]
        self.values = [self._grown(layer) for layer in self.values]

    def _grown(self, old: torch.Tensor) -> torch.Tensor:
        new = old.new_zeros(old.shape[0], old.shape[1], self.capacity, old.shape[3])
        new[:, :, : old.shape[2]] = old
        return new

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store (rows, groups, n, d) of one layer; return what attention reads."""
        if layer_idx == len(self.keys):
            for store, states in ((self.keys, key_states), (self.values, value_states)):
                store.append(states.new_zeros(self.slots, states.shape[1], self.capacity, states.shape[3]))
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        if self.filling is not None:
            end = self.filled + key_states.shape[2]
            keys[self.filling, :, self.filled : end] = key_states
            values[self.filling, :, self.filled : end] = value_states
            if not self.filled:
                return key_states, value_states
            return keys[self.filling, :, :end], values[self.filling, :, :end]
        if self.step is None:
            raise RuntimeError("SlotCache.update outside of a fill and of a step")
        rows = torch.arange(self.slots, device=keys.device)
        keys[rows, :, self.step.lengths] = key_states[:, :, 0]
        values[rows, :, self.step.lengths] = value_states[:, :, 0]
        return keys[:, :, : self.step.width], values[:, :, : self.step.width]

    @torch.inference_mode()
    def beginning(self, slot: int, ids: tuple[int, ...], adapter: str) -> Beginning:
        """A copy of what one row has read of its first positions: the tokens `ids`, by one adapter."""
        keys, values = (
            [layer[slot : slot + 1, :, : len(ids)].clone() for layer in part] for part in (self.keys, self.values)
        )
        return Beginning(ids, (adapter,), keys, values)

    @torch.inference_mode()
    def begin(self, slots: Sequence[int], beginning: Beginning) -> None:
        """Let these rows begin as if they had read a beginning themselves."""
        length = len(beginning.ids)
        for store, part in ((self.keys, beginning.keys), (self.values, beginning.values)):
            for layer, read in zip(store, part, strict=True):
                layer[list(slots), :, :length] = read

    def keep(self, rows: Sequence[int]) -> None:
        """Keep only these rows, in this order: fewer slots."""
        index = torch.tensor(list(rows), device=self.keys[0].device if self.keys else None)
        self.keys = [layer[index] for layer in self.keys]
        self.values = [layer[index] for layer in self.values]
        self.slots = len(index)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Transformers asks; positions are always given, so nothing depends on it."""
        del layer_idx
        return 0


AttentionInterface.register(IMPLEMENTATION, slot_attention_forward)
