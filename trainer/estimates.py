"""Memory and time of a training before it runs, from the base's shape. Estimates: a third off is to be expected.

Memory is counted per part (weights, trained parameters with their optimizer state, activations, logits). Time is
floating-point operations over the speed that a device reaches in practice.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trainer.answer_loss import PIECE
from trainer.experiment import Lora, Training
from trainer.registry import Shape
from trainer.shared_linear import TURNED_BYTES
from trainer.short_rows import LONGEST
from trainer.together import tokens_of_a_pass

NF4_BYTES = 0.516
"""4 bits a weight and 0.127 bits of doubly quantized scales: Dettmers et al. 2023, arXiv 2305.14314, section 3."""

TRAINED_BYTES = 16
"""fp32 weight, gradient and AdamW's two moments."""

HALF = ("bfloat16", "float16")


@dataclass(frozen=True)
class Device:
    """Where a training might run."""

    name: str
    memory_bytes: float
    dtype: str
    """What `dtype: auto` chooses there."""
    flops: float
    """Floating-point operations a second that training reaches, not the data sheet's peak."""
    step_seconds: float
    """A step takes no less, however small the model: launching kernels, the optimizer, the log."""
    overhead_bytes: float
    """Libraries, context and allocator, before the first weight."""
    passes_at_once: int = 1
    """Passes that the shared loop computes at the same time."""
    kernels: bool = False
    """Whether `trainer.kernels` serves there: less is kept for the way back."""


GIB = 1024**3

T4 = Device("T4 16 GB", 14.6 * GIB, "float16", 65e12 * 0.25, 0.3, 1.0e9)
A100 = Device("A100 80 GB", 79 * GIB, "bfloat16", 312e12 * 0.4, 0.15, 1.5e9)
"""Peaks: NVIDIA's data sheets. Shares reached, a quarter and two fifths, are assumptions: no such GPU was measured."""

CPU_SHARE = 0.35
"""What a whole training step reaches of a large matrix product's speed on this code."""


def devices(cpu_dtype: str) -> tuple[Device, ...]:
    """This machine's CPU, a T4 and an A100."""
    import torch

    flops, cores = _matmul_flops(cpu_dtype) * CPU_SHARE, torch.get_num_threads()
    return (Device("this CPU", memory_bytes(), cpu_dtype, flops, 0.02, 0.8e9, cores, True), T4, A100)


def memory_bytes() -> float:
    """This machine's memory, or its container's limit where that is lower."""
    import psutil

    total = float(psutil.virtual_memory().total)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, float(limit)) if limit.isdigit() else total


@cache
def _matmul_flops(dtype: str) -> float:
    """Operations a second of a 1,024³ matrix product here, over a second: shared machines change their pace in less.

    Of each few the fastest, so that a busy moment counts little.
    """
    import torch

    size = 1024
    left = torch.ones(size, size, dtype=getattr(torch, dtype))
    fastest = []
    for _ in range(10):
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            torch.mm(left, left)
            taken.append(time.perf_counter() - began)
        fastest.append(min(taken))
        time.sleep(0.08)
    return float(2 * size**3 / statistics.mean(fastest))


def trained_parameters(shape: Shape, lora: Lora) -> int:
    """Weights that the optimizer moves."""
    if lora.method == "full":
        return shape.parameters
    groups = {
        "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
        "mlp": ("gate_proj", "up_proj", "down_proj"),
        "all-linear": tuple(shape.linears),
    }
    wanted = groups[lora.target] if isinstance(lora.target, str) else lora.target
    sizes = [size for name, size in shape.linears.items() if name in wanted]
    magnitudes = sum(outputs for _, outputs in sizes) if lora.dora else 0
    return shape.layers * (lora.rank * sum(inputs + outputs for inputs, outputs in sizes) + magnitudes)


