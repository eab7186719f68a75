"""Validation's own batches: nothing is kept for a way back, so many more rows fit a pass than in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MOST_TOKENS = 16384
"""The most tokens of a pass, padding included: beyond it a GPU gains nothing more by size."""

LEAST_TOKENS = 1024

FREE_SHARE = 0.5
"""The share of the free memory that a pass may take; the allocator and the head's tiles need the rest."""


def tokens_of_a_pass(free_bytes: int, config: Any, bytes_a_value: int) -> int:
    """Tokens, padding included, of one validation pass of a model with this transformers config."""
    hidden = int(getattr(config, "hidden_size", 4096))
    intermediate = int(getattr(config, "intermediate_size", 4 * hidden))
    # The widest moment of a layer: residual, norm, query, key, value and output, or the gated products.
    a_token = (8 * hidden + 3 * intermediate) * bytes_a_value + 4 * hidden
    return max(LEAST_TOKENS, min(MOST_TOKENS, int(free_bytes * FREE_SHARE) // a_token))


def batches(lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Row indices, the longest rows first, in batches of at most so many tokens with padding; a single row may be
    longer."""
    found: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if found and lengths[found[-1][0]] * (len(found[-1]) + 1) <= most_tokens:
            found[-1].append(row)
        else:
            found.append([row])
    return found
