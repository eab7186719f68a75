"""A PEFT folder before its base is known: settings, the shapes of its tensors, and what it does to a model.

No weights are read: shapes come from the safetensors header. Pickles are refused and never opened.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engines.adding.settings import read_settings
from engines.errors import FileRefused
from engines.gguf_format.safetensors_header import read_safetensors_header

WEIGHTS = "adapter_model.safetensors"
MATRIX = re.compile(r"base_model\.model\.(.+)\.lora_(A\.weight|B\.weight|magnitude_vector(?:\.weight)?)")
"""A tensor of LoRA on a linear layer: the layer's name, and which part it is."""

PROMPTS = ("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "ADAPTION_PROMPT", "CARTRIDGE")
"""PEFT methods that are no change of weights: nothing can merge them."""

MOVING = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""How `init_lora_weights` begins where PEFT changes the base's own weights when it puts the adapter in."""

CONVERT = (
    'python -c "import torch, safetensors.torch as s; '
    "s.save_file({{k: v.contiguous() for k, v in torch.load('{name}', weights_only=True).items()}}, '{saved}')\""
)
"""The command that turns a pickle into safetensors without running what is in it."""


@dataclass(frozen=True)
class Adapter:
    """A PEFT folder's settings and tensors."""

    folder: Path
    settings: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    """Tensor name → shape, as the file has them."""

    @cached_property
    def matrices(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Layer → A, B and magnitude_vector → shape, for what is LoRA on a linear layer."""
        found: dict[str, dict[str, tuple[int, ...]]] = {}
        for name, shape in self.shapes.items():
            if match := MATRIX.fullmatch(name):
                found.setdefault(match[1], {})[match[2].split(".")[0]] = shape
        return found

    @property
    def method(self) -> str:
        """PEFT's name of the method: LORA, LOHA, IA3, …"""
        return str(self.settings.get("peft_type", "LORA"))

    @property
    def saved_rows(self) -> int:
        """Rows of an input or output embedding that the adapter brings; 0 where it brings none."""
        ends = ("embed_tokens.weight", "lm_head.weight", "wte.weight")
        return max((shape[0] for name, shape in self.shapes.items() if name.endswith(ends)), default=0)

    @property
    def beyond(self) -> list[str]:
        """What the adapter has that no bank of LoRA matrices can hold, in words; empty for one that fits."""
        found = []
        if self.method != "LORA":
            found.append(self.method)
        saved = sorted(name for name in self.shapes if not MATRIX.fullmatch(name))
        for words, part in _KINDS.items():
            if any(re.search(part, name) for name in saved):
                found.append(words)
            saved = [name for name in saved if not re.search(part, name)]
        if saved:
            whole = sorted({name.removeprefix("base_model.model.").rpartition(".")[0] for name in saved})
            listed = ", ".join(whole[:3]) + (" and more" if len(whole) > 3 else "")
            found.append(f"whole modules saved ({listed})")
        start = str(self.settings.get("init_lora_weights", ""))
        if start.lower().startswith(MOVING):
            found.append(f"{start}, which changes the base's own weights")
        if self.settings.get("fan_in_fan_out"):
            found.append("transposed layers (fan_in_fan_out)")
        if self.settings.get("layer_replication"):
            found.append("replicated layers (layer_replication)")
        return found

    @property
    def scale(self) -> str:
        """How A·B is scaled, in words: each rank with its alpha and factor."""
        stable = bool(self.settings.get("use_rslora"))
        counted = Counter(
            (parts["A"][0], self.alpha(layer))
            for layer, parts in self.matrices.items()
            if "A" in parts and "B" in parts and parts["A"]
        )
        words = []
        for (rank, alpha), layers in sorted(counted.items()):
            root = f"√{rank}" if stable else f"{rank}"
            factor = alpha / (math.sqrt(rank) if stable else rank)
            words.append(f"{alpha:g}/{root} = {factor:.4g}" + (f" in {layers} layers" if len(counted) > 1 else ""))
        kind = "rank-stabilised" if stable else "alpha/rank"
        return f"{kind}: {', '.join(words)}" if words else "none: no LoRA matrices"

    def alpha(self, layer: str) -> float:
        """The alpha of one layer: the pattern's that ends its name, else the adapter's."""
        for pattern, value in (self.settings.get("alpha_pattern") or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", layer):
                return float(value)
        return float(self.settings.get("lora_alpha", 8))


_KINDS = {
    "LoRA on embeddings": r"\.lora_embedding_[AB]",
    "LoRA with biases": r"\.lora_B\.bias$",
    "trained biases": r"\.bias$",
    "single tokens trained": r"token_adapter|trainable_tokens",
    "embeddings saved whole": r"(embed_tokens|wte|lm_head)\.weight$",
}
"""What to call tensors that are no LoRA matrices → what their names have."""


def read(folder: Path) -> Adapter:
    """A PEFT folder. Raises: FileRefused where it has no safetensors, is damaged, or cannot be merged by anything."""
    settings = read_settings(folder / "adapter_config.json")
    file = folder / WEIGHTS
    if not file.is_file():
        raise FileRefused(_without_weights(folder))
    adapter = Adapter(folder, settings, shapes_of(file))
    if adapter.method in PROMPTS:
        raise FileRefused(
            f"{folder} is a {adapter.method} adapter: no weights but a trained prompt, which only PEFT itself runs. "
            "Train it as LoRA, or serve it elsewhere and add its endpoint."
        )
    if not adapter.shapes:
        raise FileRefused(f"{file} holds no tensors: nothing was saved. Save the adapter again on the main process.")
    return adapter


def shapes_of(file: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a safetensors file by tensor name; no weights are read. Raises: FileRefused for a damaged one."""
    return {name: tensor.shape for name, tensor in read_safetensors_header(file).items()}


def _without_weights(folder: Path) -> str:
    pickles = [file for file in sorted(folder.glob("*")) if file.suffix in (".bin", ".pt", ".pth", ".ckpt")]
    if pickles:
        return pickle_refusal(pickles[0], folder / WEIGHTS)
    if (folder / "adapters.safetensors").is_file():
        return (
            f"{folder} is an adapter of MLX, which PEFT does not read. Fuse it (mlx_lm.fuse) and add the folder made."
        )
    inside = sorted(file.parent.name for file in folder.glob(f"checkpoint-*/{WEIGHTS}"))
    if inside:
        return f"{folder} has no {WEIGHTS} of its own. Add one of its checkpoints: {', '.join(inside)}."
    shards = sorted(folder.glob("adapter_model-*.safetensors"))
    if shards:
        return f"{folder} has its adapter in {len(shards)} files, which PEFT does not read. Save it in one file."
    return f"{folder} has an adapter_config.json and no {WEIGHTS}. Save the adapter again, or copy the folder whole."


def pickle_refusal(file: Path, saved: Path) -> str:
    """The refusal of a pickle, with the one-line command that turns it into safetensors."""
    command = CONVERT.format(name=file, saved=saved)
    return f"{file} is a pickle, which can run code, and is never loaded. Convert it: {command}"
