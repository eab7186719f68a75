"""LoRA adapters of several runs on one frozen base: each span of tokens goes through its own adapter.

PEFT computes one adapter at a time, as eight matrix products and as many casts and temporaries a layer. Here one
product with the frozen weight serves the tokens of all adapters, and each adapter adds its two thin products in place:
the same mathematics (y = W x + s B A x), fewer passes over memory. Adapters may differ in rank, scale, dropout and
targets.

Weights of adapters are fp32 (an update of 1e-4 is lost in bf16's 8 bits); products run in the base's dtype.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.experiment.lora_targets import TARGETS
from trainer.multi_lora import kernels
from trainer.multi_lora.weights import GradientBuffer, layers_by_input
from trainer.planning.pass_limits import TRANSPOSED_BYTES


class AdapterRouting(threading.local):
    """Which tokens of a thread's present pass belong to which adapter; shared by all layers of a base."""

    def __init__(self) -> None:
        self.spans: list[tuple[GradientBuffer, int, int]] = []
        """The thread's gradient buffer of an adapter, the first token that goes through it, one past the last."""
        self.training = True


class _Computed(threading.local):
    """Outputs of layers of one input that were computed together and not handed out yet, in a thread."""

    def __init__(self) -> None:
        self.read: Tensor | None = None
        self.ready: dict[str, Tensor] = {}


def layers_for(model: nn.Module, target: str | Sequence[str]) -> dict[str, nn.Linear]:
    """The linear layers a target names, by their full names. The vocabulary head is never among them."""
    head = model.get_output_embeddings()  # type: ignore[operator]
    names = TARGETS.get(target) if isinstance(target, str) else tuple(target)
    found = {}
    for name, module in model.named_modules():
        linear = module.base if isinstance(module, RoutedLinear) else module
        if not isinstance(linear, nn.Linear) or module is head or name.endswith(".base"):
            continue
        if target == "all-linear" or (names and name.rsplit(".", 1)[-1] in names):
            found[name] = linear
    return found


class LayersOfOneInput:
    """Frozen linear layers that read one input, with the adapters that the routing names.

    The first that is called computes all; the others are handed theirs when they are called with the same tensor.
    """

    def __init__(self, layers: dict[str, nn.Linear], routing: AdapterRouting, transposed: bool = False) -> None:
        self._layers = layers
        self._routing = routing
        self._transposed = {name: layer.weight.t().contiguous() for name, layer in layers.items()} if transposed else {}
        self._computed = _Computed()

    def output(self, name: str, x: Tensor) -> Tensor:
        """x (1, tokens, in) -> (1, tokens, out) of one layer."""
        computed = self._computed
        if computed.read is not x or name not in computed.ready:
            computed.read, computed.ready = x, dict(zip(self._layers, self._compute(x), strict=True))
        output = computed.ready.pop(name)
        if not computed.ready:
            computed.read = None
        return output

    def _compute(self, x: Tensor) -> Sequence[Tensor]:
        spans = [
            (buffer, start, stop, names)
            for buffer, start, stop in self._routing.spans
            if (names := [name for name in self._layers if name in buffer.adapter.pairs])
        ]
        if not spans:
            return [layer(x) for layer in self._layers.values()]
        thin = [
            _LoraProducts(buffer, start, stop, group, _mask(buffer, (stop - start, x.shape[-1]), x) if drops else None)
            for buffer, start, stop, names in spans
            for drops in (bool(buffer.adapter.dropout) and self._routing.training,)
            for group in ([[name] for name in names] if drops else [names])
        ]
        flats = [buffer.adapter.weights for buffer, _, _, _ in spans]
        return _LoraLinear.apply(x, self._layers, self._transposed, thin, *flats)  # type: ignore[no-any-return, no-untyped-call]


class RoutedLinear(nn.Module):
    """A frozen linear layer with the adapters that the routing names."""

    def __init__(self, name: str, base: nn.Linear, group: LayersOfOneInput) -> None:
        super().__init__()
        self.name = name
        self.base = base
        self._group = group
        self.in_features, self.out_features = base.in_features, base.out_features

    @property
    def weight(self) -> Tensor:
        """The frozen weight: some architectures look at its dtype."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """x (1, tokens, in) -> (1, tokens, out)."""
        return self._group.output(self.name, x)


@dataclass(frozen=True)
class _LoraProducts:
    """The thin products of one span of tokens: one product with the As of some layers, then each one's B.

    With dropout every layer draws a mask of its own, so the As cannot go together.
    """

    buffer: GradientBuffer
    start: int
    stop: int
    names: list[str]
    mask: Tensor | None

    def read(self, flat: Tensor) -> Tensor:
        """Return what the As read: the span's rows of the input, with dropout applied."""
        rows = flat[self.start : self.stop]
        return rows if self.mask is None else rows * self.mask


