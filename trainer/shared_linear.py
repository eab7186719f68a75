"""LoRA adapters of several runs on one frozen base: each span of tokens goes through its own adapter.

PEFT computes one adapter at a time, as eight matrix products and as many casts and temporaries a layer. Here one
product with the frozen weight serves the tokens of all adapters, and each adapter adds its two thin products in place:
the same mathematics (y = W x + s B A x), fewer passes over memory. Adapters may differ in rank, scale, dropout and
targets.

Weights of adapters are fp32 (an update of 1e-4 is lost in bf16's 8 bits); products run in the base's dtype.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")
MLP = ("gate_proj", "up_proj", "down_proj", "gate_up_proj")


@dataclass
class Adapter:
    """One run's LoRA weights: the layer's name to its pair (A (rank, in), B (out, rank)), fp32."""

    rank: int
    scale: float
    dropout: float
    pairs: dict[str, tuple[nn.Parameter, nn.Parameter]]
    dropout_draws: torch.Generator

    def parameters(self) -> list[nn.Parameter]:
        """A and B of every layer, in the order of the layers' names."""
        return [weight for name in sorted(self.pairs) for weight in self.pairs[name]]


@dataclass
class Routing:
    """Which tokens of the present pass belong to which adapter; shared by all layers of a base."""

    spans: list[tuple[Adapter, int, int]] = field(default_factory=list)
    """Adapter, first token, one past the last."""
    training: bool = True


def layers_for(model: nn.Module, target: str | Sequence[str]) -> dict[str, nn.Linear]:
    """The linear layers a target names, by their full names. The vocabulary head is never among them."""
    head = model.get_output_embeddings()  # type: ignore[operator]
    names = {"attention": ATTENTION, "mlp": MLP}.get(target) if isinstance(target, str) else tuple(target)
    found = {}
    for name, module in model.named_modules():
        linear = module.base if isinstance(module, SharedLinear) else module
        if not isinstance(linear, nn.Linear) or module is head or name.endswith(".base"):
            continue
        if target == "all-linear" or (names and name.rsplit(".", 1)[-1] in names):
            found[name] = linear
    return found


def new_adapter(
    layers: dict[str, nn.Linear], rank: int, alpha: float, *, rslora: bool, dropout: float, seed: int
) -> Adapter:
    """A fresh adapter, initialised like PEFT's: A uniform (Kaiming, a = √5), B zero. The seed alone decides A."""
    draws = torch.Generator().manual_seed(seed)
    pairs = {}
    for name in sorted(layers):
        layer = layers[name]
        bound = 1 / math.sqrt(layer.in_features)  # kaiming_uniform_ with a = √5 has this bound
        a = torch.empty(rank, layer.in_features).uniform_(-bound, bound, generator=draws)
        b = torch.zeros(layer.out_features, rank)
        device = layer.weight.device
        pairs[name] = (nn.Parameter(a.to(device)), nn.Parameter(b.to(device)))
    scale = alpha / (math.sqrt(rank) if rslora else rank)
    device = next(iter(layers.values())).weight.device
    return Adapter(rank, scale, dropout, pairs, torch.Generator(device).manual_seed(seed + 1))


class SharedLinear(nn.Module):
    """A frozen linear layer with the adapters that the routing names."""

    def __init__(self, name: str, base: nn.Linear, routing: Routing) -> None:
        super().__init__()
        self.name = name
        self.base = base
        self._routing = routing
        self.in_features, self.out_features = base.in_features, base.out_features

    @property
    def weight(self) -> Tensor:
        """The frozen weight: some architectures look at its dtype."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """x (1, tokens, in) -> (1, tokens, out)."""
        spans = [(adapter, start, stop) for adapter, start, stop in self._routing.spans if self.name in adapter.pairs]
        if not spans:
            return self.base(x)  # type: ignore[no-any-return]
        masks = [
            _mask(adapter, (stop - start, x.shape[-1]), x) if adapter.dropout and self._routing.training else None
            for adapter, start, stop in spans
        ]
        weights = [weight for adapter, _, _ in spans for weight in adapter.pairs[self.name]]
        places = [(start, stop, adapter.scale) for adapter, start, stop in spans]
        return _Shared.apply(x, self.base.weight, self.base.bias, places, masks, *weights)  # type: ignore[no-any-return, no-untyped-call]


def _mask(adapter: Adapter, shape: tuple[int, int], like: Tensor) -> Tensor:
    keep = 1 - adapter.dropout
    draws = torch.rand(shape, generator=adapter.dropout_draws, device=like.device)
    return (draws < keep).to(like.dtype).div_(keep)


class _Shared(torch.autograd.Function):
    """y = x Wᵀ + b, and for each span y += s (x ∘ mask) Aᵀ Bᵀ."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Any, places: Any, masks: Any, *pairs: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        y = F.linear(flat, weight, bias)
        low = [pair.to(x.dtype) for pair in pairs]
        inner = []
        for number, (start, stop, scale) in enumerate(places):
            rows = flat[start:stop] if masks[number] is None else flat[start:stop] * masks[number]
            u = rows @ low[2 * number].t()
            y[start:stop].addmm_(u, low[2 * number + 1].t(), alpha=scale)
            inner.append(u)
        ctx.save_for_backward(flat, weight, *low, *inner)
        ctx.places, ctx.masks, ctx.shape = places, masks, x.shape
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        flat, weight, *rest = ctx.saved_tensors
        low, inner = rest[: 2 * len(ctx.places)], rest[2 * len(ctx.places) :]
        gy = gradient.reshape(-1, gradient.shape[-1])
        gx = gy @ weight if ctx.needs_input_grad[0] else None
        gradients: list[Tensor | None] = []
        for number, (start, stop, scale) in enumerate(ctx.places):
            a, b, u, mask = low[2 * number], low[2 * number + 1], inner[number], ctx.masks[number]
            rows = flat[start:stop] if mask is None else flat[start:stop] * mask
            gu = (gy[start:stop] @ b).mul_(scale)
            gradients += [(gu.t() @ rows).float(), (gy[start:stop].t() @ u).mul_(scale).float()]
            if gx is not None and mask is None:
                gx[start:stop].addmm_(gu, a)
            elif gx is not None:
                gx[start:stop] += (gu @ a) * mask
        return (None if gx is None else gx.view(ctx.shape), None, None, None, None, *gradients)


def share(model: nn.Module) -> Routing:
    """Freeze a base and let its linear layers take adapters. Returns what says which tokens take which adapter."""
    routing = Routing()
    model.requires_grad_(False)
    for name, layer in layers_for(model, "all-linear").items():
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], SharedLinear(name, layer, routing))
    return routing


def peft_name(layer: str, part: str) -> str:
    """The key PEFT files have for a layer's `lora_A` or `lora_B`."""
    return f"base_model.model.{layer}.{part}.weight"


def layer_and_part(key: str) -> tuple[str, str]:
    """The other way: a PEFT key to the layer's name and its part."""
    match = re.fullmatch(r"base_model\.model\.(.+)\.(lora_[AB])\.weight", key)
    if match is None:
        raise ValueError(f"{key!r} is not a LoRA weight of a PEFT adapter")
    return match[1], match[2]
