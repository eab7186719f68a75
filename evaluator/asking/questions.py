"""A task put to a model, and its answer taken from a stream as far as it is wanted.

Not here: who is asked and through which engine (`evaluator.asking.backends`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Protocol

from engines import AnswerStream, CountedStream, Generated, Message, Sampling
from results import Model

End = Callable[[str], int | None]
"""Where an answer is over: its length to keep, or None."""


@dataclass(frozen=True)
class Question:
    """One prompt for one model."""

    model: Model
    text: str
    """What is continued as it is; with `turns`, what they ask in one text."""
    turns: tuple[Message, ...]
    """The conversation; empty where `text` is continued as it is."""
    sampling: Sampling
    end: End | None = None
    """None: where the model ends it."""
    item: str = ""
    """What it is called, where the caller needs a name."""
    continuations: tuple[str, ...] = ()
    """Texts that are weighed behind the prompt: then nothing is generated, and the answer says how likely each is."""
    schema: Mapping[str, Any] | None = None
    """The JSON schema of its answer, for engines that hold a model to one; the others are asked in words alone."""


class Asked(Protocol):
    """Loaded or connected models."""

    def check(self, model: Model) -> None:
        """The self-test. Raises IdentityFailed."""
        ...

    def prompt(self, question: Question) -> str:
        """The text that the model is given, for the record."""
        ...

    def answers(self, questions: Sequence[Question], slots: int | None) -> Iterator[tuple[int, Generated]]:
        """(place of the question, answer), as they are complete. Raises EngineError and its kinds.

        `finish_reason` "error": this one cannot be answered by the engine, and the text says why.
        """
        ...


def at_once(count: int, answer: Callable[[int], Generated], threads: int) -> Iterator[tuple[int, Generated]]:
    """(place, answer) of every place below `count`, so many at a time, as they are complete. Raises what one raises."""
    with ThreadPoolExecutor(max(1, min(threads, count))) as pool:
        futures = {pool.submit(answer, place): place for place in range(count)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def until_the_end(chunks: AnswerStream, end: End | None) -> Generated:
    """The answer of a stream, closed where it is over: what would still come is neither waited nor paid for.

    Tokens are the engine's own count where it gives one, else the pieces of the stream.
    """
    text, tokens, finish = "", 0, None
    try:
        for chunk in chunks:
            text, tokens, finish = text + chunk.text, tokens + chunk.tokens, chunk.finish_reason or finish
            kept = end(text) if end is not None else None
            if kept is not None:
                return Generated(text[:kept], tokens, "stop", None)
    finally:
        chunks.close()
    counted = chunks.tokens if isinstance(chunks, CountedStream) else 0
    return Generated(text, counted or tokens, finish or "stop", None)