def _mask(buffer: GradientBuffer, shape: tuple[int, int], like: Tensor) -> Tensor:
    keep = 1 - buffer.adapter.dropout
    draws = torch.rand(shape, generator=buffer.dropout_draws, device=like.device)
    return (draws < keep).to(like.dtype).div_(keep)


class _LoraLinear(torch.autograd.Function):
    """y = x Wᵀ + b for each layer of one input, and for each span y += s (x ∘ mask) Aᵀ Bᵀ.

    The adapters' gradients are added where they belong instead of being returned; their flat weights are inputs only
    so that autograd knows that something here is trained.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        layers: dict[str, nn.Linear],
        transposed: dict[str, Tensor],
        thin: list[_LoraProducts],
        *_: Tensor,
    ) -> Any:
        flat = x.reshape(-1, x.shape[-1])
        outputs = {name: _product(flat, layer, transposed.get(name)) for name, layer in layers.items()}
        inner = []
        for part in thin:
            adapter = part.buffer.adapter
            u = part.read(flat) @ adapter.stacked_a_transposed(part.names)
            for name, own in zip(part.names, torch.split(u, adapter.rank, 1), strict=True):
                outputs[name][part.start : part.stop].addmm_(own, adapter.scaled_b_transposed(name))
            inner.append(u)
        ctx.save_for_backward(flat, *inner)
        ctx.layers, ctx.thin, ctx.shape = layers, thin, x.shape
        return tuple(y.view(*x.shape[:-1], -1) for y in outputs.values())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        flat, *inner = ctx.saved_tensors
        coming = {name: g.reshape(-1, g.shape[-1]) for name, g in zip(ctx.layers, gradients, strict=True)}
        gx: Tensor | None = None
        if ctx.needs_input_grad[0]:
            for name, layer in ctx.layers.items():
                gx = coming[name] @ layer.weight if gx is None else gx.addmm_(coming[name], layer.weight)
        for part, u in zip(ctx.thin, inner, strict=True):
            buffer, adapter, rows = part.buffer, part.buffer.adapter, slice(part.start, part.stop)
            back = [coming[name][rows] @ adapter.scaled_b_transposed(name).t() for name in part.names]
            gu = back[0] if len(back) == 1 else torch.cat(back, 1)
            for name, own in zip(part.names, torch.split(u, adapter.rank, 1), strict=True):
                buffer.gradients[name][1].add_((own.t() @ coming[name][rows]).t(), alpha=adapter.scale)
            buffer.stacked_a_gradients(part.names).add_(gu.t() @ part.read(flat))
            if gx is not None and part.mask is None:
                gx[rows].addmm_(gu, adapter.stacked_a(part.names))
            elif gx is not None:
                gx[rows] += (gu @ adapter.stacked_a(part.names)) * part.mask
        return (None if gx is None else gx.view(ctx.shape), *[None] * (len(ctx.needs_input_grad) - 1))


def _product(flat: Tensor, layer: nn.Linear, transposed: Tensor | None) -> Tensor:
    if transposed is None:
        return F.linear(flat, layer.weight, layer.bias)
    return flat @ transposed if layer.bias is None else torch.addmm(layer.bias, flat, transposed)


def route_adapters(model: nn.Module) -> AdapterRouting:
    """Freeze a base and let its linear layers take adapters. Returns what says which tokens take which adapter."""
    routing = AdapterRouting()
    model.requires_grad_(False)
    layers = layers_for(model, "all-linear")
    weights = [layer.weight for layer in layers.values()]
    transposed = kernels.serves(weights[0]) and sum(weight.nbytes for weight in weights) <= TRANSPOSED_BYTES
    for names in layers_by_input(layers):
        together = LayersOfOneInput({name: layers[name] for name in names}, routing, transposed)
        for name in names:
            model.set_submodule(name, RoutedLinear(name, layers[name], together))
    return routing
