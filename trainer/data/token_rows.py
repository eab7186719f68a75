"""Examples as tensors: what every training loop reads, tokenised once for all variants of a base."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trainer.data.examples import Example


class Rows:
    """Examples as flat tensors: token ids, and the label of the next token at each position."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.lengths = [len(example.input_ids) for example in examples]
        self.ids = [torch.tensor(example.input_ids) for example in examples]
        self.labels = [torch.tensor([*example.labels[1:], -100]) for example in examples]
        self.trained = [int((labels != -100).sum()) for labels in self.labels]
        """Answer tokens of each row."""
        self.answer_bytes = [example.answer_bytes for example in examples]
        self._answer_starts = [int((labels != -100).int().argmax()) for labels in self.labels]

    def common_start(self, members: Sequence[int]) -> int:
        """Tokens that several rows all begin with and none is trained on; 0 for a single row."""
        first, *others = members
        if not others:
            return 0
        shared = min(self._answer_starts[row] for row in members)
        for row in others:
            differs = (self.ids[first][:shared] != self.ids[row][:shared]).nonzero()
            shared = int(differs[0]) if len(differs) else shared
        return shared