@dataclass(frozen=True)
class Memory:
    """Peak bytes of a training, by part."""

    weights: float
    trained: float
    activations: float
    logits: float
    overhead: float
    checkpointing: bool
    """Activations are recomputed to fit, or because the file asks for it."""

    @property
    def total(self) -> float:
        """Sum of all parts."""
        return self.weights + self.trained + self.activations + self.logits + self.overhead


def memory(shape: Shape, training: Training, lora: Lora, row_tokens: int, runs: int, device: Device) -> Memory:
    """Peak memory of `runs` variants of one base trained in one process.

    `row_tokens`: length of a long row. Checkpointing is what the file says; unset, it is chosen when needed to fit.
    """
    dtype = device.dtype if training.dtype == "auto" else training.dtype
    width = 2 if dtype in HALF else 4
    others = shape.parameters - shape.linear_parameters
    linear_width = NF4_BYTES if training.quantization == "nf4" else width
    # Full fine-tuning keeps one fp32 copy, counted among the trained.
    weights = 0.0 if lora.method == "full" else shape.linear_parameters * linear_width + others * width
    together = _together(training, lora, dtype)
    lean = together and device.kernels
    frozen = shape.linear_parameters * width
    if lean and frozen <= TURNED_BYTES:
        weights += frozen
    # The shared loop keeps two copies in the dtype, one each way round (`trainer.adapter`).
    trained = trained_parameters(shape, lora) * ((TRAINED_BYTES + 2 * width) * runs if together else TRAINED_BYTES)
    rows = training.batch_size * (runs if together else 1)
    if together:
        lanes = min(rows, device.passes_at_once)
        rows = min(rows, lanes * max(1, tokens_of_a_pass(lanes) // row_tokens))
    tokens = rows * row_tokens
    attention, kv = shape.heads * shape.head, shape.kv_heads * shape.head
    per_layer = width * (6 * shape.hidden + 3 * attention + 2 * kv + 4 * shape.intermediate) + 8 * shape.hidden
    if lean:
        per_layer = width * (4 * shape.hidden + 3 * attention + 3 * kv + 3 * shape.intermediate)
    if together and row_tokens <= LONGEST:
        per_layer += width * shape.heads * row_tokens  # shares of attention (`trainer.short_rows`)
    kept = tokens * (shape.layers * per_layer)
    recomputed = tokens * (shape.layers * shape.hidden * width + per_layer)
    # TRL's loss holds logits of every position in the dtype and in fp32; the shared loop those of a piece in each pass.
    positions = min(tokens, PIECE * device.passes_at_once) if together else tokens
    logits = positions * shape.vocabulary * (width + (0.0 if lean else 4.0))
    fixed = weights + trained + logits + device.overhead_bytes
    checkpointing = training.gradient_checkpointing
    if checkpointing is None:
        checkpointing = not together and fixed + kept > device.memory_bytes * 0.9
    return Memory(weights, trained, recomputed if checkpointing else kept, logits, device.overhead_bytes, checkpointing)


def _together(training: Training, lora: Lora, dtype: str) -> bool:
    """Whether `trainer.together` takes such variants, by what the file says."""
    plain = lora.method == "lora" and not lora.dora and training.quantization == "none"
    return plain and dtype != "float16" and not training.report_to and not training.gradient_checkpointing


def seconds(
    shape: Shape, training: Training, lora: Lora, steps: int, tokens: float, answers: float, device: Device
) -> float:
    """Time of `steps` steps on `tokens` tokens in all, `answers` of them trained, by one variant.

    2 operations a weight forward, 2 for the gradient by activations, 2 more for weights that are trained.
    """
    passes = 6 if lora.method == "full" else 4
    if training.gradient_checkpointing:
        passes += 2
    slower = 1.4 if training.quantization == "nf4" else 1.0  # unpacking 4-bit weights in every pass
    operations = passes * (tokens * shape.linear_parameters * slower + answers * shape.vocabulary * shape.hidden)
    return max(operations / device.flops, steps * device.step_seconds)
