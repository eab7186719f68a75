"""The small steps between matrix products on a CPU, each in one pass over memory, compiled when first called.

torch has a kernel for every operation: a gate's backward pass is five, each reads and writes whole tensors, and bf16 is
rounded in between. Here one loop reads bf16 or fp32, computes in fp32 and rounds once. The threads of the passes run
at the same time (`nogil`), and machine code is kept beside this file, so only the first training compiles.

Kernels take contiguous tensors and see them as flat arrays: fp32, or bf16 as the uint16 that holds its bits.

A loop that sums stores nothing. One that does both is vectorized only where what it writes lies far from what it reads,
so the order of its sum, and the last bits, would depend on where threads' memory happens to lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numba
import numpy as np
import torch
from numba.core import types
from numba.extending import overload
from numpy import float32, int32, uint16, uint32, uintp
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[Any]
"""fp32, or the bits of bf16."""

_ARITHMETIC = {"fastmath": {"reassoc", "contract", "arcp", "nsz"}, "error_model": "numpy"}
"""Sums in any order and no check for divisions by zero: without both, loops do not become vector instructions. What is
not a number stays so: a training that diverges must be seen."""


_TILE = uintp(64)
"""Rows transposed at a time: what is read stays in the nearest cache."""


def serves(tensor: Tensor) -> bool:
    """Whether these kernels can read such a tensor."""
    return tensor.device.type == "cpu" and tensor.dtype in (torch.bfloat16, torch.float32)


def _flat(given: Any) -> Any:
    """Give a kernel a contiguous tensor's memory, not copied, or those of a tuple; other arguments as they are."""
    if isinstance(given, tuple):
        return tuple(map(_flat, given))
    if not isinstance(given, Tensor):
        return given
    bits = given.detach().view(torch.uint16) if given.dtype == torch.bfloat16 else given.detach()
    return bits.numpy().reshape(-1)


def _inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function into the kernels that call it."""
    return numba.njit(inline="always")(function)  # type: ignore[no-any-return]


def _kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a function at its first call, for contiguous tensors; at each start where no cache can be written."""
    try:
        compiled = numba.njit(cache=True, nogil=True, **_ARITHMETIC)(function)
    except RuntimeError:
        compiled = numba.njit(nogil=True, **_ARITHMETIC)(function)

    @wraps(function)
    def call(*given: Any) -> None:
        compiled(*map(_flat, given))

    return call


