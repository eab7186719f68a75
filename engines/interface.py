"""The one interface every engine answers by: text in, text out, with timings.

Implementations: `engines.llamacpp.engine`, `engines.huggingface.engine`, `engines.openai_endpoint`,
`engines.llamacpp.ggml_legacy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, Protocol, TypedDict, runtime_checkable

from results.records import Progress

FinishReason = Literal["stop", "length", "tool_calls", "cancelled", "error"]


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: NotRequired[list[Any]]
    """What an assistant's turn called; for engines that take tools (`engines.demands`)."""
    tool_call_id: NotRequired[str]
    """Which call a tool's turn answers."""
    name: NotRequired[str]
    """Who speaks, or which tool answers; shown by templates that know it."""
    reasoning_content: NotRequired[str]
    """What was thought before an answer; shown by templates that know it."""


TURNS: list[Message] = [{"role": "user", "content": "Say yes."}, {"role": "assistant", "content": "Yes."}]
"""A conversation whose last answer is complete: what self-tests render."""


PROBE = "def add(a, b):\n    "
"""Any text will do: an adapter that changes nothing on one text of code hardly changes anything."""


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters with the same meaning on every engine."""

    max_tokens: int = 256
    """New tokens at most."""
    temperature: float = 0.0
    """0 is greedy: the most likely token, ties to the lowest id. 0 to 2."""
    top_p: float = 1.0
    seed: int | None = None
    """Honoured where the engine can; the completion says if not."""
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these strings."""
    ignore_end: bool = False
    """Go on past the end-of-turn token up to max_tokens: equal output lengths for latency grids."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a streamed answer."""

    text: str
    tokens: int = 1
    """Tokens in this piece."""
    finish_reason: FinishReason | None = None
    """Set on the last piece only."""
    note: str = ""
    """What the reader should know: oldest turns dropped, seed not honoured."""
    chances: tuple[Any, ...] = ()
    """Where they were demanded: `engines.demands.TokenChance` of tokens up to here."""
    calls: tuple[Any, ...] = ()
    """`engines.demands.ToolCall`s, or pieces of them, of a model that was given tools."""


@dataclass(frozen=True)
class Completion:
    """A whole answer."""

    text: str
    prompt_tokens: int
    tokens: int
    finish_reason: FinishReason
    model: str
    """Identity (SHA-256) of the model that answered."""
    sampling: Sampling
    ttft_seconds: float | None = None
    """Submit to first non-empty token. None where batching makes it meaningless."""
    total_seconds: float | None = None
    notes: tuple[str, ...] = field(default=())


class AnswerStream(Protocol):
    """An answer as it is generated, piece by piece; to be iterated once."""

    def __iter__(self) -> Iterator[Chunk]: ...

    def __next__(self) -> Chunk: ...

    def close(self) -> None:
        """Stop the generation."""
        ...


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds a continuation behind its prompt."""

    nats: float
    """Minus the natural logarithm of its probability, over all its tokens."""
    greedy: bool
    """Whether each of its tokens is the likeliest in its place: what greedy decoding would say."""


def boundary(prompt: str, continuations: Sequence[str], lines: bool = True) -> tuple[str, tuple[str, ...]]:
    """(the prompt without white space at its end, the continuations with it): where texts are cut into tokens.

    lines: line ends at the prompt's end are weighed with each continuation too, as lm-eval has it; else spaces alone,
    which tokenizers take for a part of the word behind them.

    A continuation's tokens are those of both together behind as many as the prompt has alone; where a token would
    reach over the boundary, the prompt keeps its own tokens.
    Source: lm-evaluation-harness 0.4.13, `TemplateLM._encode_pair` in lm_eval/api/model.py.
    """
    kept = prompt.rstrip(None if lines else " ") or prompt
    return kept, tuple(prompt[len(kept) :] + text for text in continuations)


@runtime_checkable
class CountedStream(AnswerStream, Protocol):
    """An answer whose engine counts its tokens; those of any other are counted by whoever reads it."""

    @property
    def tokens(self) -> int:
        """Tokens of the answer so far."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, once they are known; 0 before."""
        ...


@runtime_checkable
class QueuedStream(AnswerStream, Protocol):
    """An answer that may have to wait for its engine, and tells."""

    on_wait: Callable[[int], None] | None
    """Called with the place in the queue (1 is next) while it waits."""


class Engine(Protocol):
    """A loaded model, or several sharing a base. Not thread-safe unless it says so."""

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AnswerStream:
        """Answer one conversation as it is generated."""
        ...

    def stream_text(self, prompt: str, sampling: Sampling) -> AnswerStream:
        """Continue one raw prompt (no template) as it is generated."""
        ...

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Continue raw prompts (no template), batched; results in the order of the prompts."""
        ...

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt text that the model's own chat template makes of a conversation, ready for `complete`."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special tokens not added."""
        ...

    def close(self) -> None:
        """Free the memory; afterwards every call raises."""
        ...
