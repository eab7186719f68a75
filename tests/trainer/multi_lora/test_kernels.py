"""The compiled steps between matrix products against torch in fp64."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from trainer.multi_lora import kernels
from trainer.multi_lora.cross_entropy import answer_cross_entropy
from trainer.multi_lora.rms_norm import RMSNorm
from trainer.multi_lora.segments import Segment
from trainer.multi_lora.short_attention import HeadLayout, causal_attention
from trainer.multi_lora.swiglu import SwiGLU

DTYPES = pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape).to(dtype)


def alike(ours: Tensor, exact: Tensor, error: float) -> bool:
    return float(((ours.double() - exact).norm() / exact.norm()).detach()) < error


def mlp_of(width: int, dtype: torch.dtype) -> nn.Module:
    mlp = nn.Module()
    mlp.gate_proj, mlp.up_proj = nn.Linear(width, 70, dtype=dtype), nn.Linear(width, 70, dtype=dtype)
    mlp.down_proj = nn.Linear(70, width, dtype=dtype)
    return mlp


@pytest.mark.slow
@DTYPES
def test_norms_and_gates_are_those_of_torch_both_ways(dtype: torch.dtype, error: float) -> None:
    torch.manual_seed(0)
    x, coming = draw(1, 33, 50, dtype=dtype), draw(1, 33, 50, dtype=dtype)
    norm, mlp = RMSNorm(nn.Parameter(draw(50, dtype=dtype)), 1e-5), mlp_of(50, dtype)
    exact = {name: weight.detach().double() for name, weight in mlp.named_parameters()}

    def exact_mlp(x: Tensor) -> Tensor:
        gate, up = (F.linear(x, exact[f"{name}.weight"], exact[f"{name}.bias"]) for name in ("gate_proj", "up_proj"))
        return F.linear(F.silu(gate) * up, exact["down_proj.weight"], exact["down_proj.bias"])

    for ours, theirs in (
        (norm, lambda x: F.rms_norm(x, (50,), norm.weight.detach().double(), 1e-5)),
        (SwiGLU(mlp), exact_mlp),
    ):
        given, wide = x.clone().requires_grad_(), x.double().requires_grad_()
        output, expected = ours(given), theirs(wide)
        output.backward(coming)
        expected.backward(coming.double())
        assert alike(output, expected, error)
        assert alike(given.grad, wide.grad, error)


@pytest.mark.slow
@DTYPES
@pytest.mark.parametrize("window", [0, 6])
def test_rotated_rows_with_a_common_beginning_attend_as_a_mask_says(
    dtype: torch.dtype, error: float, window: int
) -> None:
    torch.manual_seed(0)
    segments = [Segment(0, 5), Segment(5, 20, (0, 5)), Segment(20, 33, (0, 5)), Segment(33, 50)]
    heads = HeadLayout(segments, query=4, key=2, width=8, scale=8**-0.5, window=window)
    given = [draw(50, count * 8, dtype=dtype).requires_grad_() for count in (4, 2, 2)]
    wide = [each.detach().double().requires_grad_() for each in given]
    angles = torch.arange(50)[:, None] * torch.rand(4).repeat(2)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    q, k, v = (each.view(1, 50, -1, 8).transpose(1, 2) for each in wide)
    q, k = apply_rotary_pos_emb(q, k, cos[None].double(), sin[None].double())
    mask = visible(segments, window)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True).transpose(1, 2).flatten(2)[0]
    output = causal_attention(*given, (cos, sin), heads)
    coming = draw(50, 32, dtype=dtype)
    output.backward(coming)
    expected.backward(coming.double())
    assert alike(output, expected, error)
    for ours, exact in zip(given, wide, strict=True):
        assert alike(ours.grad, exact.grad, error)


def visible(segments: Sequence[Segment], window: int) -> Tensor:
    tokens = segments[-1].stop
    mask = torch.zeros(tokens, tokens, dtype=torch.bool)
    for segment in segments:
        seen = [*range(*segment.prefix), *range(segment.start, segment.stop)]
        for place, token in enumerate(seen):
            if token >= segment.start:
                mask[token, seen[max(0, place + 1 - window) if window else 0 : place + 1]] = True
    return mask


@pytest.mark.slow
@DTYPES
def test_the_loss_of_answers_is_torchs_and_so_is_its_gradient(dtype: torch.dtype, error: float) -> None:
    torch.manual_seed(0)
    hidden, head = draw(300, 16, dtype=dtype).requires_grad_(), nn.Linear(16, 999, dtype=dtype)
    labels = torch.randint(0, 999, (300,)).where(torch.rand(300) < 0.7, torch.tensor(-100))
    weights = torch.rand(300)
    total, losses = answer_cross_entropy(hidden, labels, weights, head)
    total.backward()  # type: ignore[no-untyped-call]
    wide = hidden.detach().double().requires_grad_()
    logits = F.linear(wide, head.weight.detach().double(), head.bias.detach().double())
    exact = F.cross_entropy(logits, labels, reduction="none")
    (exact * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert alike(losses, exact[labels != -100], error)
    assert alike(hidden.grad, wide.grad, error)


@pytest.mark.slow
@DTYPES
@pytest.mark.parametrize("bad", [math.nan, -math.nan, math.inf])
def test_what_is_not_a_number_stays_so(dtype: torch.dtype, error: float, bad: float) -> None:
    """A training that diverges must be seen: compilers may forget about NaN when told to hurry."""
    logits, scores, gates = draw(2, 100, dtype=dtype), draw(1, 40, 40, dtype=dtype), draw(100, dtype=dtype)
    logits[0, 7] = scores[0, 20, 3] = gates[5] = bad
    losses, output = torch.empty(2), torch.empty_like(gates)
    kernels.cross_entropy(logits, torch.tensor([3, 4]), losses, True)
    kernels.causal_softmax(scores, 1, 40, 40, 0, 0.1)
    kernels.swiglu(gates, torch.ones_like(gates), output)
    assert losses.isfinite().tolist() == [False, True]
    assert scores[0, 20:].isfinite()[:, :21].all(1).tolist() == [False] + [True] * 19
    assert not output[5].isfinite()


def test_a_loop_that_sums_stores_nothing() -> None:
    """Else it is vectorized or not by how near in memory what it writes lies: the last bits would be the heap's."""
    tree = ast.parse(Path(kernels.__file__).read_text(encoding="utf-8"))
    loops = [one for one in ast.walk(tree) if isinstance(one, ast.For)]
    innermost = [loop for loop in loops if not any(isinstance(one, ast.For) for one in list(ast.walk(loop))[1:])]
    assert len(innermost) > 15
    for loop in innermost:
        inside = [one for part in loop.body for one in ast.walk(part)]
        sums = any(isinstance(one, ast.AugAssign) and isinstance(one.target, ast.Name) for one in inside)
        stores = any(isinstance(one, ast.Subscript) and isinstance(one.ctx, ast.Store) for one in inside)
        puts = any(isinstance(one, ast.Call) and ast.unparse(one.func) == "_put" for one in inside)
        assert not (sums and (stores or puts)), ast.unparse(loop)
