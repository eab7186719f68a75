"""How many rows and tokens fit beside the weights: slots, keys and values, passes of `token_losses`.

On a CPU the figures are fixed, so that the same requests meet in the same batches at every run. A GPU's memory is all
there is and nobody else's, so there they follow what is free when the work begins; where an estimate was too high,
`engines.huggingface.decoders` halves it.
"""

from __future__ import annotations

from typing import Any

from engines.hardware.devices import Device, free_bytes

SLOTS = 64
"""Rows decoded together. Weights are read once a step for all rows; beyond this the cache's own traffic takes over."""

GPU_SLOTS = 256
"""The same on a GPU, whose memory is some ten times faster."""

CACHE_BYTES = 3 << 30
"""Most memory for keys and values on a CPU; large models get fewer slots."""

GPU_SHARE = 0.8
"""The share of what is free on a GPU that decoding may take: the allocator's cuts and the driver need some."""

LOSS_TOKENS = 8192
"""Most tokens, padding included, of one forward of `token_losses` on a CPU."""

GPU_LOSS_TOKENS = (2048, 65_536)
"""Least and most of the same on a GPU; beyond, a pass is no faster."""

LOGIT_BYTES = 28
"""A row's bytes per word of the vocabulary while its token is drawn: logits, probabilities, order and sums."""


class Room:
    """What fits on one device beside one loaded model."""

    def __init__(self, model: Any, device: Device) -> None:
        self.device = device
        config = model.config.get_text_config()
        self._itemsize = int(model.dtype.itemsize)
        self._layers = int(config.num_hidden_layers)
        self._heads = int(config.num_attention_heads)
        self._groups = int(getattr(config, "num_key_value_heads", None) or self._heads)
        self._head = int(getattr(config, "head_dim", None) or config.hidden_size // self._heads)
        self._hidden = int(config.hidden_size)
        self._inner = int(getattr(config, "intermediate_size", None) or 4 * self._hidden)
        self._vocabulary = int(config.vocab_size)

    @property
    def cache_bytes(self) -> int:
        """Bytes of keys and values per token."""
        return 2 * self._layers * self._groups * self._head * self._itemsize

    def slots(self, longest: int, wanted: int | None = None, beside: int = 0) -> int:
        """Rows that fit at once if each may reach `longest` tokens; at most `wanted`, where that is given.

        beside: tokens whose keys and values are kept beside those of the rows.
        """
        if not self.device.is_cuda:
            left = CACHE_BYTES // self.cache_bytes - beside
            return max(1, min(wanted or SLOTS, left // longest))
        # Keys and values are copied when they grow; attention without a flash kernel copies a layer's for every head.
        cache = 1.5 * self.cache_bytes + 2 * (self._heads + self._groups) * self._head * self._itemsize
        row = cache * longest + LOGIT_BYTES * self._vocabulary
        free = GPU_SHARE * free_bytes(self.device) - beside * self.cache_bytes
        return max(1, min(wanted or GPU_SLOTS, int(free / row)))

    def loss_tokens(self) -> int:
        """Tokens of one forward that keeps no keys and values."""
        if not self.device.is_cuda:
            return LOSS_TOKENS
        least, most = GPU_LOSS_TOKENS
        token = (12 * self._hidden + 3 * self._inner) * self._itemsize
        return max(least, min(most, int(GPU_SHARE / 2 * free_bytes(self.device) / token)))
