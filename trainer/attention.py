"""Attention over rows laid end to end, without padding: each row sees itself only.

transformers' SDPA attention takes a mask over all tokens of the sequence, so its cost grows with the square of the
whole; here each row is attended on its own. Registered through transformers' public attention interface, so every
architecture that supports attention backends trains with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "bakeoff_rows"
"""The attention implementation's name in transformers."""

SHORT = 384
"""Tokens up to which a bf16 row's backward pass on a CPU is faster as plain matrix products than as torch's flash
kernel: 2.9 against 8.1 ms at 227 tokens, 9 heads, 2 AMX cores; the kernel wins from about 500."""


def rows_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    *,
    row_lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention inside each row.

    query (1, heads, tokens, width), key and value (1, key heads, tokens, width), row_lengths summing to tokens
    -> (1, tokens, heads, width), as transformers' attention functions return it.
    """
    lengths = list(row_lengths)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    outputs = []
    for q, k, v in zip(*(torch.split(part, lengths, 2) for part in (query, key, value)), strict=True):
        length = q.shape[2]
        windowed = bool(sliding_window) and length > (sliding_window or 0)
        if length <= SHORT and not windowed and not dropout and q.device.type == "cpu" and q.dtype == torch.bfloat16:
            output = _ShortRow.apply(q, k, v, scale)  # type: ignore[no-untyped-call]
        else:
            output = F.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=_window_mask(length, sliding_window or 0, q.device) if windowed else None,
                is_causal=not windowed,
                dropout_p=dropout if module.training else 0.0,
                scale=scale,
                enable_gqa=q.shape[1] != k.shape[1],
            )
        outputs.append(output.transpose(1, 2))
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)), None


class _ShortRow(torch.autograd.Function):
    """Causal attention of one short row on a CPU: torch's forward kernel, and a backward of five batched products."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        group = query.shape[1] // key.shape[1]
        output, peak = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query,
            key.repeat_interleave(group, 1),
            value.repeat_interleave(group, 1),
            0.0,
            True,
            attn_mask=None,
            scale=scale,
        )
        ctx.save_for_backward(query, key, value, output, peak)
        ctx.scale = scale
        return output  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        query, key, value, output, peak = ctx.saved_tensors
        _, heads, length, width = query.shape
        count = key.shape[1]
        rows = heads // count * length
        shape = (count, heads // count, length, length)
        inner = (gradient.float() * output).sum(-1).view(count, -1, length, 1)
        q, g = query.reshape(count, rows, width), gradient.reshape(count, rows, width)
        k, v = key[0], value[0]
        share = torch.bmm(q, k.transpose(1, 2)).view(shape).float()
        share.mul_(ctx.scale).sub_(peak.view(count, -1, length, 1)).exp_().tril_()
        gv = torch.bmm(share.to(q.dtype).view(count, rows, length).transpose(1, 2), g)
        spread = torch.bmm(g, v.transpose(1, 2)).view(shape) - inner
        low = spread.mul_(share).to(q.dtype).view(count, rows, length)
        gq = torch.bmm(low, k).mul_(ctx.scale).view(query.shape)
        gk = torch.bmm(low.transpose(1, 2), q).mul_(ctx.scale)
        return gq, gk.unsqueeze(0), gv.unsqueeze(0), None


def _window_mask(length: int, window: int, device: torch.device) -> Tensor:
    """(length, length), True where a token may look: itself and the `window` - 1 before it."""
    position = torch.arange(length, device=device)
    distance = position[:, None] - position[None, :]
    return (distance >= 0) & (distance < window)


def _no_mask(*_: Any, **__: Any) -> None:
    """The rows say everything that a mask would."""


def use_row_attention(model: nn.Module) -> None:
    """Let a transformers model attend by rows: afterwards every call needs `row_lengths=`."""
    AttentionInterface.register(NAME, rows_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    model.set_attn_implementation(NAME)  # type: ignore[operator]
