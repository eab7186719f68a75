"""Tokenised rows: one example, and a whole data set ready to train on. They are made by `trainer.data.pipeline`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from results.records import Json
from trainer.sources.conversations import Conversation


@dataclass(frozen=True)
class Example:
    """One tokenised conversation. `len(input_ids) == len(labels) <= max_length`."""

    input_ids: list[int]
    labels: list[int]
    """The token itself where it is trained on (answers and their end-of-turn), else -100."""
    answer_bytes: int
    """UTF-8 bytes of the trained text, end-of-turn tokens not counted: the denominator of bits per byte."""
    row: int
    """Index of its conversation in the part's `Conversation`s: `prepared.train_rows[example.row]`."""


@dataclass(frozen=True)
class PreparedData:
    """A data set ready to train on, the same for every variant of one base."""

    train: tuple[Example, ...]
    """The rows in the order of the mix, shuffled by `data.seed`; epochs shuffle again with the run's seed."""
    validation: tuple[Example, ...]
    train_rows: Sequence[Conversation]
    """`train[i]` is made of `train_rows[i]`."""
    validation_rows: Sequence[Conversation]
    identity: str
    """SHA-256 over every token id and label of both parts, in order: what a resumed run must find again."""
    report: Json = field(default_factory=dict)
    """read, kept, bad rows by reason with examples, what each filter removed, contamination, truncation, tokens."""

    @property
    def train_tokens(self) -> int:
        """Tokens of the training part, prompts included."""
        return sum(len(example.input_ids) for example in self.train)
