"""Attention over rows laid end to end, without padding: each row sees itself only.

transformers' SDPA attention takes a mask over all tokens of the sequence, so its cost grows with the square of the
whole; here each row is attended on its own. Rows of one run that begin alike may share what they begin with. Registered
through transformers' public attention interface, so every architecture that supports attention backends trains with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "bakeoff_rows"
"""The attention implementation's name in transformers."""

SHORT = 512
"""Tokens up to which rows on a CPU are attended by plain matrix products, which keep the shares for the backward pass
(2 bytes a head and pair of tokens). Backward of a bf16 row of 214 tokens, 9 heads, 2 AMX cores: 1.0 ms, torch's flash
kernel 8 ms."""


@dataclass(frozen=True)
class Segment:
    """Tokens that belong together: of `start` to `stop` each sees those before it, and all of the prefix."""

    start: int
    stop: int
    prefix: tuple[int, int] = (0, 0)
    """Where an earlier segment holds what this one begins with; an empty span where it begins by itself."""

    @property
    def seen(self) -> int:
        """Tokens that the last one sees, itself included."""
        return self.stop - self.start + self.prefix[1] - self.prefix[0]


def may_share_prefixes(device: torch.device, longest: int) -> bool:
    """Can rows of at most `longest` tokens on this device begin with another segment's tokens?"""
    return device.type == "cpu" and longest <= SHORT


def rows_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    *,
    segments: Sequence[Segment],
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention inside each segment and to its prefix.

    query (1, heads, tokens, width), key and value (1, key heads, tokens, width), segments that cover all tokens in
    order -> (1, tokens, heads, width), as transformers' attention functions return it.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    window = sliding_window or 0
    if not dropout and may_share_prefixes(query.device, max(segment.seen for segment in segments)):
        return _ShortRows.apply(query, key, value, segments, scale, window), None  # type: ignore[no-untyped-call]
    lengths = [segment.stop - segment.start for segment in segments]
    outputs = []
    for q, k, v in zip(*(torch.split(part, lengths, 2) for part in (query, key, value)), strict=True):
        windowed = 0 < window < q.shape[2]
        output = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=_visible(q.shape[2], q.shape[2], window).to(q.device) if windowed else None,
            is_causal=not windowed,
            dropout_p=dropout if module.training else 0.0,
            scale=scale,
            enable_gqa=q.shape[1] != k.shape[1],
        )
        outputs.append(output.transpose(1, 2))
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)), None


class _ShortRows(torch.autograd.Function):
    """Softmax(s q kᵀ + mask) v segment by segment, as batched products over the key heads.

    Backward, with the shares P and the output o: dv = Pᵀ do, dS = P ∘ (do vᵀ − ⟨do, o⟩), dq = s dS k, dk = s dSᵀ q.
    ⟨do, o⟩ goes into the product as two more columns (what bf16 holds of it, and the rest), so that the difference is
    formed in the product's fp32 and no table of shares is ever written in fp32.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, segments: Sequence[Segment], scale: float, window: int
    ) -> Tensor:
        _, heads, tokens, width = query.shape
        count = key.shape[1]
        output = query.new_empty(1, tokens, heads, width)
        shares = []
        for segment in segments:
            own = slice(segment.start, segment.stop)
            mask = _mask(segment.stop - segment.start, segment.seen, window, heads // count, query.dtype)
            rows = query[0, :, own].reshape(count, -1, width)
            keys, values = _seen(key, segment), _seen(value, segment)
            share = torch.softmax(torch.baddbmm(mask, rows, keys.transpose(1, 2), alpha=scale), -1)
            output[0, own] = torch.bmm(share, values).view(heads, -1, width).transpose(0, 1)
            shares.append(share)
        ctx.save_for_backward(query, key, value, output, *shares)
        ctx.segments, ctx.scale = segments, scale
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        query, key, value, output, *shares = ctx.saved_tensors
        count, width = key.shape[1], query.shape[-1]
        gq, gk, gv = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        inner = (gradient * output).sum(-1, keepdim=True, dtype=torch.float32)
        high = inner.to(query.dtype)
        padded = F.pad(value, (0, 2), value=-1.0)
        wide = torch.cat([gradient, high, (inner - high).to(query.dtype)], -1)[0].transpose(0, 1)
        for segment, share in zip(ctx.segments, shares, strict=True):
            own, before = slice(segment.start, segment.stop), segment.prefix[1] - segment.prefix[0]
            rows = query[0, :, own].reshape(count, -1, width)
            incoming = wide[:, own].reshape(count, -1, width + 2)
            spread = torch.bmm(incoming, _seen(padded, segment).transpose(1, 2)).mul_(share)
            gq[0, :, own] = torch.bmm(spread, _seen(key, segment)).view(gq[0, :, own].shape).mul_(ctx.scale)
            for whole, part in (
                (gk, torch.bmm(spread.transpose(1, 2), rows).mul_(ctx.scale)),
                (gv, torch.bmm(share.transpose(1, 2), incoming[..., :width])),
            ):
                whole[0, :, own] = part[:, before:]
                whole[0, :, slice(*segment.prefix)] += part[:, :before]  # the prefix came earlier: its own is there
        return gq, gk, gv, None, None, None


def _seen(part: Tensor, segment: Segment) -> Tensor:
    """Keys or values that a segment sees: (key heads, seen, width)."""
    own = part[0, :, segment.start : segment.stop]
    return torch.cat([part[0, :, slice(*segment.prefix)], own], 1) if segment.prefix[1] else own


@lru_cache(maxsize=64)
def _mask(length: int, seen: int, window: int, repeats: int, dtype: torch.dtype) -> Tensor:
    """(1, repeats · length, seen): 0 where a token may look, −∞ elsewhere."""
    mask = torch.zeros(length, seen, dtype=dtype).masked_fill_(~_visible(length, seen, window), -torch.inf)
    return mask.repeat(repeats, 1)[None]


def _visible(length: int, seen: int, window: int) -> Tensor:
    """(length, seen), True where the last `length` of `seen` tokens may look: back, at most `window` with itself."""
    distance = torch.arange(seen - length, seen)[:, None] - torch.arange(seen)[None, :]
    return (distance >= 0) & (distance < window) if window else distance >= 0


def _no_mask(*_: Any, **__: Any) -> None:
    """The rows say everything that a mask would."""


def use_row_attention(model: nn.Module) -> None:
    """Let a transformers model attend by rows: afterwards every call needs `segments=`."""
    AttentionInterface.register(NAME, rows_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    model.set_attn_implementation(NAME)  # type: ignore[operator]
