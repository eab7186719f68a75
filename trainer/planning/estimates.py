"""Memory and time of a training before it runs, from the base's shape. Estimates: a third off is to be expected.

Memory is counted per part: weights, trained parameters with their optimizer state, activations that wait for the way
back, and what passes (a tile of the vocabulary's scores, a layer's gradients). Time is floating-point operations over
the speed that a place reaches in practice, and on a GPU no less than launching the operations takes.

Not here: how fast places are (`engines.hardware.speeds`), measuring (`evaluator.foretelling`).
"""

from __future__ import annotations

from dataclasses import dataclass

from engines import OVERFLOWS, Place
from trainer.bases.registry import Shape
from trainer.experiment.lora_targets import TARGETS
from trainer.experiment.schema import Lora, Training
from trainer.planning.pass_limits import (
    LOSS_PIECE_TOKENS,
    SHORT_ROW_TOKENS,
    TRANSPOSED_BYTES,
    tokens_of_a_pass,
)
from trainer.planning.sharing import shares_passes

NF4_BYTES = 0.516
"""4 bits a weight and 0.127 bits of doubly quantized scales: Dettmers et al. 2023, arXiv 2305.14314, section 3."""

TRAINED_BYTES = 16
"""fp32 weight, gradient and AdamW's two moments."""

HALF = ("bfloat16", "float16")

OVERHEAD_BYTES = {"cpu": 0.8e9, "gpu": 0.6e9}
"""Libraries, or CUDA's context and workspaces, before the first weight."""

FULL = 0.9
"""Share of a place's memory that a step may take: the allocator loses some to gaps."""

TILE_TOKENS, TILE_VOCABULARY = 4096, 32768
"""Positions and words whose scores TRL 1.16 holds at a time (`trl.kernels.chunked_logprob`): never the whole table."""

FOLDED_BYTES = 28
"""A score's fp32 copies on the way back where TRL's loss is folded by torch, without Triton."""

CPU_SHARE = 0.45
"""What a whole training step reaches of a large matrix product's speed in the shared loop (`trainer.multi_lora`)."""

CPU_ALONE_SHARE = 0.12
"""What a step reaches through TRL on a CPU: a quarter to a third of the shared loop's pace (docs/benchmarks.md)."""

GPU_SHARE = {"bfloat16": 0.4, "float16": 0.25, "float32": 0.5}
"""What a step reaches on a GPU of its data sheet's peak, by dtype. Assumptions: no GPU was measured."""

FP32_OF_HALF = 0.125
"""fp32 products beside 16-bit ones: 8.1 of 65 TFLOPS on a T4, and less than TF32 gives elsewhere."""

LAYER_SECONDS = 2e-3
"""A layer's some 250 operations, forth and back with adapters, are launched by Python in no less. An assumption."""

CPU_STEP_SECONDS = 0.02

START_SECONDS = {"cpu": 6.0, "gpu": 20.0}
"""Libraries, adapters and the trainer, before the first step; on a GPU each run is a process that imports TRL anew."""

LOADED_BYTES = 0.6e9
"""Bytes a second at which a base is read and laid out."""


def trained_parameters(shape: Shape, lora: Lora) -> int:
    """Count the weights that the optimizer moves."""
    if lora.method == "full":
        return shape.parameters
    sizes = _adapted(shape, lora)
    magnitudes = sum(outputs for _, outputs in sizes) if lora.dora else 0
    return shape.layers * (lora.rank * sum(inputs + outputs for inputs, outputs in sizes) + magnitudes)


def _adapted(shape: Shape, lora: Lora) -> list[tuple[int, int]]:
    """The inputs and outputs of each adapted linear map of one layer."""
    groups = {**TARGETS, "all-linear": tuple(shape.linears)}
    wanted = groups[lora.target] if isinstance(lora.target, str) else lora.target
    return [size for name, size in shape.linears.items() if name in wanted]


@dataclass(frozen=True)
class Memory:
    """Peak bytes of a training, by part."""

    weights: float
    trained: float
    activations: float
    passing: float
    """A tile of the vocabulary's scores, or a layer's gradients: whichever is larger."""
    overhead: float
    checkpointing: bool
    """Activations are recomputed to fit, or because the file asks for it."""
    micro_batch: int
    """Rows of a forward pass: the file's, or fewer to fit."""

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return self.weights + self.trained + self.activations + self.passing + self.overhead


