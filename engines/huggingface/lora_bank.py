"""Several LoRA adapters of one base in one batch: a bank of stacked matrices beside every adapted layer.

For a row with adapter g, y = W·x + B_g·(A_g·x)·scale_g. All adapters that a batch needs are stacked into one A and one
B; the product A·x is zeroed outside the row's own block, so two dense matrix products serve any mixture and a base row
gets exactly W·x + 0: bit-equal to a batch without adapters. PEFT's `adapter_names` loops over adapters in Python.

Rank-stabilised scaling, rank and alpha patterns and DoRA are covered. What changes more than linear layers (trained
embeddings or heads, LoRA biases) is refused by name: merge such an adapter and evaluate it as a model of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import nn

from engines.errors import ExportRefused
from engines.gguf_format.header import is_gguf
from engines.gguf_format.peft_files import AdapterRefused, LoraMatrices, read_adapter
from engines.huggingface.requests import BASE


class RowAdapters(threading.local):
    """Which adapter each row of the batch uses: shared by all layers, set before each forward, each thread's own."""

    def __init__(self) -> None:
        self.rows: tuple[str, ...] = ()
        self.active: tuple[str, ...] = ()
        self.masks: dict[tuple[tuple[str, int], ...], torch.Tensor] = {}

    def set(self, rows: Sequence[str]) -> None:
        """`rows[i]` names the adapter of row i; `BASE` for none."""
        if tuple(rows) != self.rows:
            self.rows = tuple(rows)
            self.active = tuple(sorted(set(rows) - {BASE}))
            self.masks = {}

    def mask(self, blocks: tuple[tuple[str, int], ...], like: torch.Tensor) -> torch.Tensor:
        """(rows, 1, total rank): 1 in the columns of the row's own adapter."""
        if blocks not in self.masks:
            columns = [name for name, rank in blocks for _ in range(rank)]
            table = [[float(row == column) for column in columns] for row in self.rows]
            self.masks[blocks] = torch.tensor(table, dtype=like.dtype, device=like.device)[:, None, :]
        return self.masks[blocks]


