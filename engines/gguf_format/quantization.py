"""Weights between float32 and GGUF's types, by llama.cpp's own functions where its library shows them.

The official `gguf` package has the same conversions in NumPy: the same numbers for two to eight times the work, and
more for K-quants. llama.cpp's are called in the library that answers here (`xllamacpp`); a build that hides them, or
has none on this machine, leaves the package's. Both let go of the interpreter, so blocks are converted on several
threads.

Not here: which tensor gets which type (`engines.gguf_format.writer`).
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.gguf_format.architectures import Array

if TYPE_CHECKING:
    import torch

OURS_TO_WRITE = ("Q8_0", "Q4_0")
"""Types that are quantized by llama.cpp's function; floats are rounded by NumPy."""


def quantized(rows: Array, kind: str) -> Array:
    """Rows (n, width) of float32 as a type of GGUF, named as the package names it -> (n, bytes of a row), uint8.

    float16 for F16, float32 for F32.
    """
    import gguf
    from gguf.quants import quantize

    rows = np.ascontiguousarray(rows, np.float32)
    library = _library()
    if library is None or kind not in OURS_TO_WRITE or rows.ndim != 2:
        return np.asarray(quantize(rows, gguf.GGMLQuantizationType[kind]))
    type_ = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[type_]
    stored = np.empty((len(rows), rows.shape[1] // block * size), np.uint8)
    library.ggml_quantize_chunk(int(type_), rows.ctypes.data, stored.ctypes.data, 0, *rows.shape, None)
    return stored


def dequantized(stored: Array, kind: int) -> Array:
    """Rows (n, bytes of a row), uint8, of GGUF's type of that number -> (n, width), float32, the caller's own."""
    import gguf
    from gguf.quants import dequantize

    type_ = gguf.GGMLQuantizationType(kind)
    function = _dequantizer(type_.name)
    if function is None:
        own = type_ != gguf.GGMLQuantizationType.F32  # which the package shows where it lies
        return np.asarray(dequantize(stored, type_)).astype(np.float32, copy=not own)
    stored = np.ascontiguousarray(stored)
    block, size = gguf.GGML_QUANT_SIZES[type_]
    rows = np.empty((len(stored), stored.shape[1] // size * block), np.float32)
    function(stored.ctypes.data, rows.ctypes.data, rows.size)
    return rows


def widened(weights: torch.Tensor) -> Array:
    """A tensor of bf16, fp16 or fp32 as float32; the array is the caller's own."""
    import torch

    library = _library()
    if library is None or weights.dtype != torch.bfloat16:
        return np.array(weights.float().numpy(), np.float32)
    weights = weights.contiguous()
    rows = np.empty(tuple(weights.shape), np.float32)
    library.ggml_bf16_to_fp32_row(weights.data_ptr(), rows.ctypes.data, rows.size)
    return rows


@lru_cache(maxsize=1)
def _library() -> Any:
    """llama.cpp's library with the types of what is called in it; None where it does not show all of that."""
    found = importlib.util.find_spec("xllamacpp")
    folders = list(found.submodule_search_locations or ()) if found else []
    for file in (file for folder in folders for file in sorted(Path(folder).glob("xllamacpp*.so"))):
        try:
            library = ctypes.CDLL(str(file))
            library.ggml_quantize_chunk.restype = ctypes.c_size_t
            library.ggml_quantize_chunk.argtypes = [
                ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p,
            ]  # fmt: skip
            _typed(library.ggml_bf16_to_fp32_row)
        except (OSError, AttributeError):
            continue
        return library
    return None


@lru_cache
def _dequantizer(kind: str) -> Callable[[int, int, int], None] | None:
    """llama.cpp's function for a block type, e.g. Q4_K; None for floats, and where the library does not show it."""
    name = f"dequantize_row_{kind[:-2].lower()}{kind[-2:] if kind.endswith('_K') else kind[-2:].lower()}"
    found: Callable[[int, int, int], None] | None = _typed(getattr(_library(), name, None))
    return found


def _typed(function: Any) -> Any:
    """A function (from, to, how many numbers) of the library."""
    if function is not None:
        function.restype = None
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    return function
