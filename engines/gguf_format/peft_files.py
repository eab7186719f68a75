"""PEFT adapter folders: the matrices of each adapted layer, scaled, or a refusal by name.

Rank-stabilised scaling, rank and alpha patterns and DoRA are covered. What changes more than linear layers (trained
embeddings or heads, LoRA biases) is refused: merge such an adapter and evaluate it as a model of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from engines.errors import FileRefused
from engines.gguf_format.safetensors_header import check_patterns, read_model_json, read_safetensors_header


class AdapterRefused(FileRefused):
    """An adapter's files cannot be read, or change what a bank cannot hold."""


@dataclass(frozen=True)
class LoraMatrices:
    """One adapter's part in one layer."""

    down: torch.Tensor
    """A: (rank, inputs)."""
    up: torch.Tensor
    """B times the scale: (outputs, rank)."""
    magnitude: torch.Tensor | None
    """(outputs,) for DoRA."""

    def to(self, device: torch.device, dtype: torch.dtype) -> LoraMatrices:
        """The same beside a layer's weights; DoRA's magnitude stays in its own dtype."""
        magnitude = None if self.magnitude is None else self.magnitude.to(device)
        return LoraMatrices(self.down.to(device, dtype), self.up.to(device, dtype), magnitude)


def read_adapter(folder: Path, dtype: torch.dtype) -> dict[str, LoraMatrices]:
    """The matrices of a PEFT adapter folder by the layer's name in the base.

    Raises: AdapterRefused if files are missing or the adapter is more than LoRA on linear layers.
    """
    settings_file, weights_file = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    for file in (settings_file, weights_file):
        if not file.is_file():
            raise AdapterRefused(f"No {file.name} in {folder}: not a PEFT adapter folder with safetensors weights")
    settings, weights = _read(settings_file, weights_file)
    if settings.get("peft_type") != "LORA":
        raise AdapterRefused(f"{folder} is a {settings.get('peft_type')} adapter; only LoRA is read. Merge it instead")
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in weights.items():
        match = re.fullmatch(r"base_model\.model\.(.+)\.lora_(A\.weight|B\.weight|magnitude_vector(?:\.weight)?)", key)
        if not match:
            raise AdapterRefused(f"{weights_file} holds {key}, which is not LoRA on a linear layer. Merge the adapter")
        parts.setdefault(match[1], {})[match[2].split(".")[0]] = tensor
    result = {}
    for name, tensors in parts.items():
        if "A" not in tensors or "B" not in tensors or tensors["A"].ndim != 2:
            raise AdapterRefused(f"{weights_file}: {name} lacks one of its two matrices. Save the adapter again")
        try:
            up = tensors["B"].float() * _scale(settings, name, tensors["A"].shape[0])
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, re.error) as error:
            told = f"{settings_file} has no lora_alpha, or patterns, that can be read: {error!r:.200}"
            raise AdapterRefused(f"{told}. Save the adapter again") from error
        magnitude = tensors.get("magnitude_vector")
        result[name] = LoraMatrices(
            tensors["A"].to(dtype), up.to(dtype), None if magnitude is None else magnitude.float()
        )
    return result


def _read(settings_file: Path, weights_file: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(settings, tensors by their names). Raises AdapterRefused for damaged files."""
    try:
        settings = read_model_json(settings_file)
        check_patterns(settings, settings_file)
        read_safetensors_header(weights_file)
    except FileRefused as error:
        raise AdapterRefused(f"{error} Save the adapter again") from error
    try:
        return settings, load_file(str(weights_file))
    except (OSError, SafetensorError) as error:
        raise AdapterRefused(f"{weights_file} is damaged: {error}. Save the adapter again") from error


def _scale(settings: Mapping[str, Any], name: str, rank: int) -> float:
    """alpha / rank, or alpha / sqrt(rank) when rank-stabilised; a pattern's alpha holds for the layers it ends."""
    alpha = float(settings["lora_alpha"])
    for pattern, value in (settings.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", name):
            alpha = float(value)
            break
    return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
