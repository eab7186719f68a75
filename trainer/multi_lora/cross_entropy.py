"""Cross-entropy of the answer tokens alone, in pieces, so that no full table of logits is ever held.

For a 135M model the vocabulary head is a fifth of the parameters, and fp32 logits of 2,048 tokens are 400 MB written
and read several times. Here the head sees only positions whose next token is trained on, a few hundred at a time, and
the gradient with respect to the hidden states is formed in the same pass: softmax minus one at the target.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.multi_lora import kernels
from trainer.planning.pass_limits import LOSS_PIECE_TOKENS

UNSUPPORTED = ("final_logit_softcapping", "logits_scaling", "logit_scale")
"""Config keys of heads that are more than a linear map."""


def has_linear_head(model: nn.Module) -> bool:
    """Whether the model's head is a plain linear map of the body's output."""
    config: Any = model.config
    return not any(getattr(config, key, None) not in (None, 1, 1.0) for key in UNSUPPORTED)


def answer_cross_entropy(hidden: Tensor, labels: Tensor, weights: Tensor, head: nn.Module) -> tuple[Tensor, Tensor]:
    """Weighted sum of the losses, differentiable in `hidden`, and each trained token's loss in nats.

    hidden (tokens, width), labels (tokens,) already shifted: the next token or -100, weights (tokens,)
    -> scalar, (trained tokens,) in the order of the tokens.
    """
    trained = (labels != -100).nonzero().squeeze(1)
    total, losses = _AnswerCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden.index_select(0, trained), labels[trained], weights[trained], head.weight, getattr(head, "bias", None)
    )
    return total, losses


class _AnswerCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, weights: Tensor, weight: Tensor, bias: Any) -> Any:
        losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(targets), LOSS_PIECE_TOKENS):
            piece = slice(start, start + LOSS_PIECE_TOKENS)
            logits, target = F.linear(hidden[piece], weight, bias), targets[piece]
            if kernels.serves(logits):
                kernels.cross_entropy(logits, target, losses[piece], gradient is not None)
                gradient_of_logits = logits
            else:
                logs = F.log_softmax(logits, 1, dtype=torch.float32)
                losses[piece] = -logs.gather(1, target[:, None]).squeeze(1)
                ones = torch.ones(len(target), 1, device=logs.device)
                gradient_of_logits = logs.exp_().scatter_add_(1, target[:, None], -ones).to(weight.dtype)
            if gradient is not None:
                gradient[piece] = (gradient_of_logits @ weight).mul_(weights[piece].unsqueeze(1))
        ctx.gradient = gradient
        ctx.mark_non_differentiable(losses)
        return (losses * weights).sum(), losses

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> Any:
        return ctx.gradient * scale.to(ctx.gradient.dtype), None, None, None, None
