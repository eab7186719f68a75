"""One row of training data, whatever its file looked like: a conversation.

Reading sources is in `trainer.sources.reading`, recognising formats in `trainer.sources.formats`, tokenising in
`trainer.data.chat_masks`.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Required, TypedDict

from results.records import Json, digest


class Turn(TypedDict, total=False):
    """One turn. Plain ones have role and content alone; the other keys are there only where the row has them."""

    role: Required[Literal["system", "user", "assistant", "tool"]]
    content: Required[str]
    """Empty beside tool calls."""
    reasoning_content: str
    """What the model thinks before it answers; templates that know it write it where it belongs."""
    tool_calls: list[Json]
    """[{"type": "function", "function": {"name": …, "arguments": {…}}}], as chat templates take them."""
    tool_call_id: str
    name: str
    """The name of the tool that answers."""
    train: bool
    """False: an answer that is read and not learned. Absent: learned."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns of system, user, assistant and tools; assistant turns are trained on unless they say `train: False`."""

    messages: tuple[Turn, ...]
    source: str
    """Name of the data source, as the experiment file has it."""
    row: int
    """0-based row number in the source, bad and filtered rows counted: names the row to a person."""
    extra: Json = field(default_factory=dict)
    """Columns that filters use: score, language, source of a mixed set."""
    tools: tuple[Json, ...] = ()
    """Functions that the model may call: [{"type": "function", "function": {"name": …, "parameters": …}}]."""

    @property
    def prompt(self) -> str:
        """The first user turn's text; what the split into training and validation goes by."""
        return next((message["content"] for message in self.messages if message["role"] == "user"), "")

    @property
    def answers(self) -> tuple[str, ...]:
        """Texts of the assistant turns that are trained, with what they think and call."""
        if len(self.messages) == 2 and self.messages[0]["role"] == "user":  # most rows: one question, one answer
            answer = self.messages[1]
            if len(answer) == 2 and answer["role"] == "assistant":
                return (answer["content"],)
        return tuple(
            [
                message["content"] if len(message) == 2 else turn_text(message)
                for message in self.messages
                if message["role"] == "assistant" and message.get("train", True)
            ]
        )

    @property
    def text(self) -> str:
        """All turns but the system's: what overlap and near-duplicates are measured on."""
        return " ".join(turn_text(message) for message in self.messages if message["role"] != "system")

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for rows of one identity, and for no others: what exact duplicates are found by, without a digest."""
        if self.tools or max(map(len, self.messages)) > 2:
            return ("", self.identity)
        return tuple([text for message in self.messages for text in (message["role"], message["content"])])

    @property
    def identity(self) -> str:
        """SHA-256 of the turns and tools alone: two rows with one identity are exact duplicates."""
        turns: list[Any] = [_identifying(message) for message in self.messages]
        return digest([*turns, {"tools": self.tools}] if self.tools else turns)


@dataclass(frozen=True)
class Reading:
    """Conversations of all sources, mixed, with the report of what was read and what was not usable."""

    rows: Sequence[Conversation]
    """Many of them lie on the disk, and each is made anew when it is asked for (`trainer.sources.shelf`)."""
    report: dict[str, Any]


def turn_text(turn: Turn) -> str:
    """Return what a turn says: its thought, its content, its calls as JSON."""
    if "reasoning_content" not in turn and "tool_calls" not in turn:
        return turn["content"]
    calls = (json.dumps(call["function"], ensure_ascii=False) for call in turn.get("tool_calls", ()))
    return "\n".join(part for part in (turn.get("reasoning_content", ""), turn["content"], *calls) if part)


def _identifying(turn: Turn) -> list[Any]:
    """Role and content, and what else a turn has: plain rows keep the identity that they always had."""
    more = {key: value for key, value in turn.items() if key not in ("role", "content")}
    return [turn["role"], turn["content"], *([more] if more else [])]


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the cycle collector off: rows have no cycles, and looking for some while a million are made takes a fifth
    of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
