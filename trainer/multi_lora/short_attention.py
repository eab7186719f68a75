"""Attention over short rows on a CPU: batched products over the key heads, and one loop for each step in between.

transformers rotates queries and keys by eight operations over whole tensors, and heads and tokens change places for
every product. Here one loop rotates and puts each segment's heads where the products read them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from trainer.multi_lora import kernels
from trainer.multi_lora.segments import Segment
from trainer.planning.pass_limits import SHORT_ROW_TOKENS

Rotary = tuple[Tensor, Tensor]
"""cos and sin (tokens, width) of the rotary embedding; both empty where nothing is rotated."""


def is_short(tensor: Tensor, longest: int) -> bool:
    """Whether rows of at most `longest` tokens in such tensors are attended here."""
    return longest <= SHORT_ROW_TOKENS and kernels.serves(tensor)


@dataclass(frozen=True)
class HeadLayout:
    """A pass's attention: what sees what, and how heads lie in tensors (tokens, heads · width)."""

    segments: Sequence[Segment]
    query: int
    """Heads of queries; those of keys and values may be fewer."""
    key: int
    width: int
    scale: float
    window: int = 0
    """How far back a token looks, itself included; 0: to the beginning."""


def causal_attention(query: Tensor, key: Tensor, value: Tensor, rotary: Rotary | None, heads: HeadLayout) -> Tensor:
    """Causal attention inside each segment and to its prefix.

    query (tokens, heads · width), key and value (tokens, key heads · width), cos and sin (tokens, width) of queries
    and keys that are not rotated yet -> (tokens, heads · width).
    """
    cos, sin = rotary or (query.new_empty(0), query.new_empty(0))
    parts = [part.contiguous() for part in (query, key, value, cos, sin)]
    return _CausalAttention.apply(*parts, heads)  # type: ignore[no-any-return, no-untyped-call]


class _Blocks:
    """The places of each segment's heads in one flat tensor, as the products read them."""

    def __init__(self, heads: HeadLayout) -> None:
        self.heads = heads
        self.table = np.array([(s.start, s.stop, *s.prefix) for s in heads.segments], dtype=np.int64)
        self.own = [segment.stop - segment.start for segment in heads.segments]
        self.seen = [segment.seen for segment in heads.segments]

    def of_queries(self, blocks: Tensor, extra: int = 0) -> list[Tensor]:
        """Views of each segment: (key heads, heads / key heads · tokens of the segment, width + extra)."""
        return self._of(blocks, self.own, self.heads.query, extra)

    def of_keys(self, blocks: Tensor, extra: int = 0) -> list[Tensor]:
        """Views of each segment: (key heads, tokens seen, width + extra)."""
        return self._of(blocks, self.seen, self.heads.key, extra)

    def _of(self, blocks: Tensor, tokens: Sequence[int], heads: int, extra: int) -> list[Tensor]:
        width = self.heads.width + extra
        parts = torch.split(blocks, [count * heads * width for count in tokens])
        return [part.view(self.heads.key, -1, width) for part in parts]

    def split(self, x: Tensor, rotary: Rotary, *, keys: bool) -> Tensor:
        """x (tokens, heads · width), rotated, as blocks of queries or of keys."""
        heads = self.heads.key if keys else self.heads.query
        blocks = x.new_empty(sum(self.seen if keys else self.own) * heads * self.heads.width)
        kernels.split_heads(self.table, x, rotary, heads, self.heads.width, keys, blocks)
        return blocks

    def merge_gradients(self, blocks: Tensor, tokens: int, rotary: Rotary, *, keys: bool) -> Tensor:
        """Gradients in blocks as (tokens, heads · width): rotated back, summed over the segments that saw a token."""
        heads = self.heads.key if keys else self.heads.query
        output = blocks.new_empty((tokens, heads * self.heads.width))
        kernels.merge_gradients(self.table, blocks, rotary, heads, self.heads.width, keys, output)
        return output


