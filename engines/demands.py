"""What a request may ask of an answer beyond its sampling: a form, tools, probabilities, a bias.

Not every engine can do all of it. One that can is a `DemandingEngine`; for any other the server refuses by name what
was asked, and nothing is ever left out in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NotRequired, Protocol, TypedDict, runtime_checkable

from engines.interface import AnswerStream, Message, Sampling


class Function(TypedDict):
    """A function that a model called."""

    name: str
    arguments: str
    """A JSON object."""


class ToolCall(TypedDict):
    """One call, as the protocol has it; in a streamed answer with its place among the calls."""

    id: str
    type: str
    function: Function
    index: NotRequired[int]


class TokenChance(TypedDict):
    """A token of an answer and its log-probability (nats), before temperature and top-p."""

    token: str
    bytes: list[int] | None
    logprob: float
    top_logprobs: NotRequired[list[TokenChance]]
    """The likeliest tokens in its place, likeliest first."""


@dataclass(frozen=True)
class Demands:
    """What is asked beyond sampling. Each field's default asks for nothing."""

    schema: Mapping[str, Any] | None = None
    """A JSON schema that the answer must match."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Functions that the model may call, as the protocol has them."""
    tool_choice: str = "auto"
    """"auto": the model decides; "required": one of them is called; else the name of the one that is called."""
    parallel: bool = True
    """Whether the model may call several tools in one answer."""
    logprobs: int | None = None
    """Log-probabilities of the answer's tokens, beside each so many of the likeliest; None: no log-probabilities."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """What is added to the logits of these token ids."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0

    def names(self, messages: Sequence[Mapping[str, Any]] = ()) -> list[str]:
        """What is asked, by the names of the protocol's parameters; the turns of tools among `messages` too."""
        asked = {
            "response_format": self.schema is not None, "tools": bool(self.tools),
            "messages of tools": any(one["role"] == "tool" or one.get("tool_calls") for one in messages),
            "logprobs": self.logprobs is not None, "logit_bias": bool(self.logit_bias),
            "presence_penalty": self.presence_penalty != 0, "frequency_penalty": self.frequency_penalty != 0,
        }  # fmt: skip
        return [name for name, wanted in asked.items() if wanted]


@runtime_checkable
class DemandingEngine(Protocol):
    """An engine that can do more than sample."""

    def answer(self, asked: Sequence[Message] | str, sampling: Sampling, demands: Demands) -> AnswerStream:
        """Answer a conversation, or continue a raw prompt, as demanded. Raises: EngineError, naming what it cannot."""
        ...


@runtime_checkable
class TokenizingEngine(Protocol):
    """An engine that tells its tokens."""

    def token_ids(self, text: str, add_special: bool = False, parse_special: bool = True) -> list[int]:
        """Token ids of a text; `add_special`: with those that begin a prompt; `parse_special`: special ones by name."""
        ...

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of these token ids, special ones by their names. Raises: EngineError if there is none of an id."""
        ...
