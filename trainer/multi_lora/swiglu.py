"""SwiGLU in one pass over memory each way, which keeps the gate and the value and nothing else for the way back."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from trainer.multi_lora import kernels


class SwiGLU(nn.Module):
    """down(silu(gate(x)) · up(x)) with the layers of a transformers MLP, under their names."""

    def __init__(self, mlp: Any) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = mlp.gate_proj, mlp.up_proj, mlp.down_proj

    def forward(self, x: Tensor) -> Tensor:
        """x (…, width) -> (…, width)."""
        gates, values = self.gate_proj(x), self.up_proj(x)
        return self.down_proj(_SwiGLUFunction.apply(gates, values))  # type: ignore[no-any-return, no-untyped-call]


class _SwiGLUFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, values: Tensor) -> Tensor:
        gates, values = gates.contiguous(), values.contiguous()
        ctx.save_for_backward(gates, values)
        output = torch.empty_like(gates)
        kernels.swiglu(gates, values, output)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        gates, values = ctx.saved_tensors
        to_gates, to_values = torch.empty_like(gates), torch.empty_like(values)
        kernels.swiglu_backward(gates, values, gradient.contiguous(), to_gates, to_values)
        return to_gates, to_values


def replace_swiglus(model: nn.Module) -> int:
    """Replace the MLPs that compute exactly this, tried on random input; those with other activations stay.

    Returns how many were replaced; none where the kernels cannot read the model's weights.
    """
    if not kernels.serves(next(model.parameters())):
        return 0
    replaced = 0
    for name, module in list(model.named_modules()):
        if {child for child, _ in module.named_children()} - {"act_fn"} != {"gate_proj", "up_proj", "down_proj"}:
            continue
        ours, weight = SwiGLU(module), next(module.parameters())
        draws = torch.Generator().manual_seed(0)
        sample = torch.randn(1, 4, weight.shape[1], generator=draws).to(weight.dtype)
        with torch.no_grad():
            one, other = module(sample), ours(sample)
            size = float(one.abs().max())
            same = math.isfinite(size) and torch.allclose(one, other, rtol=2e-2, atol=2e-2 * size)
        if same:
            model.set_submodule(name, ours)
            replaced += 1
    return replaced