def _for_each_dtype(stands_for: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the compiled form of a function, chosen by the dtype of the array that it is given first."""
    return overload(stands_for, jit_options=_ARITHMETIC)  # type: ignore[no-any-return]


def _get(array: Numbers, place: Any) -> Any:
    raise NotImplementedError  # compiled code only


def _put(array: Numbers, place: Any, value: Any) -> None:
    raise NotImplementedError  # compiled code only


@_for_each_dtype(_get)
def _get_of(array: Any, place: Any) -> Any:  # noqa: ARG001
    if array.dtype != types.uint16:

        def get(array: Any, place: Any) -> Any:
            return array[place]

        return get

    def widen(array: Any, place: Any) -> Any:
        return uint32(uint32(array[place]) << uint32(16)).view(float32)

    return widen


@_for_each_dtype(_put)
def _put_of(array: Any, place: Any, value: Any) -> Any:  # noqa: ARG001
    if array.dtype != types.uint16:

        def put(array: Any, place: Any, value: Any) -> None:
            array[place] = value

        return put

    def round_and_put(array: Any, place: Any, value: Any) -> None:
        bits = float32(value).view(uint32)
        even = uint32(uint32(bits >> uint32(16)) & uint32(1))
        array[place] = uint16(uint32(uint32(bits + uint32(0x7FFF)) + even) >> uint32(16))

    return round_and_put


@_inlined
def _exp(x: Any) -> Any:
    """eˣ to 1e-7 of itself: 2ⁿ times a polynomial of what is left, which compilers turn into vector instructions."""
    x = float32(-87.0) if x < float32(-87.0) else x  # in this order NaN stays NaN
    x = float32(88.0) if x > float32(88.0) else x
    turns = float32(x * float32(1.4426950408889634))
    n = int32(turns + (float32(0.5) if turns >= float32(0.0) else float32(-0.5)))
    r = float32(x - float32(n) * float32(0.693359375)) - float32(n) * float32(-2.12194440e-4)
    p = float32(1 / 5040)
    p = p * r + float32(1 / 720)
    p = p * r + float32(1 / 120)
    p = p * r + float32(1 / 24)
    p = p * r + float32(1 / 6)
    p = p * r + float32(0.5)
    p = p * r + float32(1.0)
    p = p * r + float32(1.0)
    return float32(p * int32(int32(n + int32(127)) << int32(23)).view(float32))


@_kernel
def rms_norm(x: Numbers, weight: Numbers, epsilon: float, output: Numbers, inverse: Numbers) -> None:
    """y = w · x / √(mean(x²) + ε) for rows as wide as the weight; `inverse` (rows,) is kept for the way back."""
    width = weight.size
    for row in range(inverse.size):
        start = row * width
        squares = float32(0.0)
        for j in range(width):
            value = _get(x, start + j)
            squares += value * value
        inverse[row] = float32(1.0) / math.sqrt(float32(squares / float32(width)) + float32(epsilon))
        for j in range(width):
            _put(output, start + j, _get(x, start + j) * inverse[row] * _get(weight, j))


@_kernel
def rms_norm_backward(gradient: Numbers, x: Numbers, weight: Numbers, inverse: Numbers, output: Numbers) -> None:
    """dx = r (w·dy) − x r³ mean(w·dy·x), with r the inverse kept."""
    width = weight.size
    for row in range(inverse.size):
        start = row * width
        product = float32(0.0)
        for j in range(width):
            product += _get(gradient, start + j) * _get(weight, j) * _get(x, start + j)
        r = inverse[row]
        pull = float32(product / float32(width)) * r * r * r
        for j in range(width):
            _put(output, start + j, _get(gradient, start + j) * _get(weight, j) * r - _get(x, start + j) * pull)


@_kernel
def swiglu(gates: Numbers, values: Numbers, output: Numbers) -> None:
    """y = silu(gate) · value."""
    for i in range(gates.size):
        x = _get(gates, i)
        _put(output, i, x / (float32(1.0) + _exp(-x)) * _get(values, i))


@_kernel
def swiglu_backward(gates: Numbers, values: Numbers, gradient: Numbers, to_gates: Numbers, to_values: Numbers) -> None:
    """The gradients of `swiglu`: d silu(x) = σ (1 + x (1 − σ)) dx."""
    for i in range(gates.size):
        x, g = _get(gates, i), _get(gradient, i)
        sigmoid = float32(1.0) / (float32(1.0) + _exp(-x))
        _put(to_values, i, g * x * sigmoid)
        _put(to_gates, i, g * _get(values, i) * sigmoid * (float32(1.0) + x * (float32(1.0) - sigmoid)))


@_inlined
def _row(x: Numbers, place: int, width: int) -> Any:
    """One row of a flat table of that width."""
    return x[place * width : (place + 1) * width]


@_inlined
def _order(x: Any) -> Any:
    """An integer for a float, in the same order: compilers find a largest integer with vectors, not a largest float."""
    bits = float32(x).view(int32)
    return int32(bits ^ int32(int32(bits >> int32(31)) & int32(0x7FFFFFFF)))


@_inlined
def _largest(row: Numbers) -> Any:
    """The largest of the numbers in a row."""
    largest = int32(-0x7FFFFFFF)
    for j in range(row.size):
        order = _order(_get(row, j))
        largest = order if order > largest else largest
    return int32(largest ^ int32(int32(largest >> int32(31)) & int32(0x7FFFFFFF))).view(float32)


@_kernel
def transpose(weights: Numbers, blocks: NDArray[np.int64], scale: float, output: Numbers) -> None:
    """Transpose each block (first, height, width, whether it is scaled) of flat weights, where it lies."""
    for block in range(blocks.shape[0]):
        start, height, width = uintp(blocks[block, 0]), uintp(blocks[block, 1]), uintp(blocks[block, 2])
        factor = float32(scale) if blocks[block, 3] else float32(1.0)
        for first in range(uintp(0), height, _TILE):
            for j in range(width):
                for i in range(first, min(first + _TILE, height)):
                    _put(output, start + j * height + i, weights[start + i * width + j] * factor)


@_kernel
def cross_entropy(logits: Numbers, targets: NDArray[np.int64], losses: NDArray[np.float32], learn: bool) -> None:
    """Losses of logits (targets, vocabulary) in nats, one a row; with `learn` the logits become their gradient."""
    width = logits.size // targets.size
    kept = np.empty(width, np.float32)
    for place in range(targets.size):
        row, target = _row(logits, place, width), targets[place]
        most = _largest(row)
        total = float32(0.0)
        for j in range(width):
            kept[j] = _exp(_get(row, j) - most)
        for j in range(width):
            total += kept[j]
        losses[place] = math.log(total) + most - _get(row, target)
        if learn:
            part = float32(1.0) / total
            for j in range(width):
                _put(row, j, kept[j] * part)
            _put(row, target, kept[target] * part - float32(1.0))


# Attention segment by segment (`trainer.multi_lora.short_attention`). `segments` (segments, 4): start, stop, start and
# stop of the prefix. Blocks lie one segment after another, each (heads, tokens of the segment, width); those of keys
# and values begin with the prefix: (key heads, tokens seen, width). `rotary` is cos and sin, both (tokens, width), or
# both empty where nothing is to be rotated.

Rotary = tuple[Numbers, Numbers]


@_inlined
def _rope(x: Numbers, at: Any, rotary: Rotary, angle: Any, output: Numbers, to: Any, half: Any) -> None:
    """One head's rotary embedding: (a, b) to (a cos − b sin, b cos + a sin), a and b its halves; or a copy.

    Places are unsigned: what may be negative is looked up number by number, which is no vector instruction.
    """
    cos, sin = rotary
    if cos.size == 0:
        for j in range(half + half):
            output[to + j] = x[at + j]
        return
    for j in range(half):
        a, b = _get(x, at + j), _get(x, at + half + j)
        _put(output, to + j, a * _get(cos, angle + j) - b * _get(sin, angle + j))
    for j in range(half):
        a, b = _get(x, at + j), _get(x, at + half + j)
        _put(output, to + half + j, b * _get(cos, angle + half + j) + a * _get(sin, angle + half + j))


@_inlined
def _rope_backward(x: Numbers, at: Any, rotary: Rotary, angle: Any, output: Numbers, half: Any) -> None:
    """The gradient of `_rope`."""
    cos, sin = rotary
    if cos.size == 0:
        for j in range(half + half):
            _put(output, at + j, x[at + j])
        return
    for j in range(half):
        a, b = _get(x, at + j), _get(x, at + half + j)
        _put(output, at + j, a * _get(cos, angle + j) + b * _get(sin, angle + half + j))
    for j in range(half):
        a, b = _get(x, at + j), _get(x, at + half + j)
        _put(output, at + half + j, b * _get(cos, angle + half + j) - a * _get(sin, angle + j))


@_kernel
def split_heads(
    segments: NDArray[np.int64], x: Numbers, rotary: Rotary, heads: int, width: int, prefixed: bool, blocks: Numbers
) -> None:
    """x (tokens, heads · width) into blocks, rotated; with `prefixed` each begins with what the prefix holds."""
    to, step = uintp(0), uintp(width)
    for s in range(segments.shape[0]):
        start, stop = segments[s, 0], segments[s, 1]
        first, before = segments[s, 2], segments[s, 3] - segments[s, 2] if prefixed else 0
        for head in range(heads):
            for i in range(before + stop - start):
                token = uintp(first + i if i < before else start + i - before)
                at = (token * uintp(heads) + uintp(head)) * step
                _rope(x, at, rotary, token * step, blocks, to, step // uintp(2))
                to += step


@_kernel
def merge_heads(segments: NDArray[np.int64], blocks: Numbers, heads: int, width: int, output: Numbers) -> None:
    """Blocks of queries' shape back to (tokens, heads · width)."""
    at = 0
    for s in range(segments.shape[0]):
        for head in range(heads):
            for token in range(segments[s, 0], segments[s, 1]):
                row, to = _row(blocks, at, width), _row(output, token * heads + head, width)
                for j in range(width):
                    to[j] = row[j]
                at += 1


@_kernel
def causal_softmax(scores: Numbers, heads: int, length: int, seen: int, window: int, scale: float) -> None:
    """Scores (heads, length, seen) to probabilities in place: softmax of scale · score, 0 beyond what a token sees."""
    kept = np.empty(seen, np.float32)
    factor = float32(scale)
    for head in range(heads):
        for i in range(length):
            whole = _row(scores, head * length + i, seen)
            last = seen - length + i + 1
            first = max(0, last - window) if window else 0
            row, values = whole[first:last], kept[first:last]
            most = _largest(row)
            total = float32(0.0)
            for j in range(row.size):
                values[j] = _exp((_get(row, j) - most) * factor)
            for j in range(row.size):
                total += values[j]
            part = float32(1.0) / total
            for j in range(row.size):
                _put(row, j, values[j] * part)
            whole[:first] = 0
            whole[last:] = 0


@_kernel
def split_gradients(
    segments: NDArray[np.int64], gradient: Numbers, output: Numbers, heads: int, width: int, blocks: Numbers
) -> None:
    """dO (tokens, heads · width) into blocks of width + 2: with −⟨do, o⟩, rounded, and what it lost by that."""
    at = 0
    for s in range(segments.shape[0]):
        for head in range(heads):
            for token in range(segments[s, 0], segments[s, 1]):
                row, mixed = _row(gradient, token * heads + head, width), _row(output, token * heads + head, width)
                to = _row(blocks, at, width + 2)
                product = float32(0.0)
                for j in range(width):
                    product += _get(row, j) * _get(mixed, j)
                for j in range(width):
                    to[j] = row[j]
                _put(to, width, -product)
                _put(to, width + 1, -product - _get(to, width))
                at += 1


@_kernel
def causal_softmax_backward(probabilities: Numbers, gradient: Numbers, scale: float) -> None:
    """gradient ← scale · probabilities · gradient, from which ⟨do, o⟩ was subtracted already (`split_gradients`)."""
    factor = float32(scale)
    for i in range(gradient.size):
        _put(gradient, i, _get(probabilities, i) * _get(gradient, i) * factor)


@_kernel
def merge_gradients(
    segments: NDArray[np.int64],
    blocks: Numbers,
    rotary: Rotary,
    heads: int,
    width: int,
    prefixed: bool,
    output: Numbers,
) -> None:
    """Gradients in blocks back to (tokens, heads · width), unrotated; what several segments saw is summed in fp32."""
    at = 0
    sums = np.zeros(output.size, np.float32)
    for s in range(segments.shape[0]):
        start, stop = segments[s, 0], segments[s, 1]
        first, before = segments[s, 2], segments[s, 3] - segments[s, 2] if prefixed else 0
        for head in range(heads):
            for i in range(before + stop - start):
                token = first + i if i < before else start + i - before
                row, to = _row(blocks, at, width), _row(sums, token * heads + head, width)
                for j in range(width):
                    to[j] += _get(row, j)
                at += 1
    step = uintp(width)
    for place in range(sums.size // width):
        angle = uintp(place // heads) * step
        _rope_backward(sums, uintp(place) * step, rotary, angle, output, step // uintp(2))
