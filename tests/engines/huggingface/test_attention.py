"""Grouped queries folded into the query axis, and draws of many rows at once: the same as one by one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional

from engines import Sampling
from engines.huggingface.sampling import draw, draw_rows
from engines.huggingface.slot_attention import decode_step, folded, slot_attention_forward


@pytest.mark.parametrize(("rows", "heads", "groups", "width", "head"), [(5, 9, 3, 64, 64), (2, 8, 2, 32, 128)])
def test_folded_queries_attend_as_grouped_ones(rows: int, heads: int, groups: int, width: int, head: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(rows, heads, 1, head)
    key, value = (torch.randn(rows, groups, width + 32, head)[:, :, :width] for _ in "kv")
    step = decode_step(torch.arange(rows) * 5 + 1, width, torch.float32)
    expected = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=step.mask, scale=0.1, enable_gqa=True
    )
    assert (folded(query, key, value, step.mask, 0.1) - expected).abs().max() <= 1e-6
    answer, _ = slot_attention_forward(torch.nn.Module(), query, key, value, None, scaling=0.1, step=step)
    assert (answer.transpose(1, 2) - expected).abs().max() <= 1e-6
    assert (folded(query, key, value, None, 0.1) - expected).abs().max() > 0.01  # the mask matters


def test_a_row_draws_the_same_whatever_its_batch() -> None:
    torch.manual_seed(1)
    logits = 3 * torch.randn(40, 301)
    asked = [Sampling(1, [0.3, 0.8, 1.5][i % 3], [1.0, 0.9, 1e-6, 0.5][i % 4], seed=i) for i in range(len(logits))]
    seeds = [torch.Generator().manual_seed(i) for i in range(len(logits))]
    together = draw_rows(logits, asked, seeds).tolist()
    alone = [draw(logits[i], asked[i], torch.Generator().manual_seed(i)) for i in range(len(logits))]
    assert together == alone
    tiny = [i for i in range(len(logits)) if asked[i].top_p == 1e-6]
    assert [together[i] for i in tiny] == logits[tiny].argmax(-1).tolist()
    assert len(set(together)) > 10
