"""PEFT adapters in GGUF's terms: as a LoRA-GGUF beside a base, or as what is added to the base's weights.

Llama, Mistral, Qwen2, Qwen3 and Gemma. DoRA is merged, but no LoRA-GGUF can hold it. What is more than LoRA on linear
layers is refused by name: trained embeddings, heads or biases. Merge such an adapter with transformers (`merged`) and
export the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import ExportRefused
from engines.gguf_format.architectures import Array, Layout
from engines.gguf_format.header import Header

MERGED_INSTEAD = "Ship it as gguf-q8_0, which has it merged in."


@dataclass(frozen=True)
class Delta:
    """What an adapter adds to one tensor: up @ down, in GGUF's layout."""

    down: Array
    """A: (rank, inputs), float32."""
    up: Array
    """B times its scale: (outputs, rank), float32."""
    magnitude: Array | None = None
    """(outputs,) for DoRA: the length that each merged row has."""

    def add_to(self, rows: Array, first: int) -> None:
        """Merge into some of the tensor's rows in place: rows (n, inputs) float32, the tensor's from `first` on."""
        import torch

        last = first + len(rows)
        torch.from_numpy(rows).addmm_(torch.from_numpy(self.up[first:last]), torch.from_numpy(self.down))
        if self.magnitude is not None:
            rows *= (self.magnitude[first:last] / np.linalg.norm(rows, axis=1))[:, None]


def layout_of(header: Header) -> Layout:
    """The layout of a GGUF file's architecture."""
    heads = int(header.hyperparameter("attention.head_count", 0))
    return Layout(
        header.architecture,
        int(header.hyperparameter("block_count", 0)),
        heads,
        int(header.hyperparameter("attention.head_count_kv", heads)),
    )


def deltas(folder: Path, layout: Layout) -> dict[str, Delta]:
    """A PEFT folder's matrices by GGUF tensor name.

    Raises: AdapterRefused, ExportRefused for what GGUF's adapters cannot hold.
    """
    import torch

    from engines.gguf_format.peft_files import read_adapter

    found = {}
    for module, matrices in read_adapter(folder, torch.float32).items():
        name = layout.name(f"{module}.weight")
        magnitude = None if matrices.magnitude is None else layout.to_gguf(name, matrices.magnitude.flatten().numpy())
        found[name] = Delta(matrices.down.numpy(), layout.to_gguf(name, matrices.up.numpy()), magnitude)
    if not found:
        raise ExportRefused("empty", f"{folder} holds no LoRA matrices.")
    return found


def write_lora(path: Path, matrices: Mapping[str, Delta], base: Header, name: str) -> None:
    """Write a LoRA-GGUF in float32, its scales folded into B, for a base whose tensors it must fit.

    Raises: ExportRefused for DoRA, or if a tensor is missing from the base or of another shape.
    """
    import gguf

    if any(delta.magnitude is not None for delta in matrices.values()):
        raise ExportRefused("dora", f"{name} is a DoRA adapter, which no LoRA-GGUF can hold. {MERGED_INSTEAD}")
    shapes = {tensor.name: tensor.shape for tensor in base.tensors}
    for tensor, delta in matrices.items():
        wanted = (delta.down.shape[1], delta.up.shape[0])
        if shapes.get(tensor) != wanted:
            raise ExportRefused("shapes", f"The adapter's {tensor} is {wanted}, the base's {shapes.get(tensor)}.")
    # llama.cpp multiplies by alpha / rank, rank being each pair's own: alpha = 1 and B * rank leave B * scale.
    writer = gguf.GGUFWriter(path, base.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_name(name)
    writer.add_float32("adapter.lora.alpha", 1.0)
    for tensor, delta in matrices.items():
        rank = delta.down.shape[0]
        writer.add_tensor(f"{tensor}.lora_a", np.ascontiguousarray(delta.down, np.float32))
        writer.add_tensor(f"{tensor}.lora_b", np.ascontiguousarray(delta.up * np.float32(rank), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
