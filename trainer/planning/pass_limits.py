"""What the CPU's shared loop holds at a time: `trainer.multi_lora` keeps to it, and plans foretell memory by it."""

from __future__ import annotations

PASS_TOKENS = 1024
"""Tokens a forward and backward pass holds activations for, about 0.5 MB each for a 135M model. From a few hundred
tokens on, a CPU's matrix units are full, so larger passes cost memory and bring nothing. Where more than two passes are
computed at the same time, they hold together what two would."""

LEAST_TOKENS = 256
"""Tokens that a core's passes may hold, however many cores there are."""

SHORT_ROW_TOKENS = 512
"""Tokens up to which rows on a CPU are attended by plain matrix products, which keep the probabilities for the
backward pass (2 bytes a head and pair of tokens). Backward of a bf16 row of 214 tokens, 9 heads, 2 AMX cores: 1.0 ms,
torch's flash kernel 8 ms."""

LOSS_PIECE_TOKENS = 128
"""Positions a piece: 128 × 49,152 fp32 logits are 25 MB."""

TRANSPOSED_BYTES = 2**29
"""Frozen weights up to this size are kept a second time, transposed: on a CPU whose matrix unit takes bf16 the
product x Wᵀ takes 1.2 to 1.3 times as long as the same product with Wᵀ as it is read (566 tokens, 576 × 1,536)."""


def tokens_of_a_pass(at_once: int, alone: int = PASS_TOKENS) -> int:
    """Tokens that a pass may hold where so many are computed at the same time, and where it is alone."""
    return min(alone, max(LEAST_TOKENS, 2 * alone // max(1, at_once)))