def memory(shape: Shape, training: Training, lora: Lora, row_tokens: int, runs: int, place: Place) -> Memory:
    """Peak memory of one device of a place: of `runs` variants of one base in the shared loop, or of one through TRL.

    `row_tokens`: length of a long row. Recomputing activations is what the file says; unset, it is the last resort.
    Validation needs no more, since it keeps nothing for a way back; on a GPU it takes as many rows as are free to hold.
    """
    dtype = dtype_of(shape, training, place)
    if shares_passes(training, lora, dtype, on_a_gpu=place.kind != "cpu"):
        return _together(shape, training, lora, row_tokens, runs, place)
    return _alone(shape, training, lora, row_tokens, place)


def dtype_of(shape: Shape, training: Training, place: Place) -> str:
    """The dtype that a training computes in there, by what the file says; `auto` is float32 where fp16 overflows."""
    if training.dtype != "auto":
        return training.dtype
    return "float32" if place.dtype == "float16" and shape.architecture in OVERFLOWS else place.dtype


def _weights(shape: Shape, training: Training, width: int) -> float:
    others = shape.parameters - shape.linear_parameters
    return shape.linear_parameters * (NF4_BYTES if training.quantization == "nf4" else width) + others * width


def _together(shape: Shape, training: Training, lora: Lora, row_tokens: int, runs: int, place: Place) -> Memory:
    """The shared loop: bases are read once, rows lie end to end, and each core has a pass of its own."""
    width = 2 if dtype_of(shape, training, place) in HALF else 4
    weights, frozen = _weights(shape, training, width), shape.linear_parameters * width
    if frozen <= TRANSPOSED_BYTES:
        weights += frozen
    # Two copies in the dtype, one of them transposed (`trainer.multi_lora`).
    trained = trained_parameters(shape, lora) * (TRAINED_BYTES + 2 * width) * runs
    rows = training.batch_size * runs
    at_once = min(rows, place.cores)
    tokens = min(rows, at_once * max(1, tokens_of_a_pass(at_once) // row_tokens)) * row_tokens
    attention, kv = shape.heads * shape.head, shape.kv_heads * shape.head
    kept = width * (4 * shape.hidden + 3 * attention + 3 * kv + 3 * shape.intermediate)
    if row_tokens <= SHORT_ROW_TOKENS:
        kept += width * shape.heads * row_tokens  # attention's probabilities (`trainer.multi_lora`)
    scores = min(tokens, LOSS_PIECE_TOKENS * place.cores) * shape.vocabulary * width
    kept *= tokens * shape.layers
    return Memory(weights, trained, kept, scores, OVERHEAD_BYTES["cpu"], False, training.batch_size)


def _alone(shape: Shape, training: Training, lora: Lora, row_tokens: int, place: Place) -> Memory:
    """TRL's trainer. Where a step does not fit it is taken in smaller micro-batches, and at one row by recomputing."""
    asked, rows = bool(training.gradient_checkpointing), training.batch_size
    found = _counted(shape, training, lora, (rows, row_tokens), asked, place)
    while rows > 1 and found.total > place.memory_bytes * FULL:
        rows //= 2
        found = _counted(shape, training, lora, (rows, row_tokens), asked, place)
    if training.gradient_checkpointing is None and found.total > place.memory_bytes * FULL:
        return _counted(shape, training, lora, (rows, row_tokens), True, place)
    return found


def _counted(
    shape: Shape, training: Training, lora: Lora, batch: tuple[int, int], checkpointing: bool, place: Place
) -> Memory:
    """Count what autograd keeps of each operation of transformers' decoder under PEFT. `batch`: rows, tokens a row."""
    width = 2 if dtype_of(shape, training, place) in HALF else 4
    full = lora.method == "full"
    # Full fine-tuning keeps one fp32 copy, counted among the trained, and autocast's copies in the dtype.
    weights = (width * shape.parameters if width < 4 else 0.0) if full else _weights(shape, training, width)
    trained = trained_parameters(shape, lora) * (TRAINED_BYTES + (width if width < 4 and not full else 0))
    rows, tokens = batch[0], batch[0] * batch[1]
    layer = tokens * _kept_by_layer(shape, training, lora, width, rows)
    way_back = tokens * (3 * width * shape.intermediate + 16 * shape.hidden)
    if training.quantization == "nf4":
        way_back += width * max(inputs * outputs for inputs, outputs in shape.linears.values())
    passing = max(way_back, _scores(shape, tokens, width, place.triton))
    kept = layer * shape.layers + 6 * tokens * shape.hidden
    if checkpointing:
        kept = layer + tokens * shape.hidden * shape.layers * (4 if full else width)
    return Memory(weights, trained, kept, passing, OVERHEAD_BYTES[place.kind], checkpointing, rows)


def _kept_by_layer(shape: Shape, training: Training, lora: Lora, width: int, rows: int) -> float:
    """Bytes a token that one layer keeps for the way back."""
    hidden, inner = shape.hidden, shape.intermediate
    attention, kv = shape.heads * shape.head, shape.kv_heads * shape.head
    keys = attention if rows > 1 else kv  # a mask for padding makes transformers repeat them
    norms = 8 * hidden + (8 * hidden if lora.method == "full" else 0)
    # Without a cast of PEFT's or autocast's own, maps of one input keep one copy of it.
    own_copies = width < 4 and training.quantization == "none"
    read = (5 if own_copies else 2) * hidden + attention + inner
    if lora.dropout and lora.method == "lora":
        norms += (width + 1) * (5 * hidden + attention + inner)
    if lora.dora:
        norms += 2 * width * sum(outputs for _, outputs in _adapted(shape, lora))
    thin = lora.rank * len(_adapted(shape, lora)) if lora.method == "lora" else 0
    return norms + width * (read + 2 * attention + 2 * keys + 3 * inner + thin) + 4 * shape.heads


def _scores(shape: Shape, tokens: int, width: int, triton: bool) -> float:
    """TRL's loss: a tile of scores, its gradient in fp32, and without Triton the tile's copies in fp32."""
    positions = min(tokens, TILE_TOKENS)
    tile = positions * TILE_VOCABULARY * width + tokens * shape.hidden * (4 + 2 * width)
    if triton:
        return tile
    return tile + FOLDED_BYTES * positions * min(shape.vocabulary, TILE_VOCABULARY)


def seconds(
    shape: Shape, training: Training, lora: Lora, steps: int, tokens: float, answers: float, place: Place
) -> float:
    """Time of `steps` steps on `tokens` tokens in all, `answers` of them trained, by one variant on one device.

    2 operations a weight forward, 2 for the gradient by activations, 2 more for weights that are trained. Recomputing
    is counted where the file asks for it.
    """
    passes = 6 if lora.method == "full" else 4
    if training.gradient_checkpointing:
        passes += 2
    computing = _operations(shape, training, passes, tokens, answers) / _reached(shape, training, lora, place)
    if place.kind == "cpu":
        return max(computing, steps * CPU_STEP_SECONDS)
    return max(computing, steps * training.gradient_accumulation * shape.layers * LAYER_SECONDS * passes / 4)


def validation_seconds(
    shape: Shape, training: Training, lora: Lora, tokens: float, answers: float, place: Place
) -> float:
    """Time of one validation of so many tokens by one run: forward only, in batches that fill the device."""
    return _operations(shape, training, 2, tokens, answers) / _reached(shape, training, lora, place)


def starting_seconds(shape: Shape, training: Training, place: Place) -> float:
    """Time until the first step: a process, its libraries, the base read from its file."""
    width = 4 if dtype_of(shape, training, place) == "float32" else 2
    return START_SECONDS[place.kind] + shape.parameters * width / LOADED_BYTES


def _operations(shape: Shape, training: Training, passes: int, tokens: float, answers: float) -> float:
    slower = 1.4 if training.quantization == "nf4" else 1.0  # unpacking 4-bit weights in every pass
    return passes * (tokens * shape.linear_parameters * slower + answers * shape.vocabulary * shape.hidden)


def _reached(shape: Shape, training: Training, lora: Lora, place: Place) -> float:
    """Operations a second that a place reaches in training."""
    dtype = dtype_of(shape, training, place)
    if place.kind == "cpu":
        return place.flops * (CPU_SHARE if shares_passes(training, lora, dtype, on_a_gpu=False) else CPU_ALONE_SHARE)
    return place.flops * GPU_SHARE[dtype] * (FP32_OF_HALF if dtype == "float32" else 1.0)
