"""Rows that fork: a prompt, and behind it several continuations that see it and not each other, read in one forward.

A row is [prompt, padded | the continuations' tokens one after another, padded]; each token keeps the position that it
has behind its prompt. What all rows begin with may have been read before (`Beginning`): its keys and values stand
before each row's own.

Not here: which prompts and continuations (`engines.huggingface.likelihoods`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import Cache


@dataclass(frozen=True)
class Fork:
    """Where the continuations of a forward's rows stand."""

    before: int
    """Positions that an earlier forward has read, the same for all rows."""
    prompts: int
    """Columns of the rows' own prompts, padding included."""
    lengths: torch.Tensor
    """(rows,) int64: tokens of each prompt, with those before."""
    owners: torch.Tensor
    """(rows, n) int64: the continuation that a token belongs to; padding has a number of its own for each."""
    places: torch.Tensor
    """(rows, n) int64: the tokens' positions; 0 for padding."""

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """(rows, 1, n, before + prompts + n): 0 where a continuation's token may look, -inf elsewhere.

        It sees its prompt and what stands before it in its own continuation; padding sees itself, or it would be no
        number. window: the last so many positions only.
        """
        columns = torch.arange(self.before + self.prompts, device=self.places.device)
        prompt = (columns[None, :] < self.lengths[:, None])[:, None, :]
        own = (self.owners[:, :, None] == self.owners[:, None, :]) & (
            self.places[:, None, :] <= self.places[:, :, None]
        )
        if window is not None:
            prompt = prompt & (columns[None, None, :] > self.places[:, :, None] - window)
            own = own & (self.places[:, None, :] > self.places[:, :, None] - window)
        seen = torch.cat([prompt.expand(-1, own.shape[1], -1), own], -1)
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))[:, None]


@dataclass
class Beginning:
    """The keys and values of a beginning that many prompts share, each adapter's own."""

    ids: tuple[int, ...]
    adapters: tuple[str, ...]
    keys: list[torch.Tensor] = field(default_factory=list)
    """A layer each: (adapters, groups, positions, d)."""
    values: list[torch.Tensor] = field(default_factory=list)


class BeginningCache(Cache):  # type: ignore[misc]
    """What a forward reads of a beginning, or writes into it: without `rows` it is the beginning that is read."""

    def __init__(self, beginning: Beginning, rows: Sequence[str] | None = None) -> None:
        """rows: the adapter of each row that stands behind the beginning."""
        super().__init__(layers=[])
        self._beginning = beginning
        self._rows = None if rows is None else torch.tensor([beginning.adapters.index(one) for one in rows])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows, groups, n, d) of one layer; what attention reads: the beginning's before them."""
        if self._rows is None:
            self._beginning.keys.append(key_states)
            self._beginning.values.append(value_states)
            return key_states, value_states
        rows = self._rows.to(key_states.device)
        keys, values = self._beginning.keys[layer_idx][rows], self._beginning.values[layer_idx][rows]
        return torch.cat([keys, key_states], 2), torch.cat([values, value_states], 2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Transformers asks; positions are always given, so nothing depends on it."""
        del layer_idx
        return 0