class _CausalAttention(torch.autograd.Function):
    """Softmax(s q kᵀ) v segment by segment.

    Backward, with the probabilities P, the output o: dv = Pᵀ do, dS = s P ∘ (do vᵀ − ⟨do, o⟩), dq = dS k, dk = dSᵀ q.
    ⟨do, o⟩ goes into the product as two more columns (what bf16 holds of it, and the rest), so that the difference is
    formed in the product's fp32 and no table of probabilities is ever written in fp32.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, cos: Tensor, sin: Tensor, heads: HeadLayout
    ) -> Tensor:
        blocks, unrotated = _Blocks(heads), (query.new_empty(0), query.new_empty(0))
        queries, keys = blocks.split(query, (cos, sin), keys=False), blocks.split(key, (cos, sin), keys=True)
        values, mixed = blocks.split(value, unrotated, keys=True), torch.empty_like(queries)
        kept = []
        each = (blocks.of_queries(queries), blocks.of_keys(keys), blocks.of_keys(values), blocks.of_queries(mixed))
        for own, seen, q, k, v, o in zip(blocks.own, blocks.seen, *each, strict=True):
            probabilities = torch.bmm(q, k.transpose(1, 2))  # scores, until the softmax in place
            kernels.causal_softmax(probabilities, heads.query, own, seen, heads.window, heads.scale)
            torch.bmm(probabilities, v, out=o)
            kept.append(probabilities)
        output = torch.empty_like(query)
        kernels.merge_heads(blocks.table, mixed, heads.query, heads.width, output)
        ctx.save_for_backward(queries, keys, values, cos, sin, output, *kept)
        ctx.blocks = blocks
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        queries, keys, values, cos, sin, output, *kept = ctx.saved_tensors
        blocks: _Blocks = ctx.blocks
        heads, width = blocks.heads, blocks.heads.width
        tokens = len(output)
        coming = output.new_empty(tokens * heads.query * (width + 2))
        kernels.split_gradients(blocks.table, gradient.contiguous(), output, heads.query, width, coming)
        padded = nn.functional.pad(values.view(-1, width), (0, 2), value=1.0).view(-1)
        to_queries, to_keys, to_values = (torch.empty_like(each) for each in (queries, keys, values))
        for probabilities, g, p, q, k, gq, gk, gv in zip(
            kept,
            blocks.of_queries(coming, 2),
            blocks.of_keys(padded, 2),
            blocks.of_queries(queries),
            blocks.of_keys(keys),
            blocks.of_queries(to_queries),
            blocks.of_keys(to_keys),
            blocks.of_keys(to_values),
            strict=True,
        ):
            spread = torch.bmm(g, p.transpose(1, 2))
            kernels.causal_softmax_backward(probabilities, spread, heads.scale)
            torch.bmm(spread, k, out=gq)
            torch.bmm(spread.transpose(1, 2), q, out=gk)
            torch.bmm(probabilities.transpose(1, 2), g[..., :width], out=gv)
        unrotated = (output.new_empty(0), output.new_empty(0))
        return (
            blocks.merge_gradients(to_queries, tokens, (cos, sin), keys=False),
            blocks.merge_gradients(to_keys, tokens, (cos, sin), keys=True),
            blocks.merge_gradients(to_values, tokens, unrotated, keys=True),
            None,
            None,
            None,
        )


@dataclass(frozen=True)
class _ShortForward:
    """A transformers attention layer's forward that leaves long rows to the layer's own."""

    layer: Any
    usual: Callable[..., Any]

    def __call__(
        self, hidden_states: Tensor, position_embeddings: Any = None, *, segments: Sequence[Segment], **others: Any
    ) -> tuple[Tensor, None]:
        layer = self.layer
        if not is_short(hidden_states, max(segment.seen for segment in segments)):
            others |= {"hidden_states": hidden_states, "position_embeddings": position_embeddings}
            return self.usual(segments=segments, **others)  # type: ignore[no-any-return]
        query, key, value = (each(hidden_states)[0] for each in (layer.q_proj, layer.k_proj, layer.v_proj))
        width = layer.head_dim
        window = getattr(layer, "sliding_window", None) or 0
        heads = HeadLayout(segments, query.shape[1] // width, key.shape[1] // width, width, layer.scaling, window)
        cos, sin = (each[0] for each in position_embeddings)
        return layer.o_proj(causal_attention(query, key, value, (cos, sin), heads)[None]), None


def use_short_attention(model: nn.Module) -> int:
    """Let attention layers that compute what Llama's do, rotary embedding included, do it here; others keep theirs.

    Tried on random input. Needs `trainer.multi_lora.attention.use_segment_attention` before.
    Returns how many were changed.
    """
    if not kernels.serves(next(model.parameters())):
        return 0
    changed = 0
    projections = {"q_proj", "k_proj", "v_proj", "o_proj"}
    for layer in list(model.modules()):
        children = {name for name, _ in layer.named_children()}
        if not projections <= children or any("norm" in name for name in children):
            continue
        if not hasattr(layer, "scaling") or getattr(layer, "attention_dropout", None):
            continue
        theirs, ours = layer.forward, _ShortForward(layer, layer.forward)
        expected = _tried(layer)
        size = float(expected.abs().max())
        layer.forward = ours
        # a broken layer keeps its own way to NaN: the first step's loss tells it
        if math.isfinite(size) and torch.allclose(_tried(layer), expected, rtol=1e-3, atol=1e-4 * size):
            changed += 1
        else:
            layer.forward = theirs
    return changed


def _tried(layer: Any) -> Tensor:
    """Return what a layer makes of random input, in fp32: bf16 would hide what is not the same."""
    width, tokens = layer.head_dim, 7
    draws = torch.Generator().manual_seed(0)
    angles = torch.arange(tokens)[:, None] * torch.rand(width // 2, generator=draws).repeat(2)
    given = {
        "hidden_states": torch.randn(1, tokens, layer.q_proj.in_features, generator=draws),
        "position_embeddings": (angles.cos()[None], angles.sin()[None]),
        "attention_mask": None,
        "segments": [Segment(0, 4), Segment(4, tokens, (1, 3))],
    }
    wide = {name: weight.float() for name, weight in layer.named_parameters()}
    with torch.no_grad():
        return functional_call(layer, wide, (), given)[0]  # type: ignore[no-any-return]
