"""Seconds that a model takes to load, to read, to answer and to be exported, before it does. Within a factor of two.

A step of decoding reads all weights once, computes two operations a weight for each of its rows, and takes no less
than launching its operations; the largest of these counts. Which engine answers decides how much of a device's speed
is reached. The shares below were fitted on two AVX512-BF16 cores (docs/benchmarks.md); those of GPUs are assumptions.

Not here: how fast devices are (`engines.hardware.speeds`), what is asked of a model (`evaluator.foretelling`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engines.hardware.speeds import Place
from results.records import Form

EngineName = Literal["huggingface", "llamacpp"]

WEIGHT_BYTES: dict[Form, float] = {
    "gguf-q8_0": 1.0625, "gguf-q4_0": 0.5625, "gguf-f16": 2.0, "gguf-other": 0.8, "lora-gguf": 1.0625,
}  # fmt: skip
"""Bytes a weight in a GGUF file's blocks of 32 with their scale. A LoRA-GGUF's: its base's, taken for Q8_0."""

PROCESS_SECONDS: dict[EngineName, float] = {"huggingface": 4.0, "llamacpp": 0.7}
"""Before the first weight is read: libraries, a process of its own."""

LOADED_BYTES: dict[EngineName, float] = {"huggingface": 0.6e9, "llamacpp": 2e9}
"""Bytes a second that weights are read and laid out from the disk's cache; llama.cpp maps its file."""

UNPACKED_WEIGHTS = 120e6
"""Weights a second that a GGUF file is unpacked for transformers."""

GPU_SHARE = 0.4
"""The share of a large matrix product's speed that a GPU reaches when a text is read or a batch answered."""

READING_SHARE: dict[EngineName, float] = {"huggingface": 0.45, "llamacpp": 0.3}
"""The same on a CPU, when a prompt or a text is read."""

DECODING_SHARE: dict[EngineName, float] = {"huggingface": 0.15, "llamacpp": 0.2}
"""The same on a CPU, when a batch is answered: its products are thin."""

UNTURNED = 0.3
"""The share of llama.cpp's speed with Q8_0 and Q4_0 that other blocks reach, for which it has no packed products."""

BANDWIDTH_SHARE = 0.7
"""The share of the speed of reading memory in order that reading weights for a step reaches."""

LAYER_SECONDS: dict[EngineName, float] = {"huggingface": 7e-4, "llamacpp": 1.5e-4}
"""A layer's operations are launched in no less: by Python, or by llama.cpp."""

EXPORTED_WEIGHTS = 200e6
"""Weights a second that are read, quantized, written and hashed by one core."""

GATE_TOKENS = 150
"""Tokens that the parity gate has read by both engines (`engines.exporting.parity`)."""


@dataclass(frozen=True)
class Sizes:
    """A model as far as its speed goes."""

    layers: int
    linear: int
    """Weights of the layers' linear maps."""
    head: int
    """Weights of the vocabulary's head."""

    @property
    def weights(self) -> int:
        """That a token meets."""
        return self.linear + self.head


def engine_of(form: Form) -> EngineName:
    """What answers for a form: llama.cpp for its own files, transformers for the others."""
    return "llamacpp" if form in WEIGHT_BYTES else "huggingface"


def weight_bytes(form: Form, place: Place) -> float:
    """Bytes a weight in memory."""
    return WEIGHT_BYTES.get(form, 4.0 if place.dtype == "float32" else 2.0)


def loading_seconds(sizes: Sizes, form: Form, place: Place, engine: EngineName) -> float:
    """Seconds from nothing to the first question. A GGUF file for transformers is unpacked first."""
    seconds = PROCESS_SECONDS[engine] + sizes.weights * weight_bytes(form, place) / LOADED_BYTES[engine]
    return seconds + (sizes.weights / UNPACKED_WEIGHTS if engine == "huggingface" and engine_of(form) != engine else 0)


def reading_seconds(sizes: Sizes, tokens: float, place: Place, heads: float, form: Form = "base") -> float:
    """Time to read so many tokens of prompts or texts, `heads` of which the vocabulary's head reads too.

    `form`: of the weights that llama.cpp reads; base for transformers.
    """
    operations = 2 * (sizes.linear * tokens + sizes.head * heads)
    share = GPU_SHARE if place.kind == "gpu" else READING_SHARE[engine_of(form)] * _packed(form)
    return operations / (place.flops * share)


def _packed(form: Form) -> float:
    return UNTURNED if form == "gguf-other" else 1.0


def step_seconds(sizes: Sizes, rows: float, form: Form, place: Place, engine: EngineName) -> float:
    """One token for each of so many rows."""
    share = GPU_SHARE if place.kind == "gpu" else DECODING_SHARE[engine]
    share *= _packed(form) if engine == "llamacpp" and place.kind == "cpu" else 1.0
    computing = 2 * sizes.weights * rows / (place.flops * share)
    reading = sizes.weights * weight_bytes(form, place) / (place.bytes_per_second * BANDWIDTH_SHARE)
    return max(computing, reading) + sizes.layers * LAYER_SECONDS[engine]


def export_seconds(sizes: Sizes, form: Form, place: Place) -> float:
    """One model written in a form and compared with itself in transformers; `place` is a CPU."""
    written = sizes.weights / EXPORTED_WEIGHTS if form != "lora-gguf" else 0.5
    if form == "merged":
        return written
    gate = 2 * reading_seconds(sizes, GATE_TOKENS, place, GATE_TOKENS)
    return written + gate + loading_seconds(sizes, form, place, "llamacpp")
