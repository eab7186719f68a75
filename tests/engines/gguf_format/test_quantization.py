"""llama.cpp's conversions give what the official `gguf` package's give: equal numbers, read back without rounding."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import dequantize, quantize
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engines.gguf_format.quantization import _dequantizer, _library, dequantized, quantized, widened

READ = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
        "IQ4_XS", "IQ2_XXS", "IQ3_S", "TQ1_0")  # fmt: skip

FINITE = st.floats(-65504, 65504, width=32)


def test_the_library_that_answers_here_shows_its_conversions() -> None:
    """Else the tests below would compare the package with itself."""
    assert _library() is not None
    assert all(_dequantizer(kind) for kind in ("Q8_0", "Q4_0", "Q4_K", "Q6_K"))


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0", "Q4_0"])
@given(rows=arrays(np.float32, st.tuples(st.integers(1, 3), st.sampled_from([32, 64])), elements=FINITE))
def test_rows_are_quantized_as_the_package_does(kind: str, rows: np.ndarray) -> None:
    type_ = gguf.GGMLQuantizationType[kind]
    with np.errstate(all="ignore"):
        wanted = dequantize(quantize(rows, type_), type_)
        found = dequantize(quantized(rows, kind), type_)
    np.testing.assert_array_equal(found, wanted)  # -0 is 0: of a block of zeros the scale's sign is no number's


@pytest.mark.parametrize("kind", READ)
def test_blocks_of_every_type_are_read_as_the_package_does(kind: str) -> None:
    type_ = gguf.GGMLQuantizationType[kind]
    width = gguf.GGML_QUANT_SIZES[type_][1] * 4
    stored = np.random.default_rng(0).integers(0, 256, (64, width), dtype=np.uint8)
    with np.errstate(all="ignore"):
        wanted = np.asarray(dequantize(stored, type_), np.float32)
        found = dequantized(stored, int(type_))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_weights_are_widened_without_loss_into_memory_of_their_own(dtype: torch.dtype) -> None:
    weights = torch.randn(8, 6).to(dtype)
    rows = widened(weights.T)
    np.testing.assert_array_equal(rows, weights.T.float().numpy())
    rows[:] = 0
    assert weights.abs().sum() > 0