class BankedLinear(nn.Module):
    """A frozen linear layer with the matrices of any number of adapters; prepacked for the CPU's matrix units."""

    def __init__(self, linear: nn.Linear, row_adapters: RowAdapters) -> None:
        super().__init__()
        self.row_adapters = row_adapters
        self.shape = (linear.out_features, linear.in_features)
        self.weight: torch.Tensor | None = linear.weight.detach()
        self.dtype = linear.weight.dtype
        self.device = linear.weight.device
        self.bias = None if linear.bias is None else linear.bias.detach()
        self.bank: dict[str, LoraMatrices] = {}
        self.gains: dict[str, torch.Tensor] = {}
        self.stacked: dict[tuple[str, ...], tuple[tuple[tuple[str, int], ...], torch.Tensor, torch.Tensor]] = {}
        self.packed: torch.Tensor | None = None
        if self.weight.device.type == "cpu" and self.weight.dtype == torch.bfloat16:
            # Unpacked, oneDNN reorders the weights in every call: half the time of a small batch.
            self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, 64)
            self.weight = None

    def add(self, name: str, matrices: LoraMatrices) -> None:
        """Put one adapter's matrices beside the weights. Raises AdapterRefused if the shapes are another layer's."""
        outputs, inputs = self.shape
        if matrices.down.shape[1] != inputs or matrices.up.shape[0] != outputs:
            raise AdapterRefused(
                f"Adapter {name!r} has {tuple(matrices.up.shape)}·{tuple(matrices.down.shape)} where the base has a "
                f"layer of {outputs}×{inputs}: it belongs to another base"
            )
        matrices = matrices.to(self.device, self.dtype)
        self.bank[name] = matrices
        if matrices.magnitude is not None:
            whole = self.plain_weight().float() + matrices.up.float() @ matrices.down.float()
            self.gains[name] = (matrices.magnitude / whole.norm(dim=1)).to(self.dtype)
        self.stacked = {}

    def plain_weight(self) -> torch.Tensor:
        """(outputs, inputs), unpacked."""
        weight: torch.Tensor | None = self.packed.to_dense() if self.packed is not None else self.weight
        assert weight is not None
        return weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (rows, n, inputs) -> (rows, n, outputs)."""
        if self.packed is not None:
            y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        else:
            y = functional.linear(x, self.plain_weight(), self.bias)
        active = tuple(name for name in self.row_adapters.active if name in self.bank)
        if not active:
            return y
        blocks, down, up = self._stack(active)
        inner = functional.linear(x, down)
        if not (len(active) == 1 and all(row == active[0] for row in self.row_adapters.rows)):
            inner = inner * self.row_adapters.mask(blocks, inner)
        if not any(name in self.gains for name in active):
            y.view(-1, y.shape[-1]).addmm_(inner.view(-1, inner.shape[-1]), up.t())  # no tensor of its own for B·A·x
            return y
        delta = functional.linear(inner, up)
        bias = 0 if self.bias is None else self.bias
        ones = torch.ones(self.shape[0], dtype=y.dtype, device=y.device)
        gain = torch.stack([self.gains.get(row, ones) for row in self.row_adapters.rows])[:, None, :]
        return (y - bias + delta) * gain + bias if self.bias is not None else (y + delta) * gain

    def _stack(self, active: tuple[str, ...]) -> tuple[tuple[tuple[str, int], ...], torch.Tensor, torch.Tensor]:
        stack = self.stacked.get(active)
        if stack is None:
            parts = [self.bank[name] for name in active]
            blocks = tuple((name, part.down.shape[0]) for name, part in zip(active, parts, strict=True))
            if len(parts) == 1:  # an adapter alone needs no copy of itself
                return blocks, parts[0].down, parts[0].up
            stack = (blocks, torch.cat([part.down for part in parts]), torch.cat([part.up for part in parts], dim=1))
            # Requests come adapter by adapter, so only the latest mixture is worth its memory.
            self.stacked = {active: stack}
        return stack


def install(model: nn.Module, row_adapters: RowAdapters, skip: Iterable[str] = ()) -> dict[str, BankedLinear]:
    """Replace every `nn.Linear` of a model but the skipped names; the layers by their names in the base."""
    layers = {}
    skipped = set(skip)
    for name, module in list(model.named_modules()):
        if type(module) is nn.Linear and name not in skipped:
            layers[name] = BankedLinear(module, row_adapters)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent) if parent else model, child, layers[name])
    return layers


def read_lora_gguf(file: Path, base: Path, layers: Iterable[str], dtype: torch.dtype) -> dict[str, LoraMatrices]:
    """The matrices of a LoRA-GGUF by the layer's name in transformers; `base` is the GGUF file it stands beside.

    Raises: AdapterRefused if it adapts a tensor that none of the layers is.
    """
    import gguf

    from engines.gguf_format.header import read_header
    from engines.gguf_format.lora import layout_of

    for path in (file, base):
        read_header(path)  # refuses what would hang the reader
    layout = layout_of(read_header(base))
    reader = gguf.GGUFReader(file)
    alpha_field = reader.get_field("adapter.lora.alpha")
    alpha = float(alpha_field.contents()) if alpha_field else 0.0
    tensors = {tensor.name: torch.from_numpy(tensor.data.copy()).float() for tensor in reader.tensors}
    result = {}
    for layer in layers:
        try:
            name = layout.name(f"{layer}.weight")
        except ExportRefused:
            continue
        if f"{name}.lora_a" not in tensors:
            continue
        down, up = tensors.pop(f"{name}.lora_a"), tensors.pop(f"{name}.lora_b")
        up = up * (alpha / down.shape[0] if alpha else 1.0)
        result[layer] = LoraMatrices(
            down.to(dtype), torch.from_numpy(layout.from_gguf(name, up.numpy())).to(dtype), None
        )
    if tensors:
        raise AdapterRefused(f"{file} adapts {sorted(tensors)[0]}, which is no linear layer of {base.name}")
    return result


def load_adapter(layers: Mapping[str, BankedLinear], name: str, path: Path, base: Path | None = None) -> None:
    """Put a PEFT adapter folder, or a LoRA-GGUF beside its `base`, into the bank under a name.

    Raises: AdapterRefused if it touches layers that the base lacks or that no bank stands beside.
    """
    dtype = next(iter(layers.values())).dtype
    if is_gguf(path):
        if base is None:
            raise AdapterRefused(f"{path} needs the GGUF file of its base beside it")
        matrices = read_lora_gguf(path, base, layers, dtype)
    else:
        matrices = read_adapter(path, dtype)
    strangers = sorted(set(matrices) - set(layers))
    if strangers:
        raise AdapterRefused(f"{path} adapts {strangers[0]}; the base has no such linear layer: another base's adapter")
    for layer, part in matrices.items():
        layers[layer].add(name, part)
