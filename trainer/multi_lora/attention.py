"""Attention over rows that lie end to end, without padding: each row sees itself only.

transformers' SDPA attention takes a mask over all tokens of the sequence, so its cost grows with the square of the
whole; here each row is attended on its own, and rows of one run may have their beginning in common.
Registered through transformers' public attention interface, so every architecture that supports attention backends
trains with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Required, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

from trainer.multi_lora.segments import Segment
from trainer.multi_lora.short_attention import HeadLayout, causal_attention, is_short

NAME = "bakeoff_rows"
"""The attention implementation's name in transformers."""


class Options(TypedDict, total=False):
    """What transformers' layers hand to an attention function by name; the rest of it means nothing here."""

    segments: Required[Sequence[Segment]]
    """They cover all tokens in order."""
    scaling: float | None
    """What scores are multiplied by. Default: 1 / √width."""
    dropout: float
    sliding_window: int | None
    """How far back a token looks, itself included. Default: to the beginning."""


def segment_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    **options: Unpack[Options],
) -> tuple[Tensor, None]:
    """Causal attention inside each segment and to its prefix: one of transformers' attention functions.

    query (1, heads, tokens, width), key and value (1, key heads, tokens, width) -> (1, tokens, heads, width).
    """
    segments, dropout = options["segments"], options.get("dropout", 0.0)
    scaling = options.get("scaling")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    window = options.get("sliding_window") or 0
    if not dropout and is_short(query, max(segment.seen for segment in segments)):
        heads = HeadLayout(segments, query.shape[1], key.shape[1], query.shape[-1], scale, window)
        q, k, v = (part[0].transpose(0, 1).flatten(1) for part in (query, key, value))
        mixed = causal_attention(q, k, v, None, heads)
        return mixed.view(1, len(mixed), heads.query, heads.width), None
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


def _visible(length: int, seen: int, window: int) -> Tensor:
    """A mask (length, seen): True where the last `length` of `seen` tokens look, which is back, `window` at most."""
    distance = torch.arange(seen - length, seen)[:, None] - torch.arange(seen)[None, :]
    return (distance >= 0) & (distance < window) if window else distance >= 0


def _no_mask(*_: Any, **__: Any) -> None:
    """The rows say everything that a mask would."""


def use_segment_attention(model: nn.Module) -> None:
    """Let a transformers model attend by rows: afterwards every call needs `segments=`."""
    AttentionInterface.register(NAME, segment_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    model.set_attn_implementation(NAME)  # type: ignore[operator]
