"""One row of training data, whatever its file looked like: a conversation.

Reading sources is in `trainer.sources`, recognising formats in `trainer.formats`, tokenising in `trainer.masks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engines import Message
from results.records import Json, digest


@dataclass(frozen=True)
class Conversation:
    """Turns of system, user and assistant; every assistant turn is trained on."""

    messages: tuple[Message, ...]
    source: str
    """Name of the data source, as the experiment file has it."""
    row: int
    """0-based row number in the source, bad and filtered rows counted: names the row to a person."""
    extra: Json = field(default_factory=dict)
    """Columns that filters use: score, language, source of a mixed set."""

    @property
    def prompt(self) -> str:
        """The first user turn's text; what the split into training and validation goes by."""
        return next((message["content"] for message in self.messages if message["role"] == "user"), "")

    @property
    def answers(self) -> tuple[str, ...]:
        """Texts of the assistant turns."""
        return tuple(message["content"] for message in self.messages if message["role"] == "assistant")

    @property
    def identity(self) -> str:
        """SHA-256 of the turns alone: two rows with one identity are exact duplicates."""
        return digest([[message["role"], message["content"]] for message in self.messages])
