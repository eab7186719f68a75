"""One row of a batch: what is asked, the tokens so far, the text that they make, and where the answer ends.

The decoders (`engines.huggingface.batching`, `engines.huggingface.paged`) share it, so an answer ends at the same place
whichever made its tokens: at an end-of-turn token, at a stop string, where the request's own `cut` says, or at its
token limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from engines.interface import FinishReason, Likelihood, Sampling

if TYPE_CHECKING:
    import torch

BASE = ""
"""The adapter name of a row without one."""

Cut = Callable[[str], int | None]
"""Where an answer is complete: the length to keep of a text, or None to go on. Called when the text has grown."""


class Tokenizer(Protocol):
    """What an answer needs of transformers' tokenizers."""

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """The text of these tokens."""
        ...


@dataclass(frozen=True)
class Request:
    """One text to continue."""

    ids: tuple[int, ...]
    """Token ids of the prompt, at least one."""
    sampling: Sampling
    adapter: str = BASE
    cut: Cut | None = None


@dataclass(frozen=True)
class Generated:
    """What one request got."""

    text: str
    tokens: int
    """New tokens, the one that ended the row included."""
    finish_reason: FinishReason
    near_tie: int | None
    """The first new token whose lead over the second best was within the arithmetic's resolution; None without one."""
    ids: tuple[int, ...] = ()
    weighed: tuple[Likelihood, ...] = ()
    """How likely each continuation is that was asked about; nothing is generated then."""


@dataclass(frozen=True)
class Piece:
    """Text that one request's answer has grown by."""

    text: str
    tokens: int


@dataclass
class Row:
    """A request that is being answered."""

    index: int
    request: Request
    ids: list[int] = field(default_factory=list)
    text: str = ""
    seen: int = 0
    """Tokens whose text is final in `text`."""
    shown: int = 0
    """Characters handed out as pieces."""
    told: int = 0
    """Tokens handed out as pieces."""
    near_tie: int | None = None
    generator: torch.Generator | None = None

    @classmethod
    def of(cls, index: int, request: Request) -> Row:
        """A row before its first token, with the random numbers of its seed."""
        from engines.huggingface.sampling import generator_of  # torch's: what only asks others needs none

        return cls(index, request, generator=generator_of(request.sampling))

    def take(self, token: int, tokenizer: Tokenizer, end_ids: frozenset[int]) -> Generated | None:
        """Add a token; the answer if that completes it."""
        sampling = self.request.sampling
        self.ids.append(token)
        if token in end_ids and not sampling.ignore_end:
            self.ids.pop()
            self._extend(tokenizer, last=True)
            return self._answer("stop", self._cut(), ended=1)
        full = len(self.ids) >= sampling.max_tokens
        grown = self._extend(tokenizer, last=full)
        keep = self._cut() if grown else None
        if keep is not None:
            return self._answer("stop", keep)
        return self._answer("length", None) if full else None

    def pieces(self, answer: Generated | None) -> list[Piece]:
        """What may be shown by now: all of a finished answer, else all but what could be the start of a stop string."""
        if answer is None:
            held = max((len(stop) - 1 for stop in self.request.sampling.stop), default=0)
            text = self.text[self.shown : len(self.text) - held]
        else:
            text = answer.text[self.shown :]
        if not text:
            return []
        piece = Piece(text, len(self.ids) - self.told)
        self.shown += len(text)
        self.told = len(self.ids)
        return [piece]

    def _extend(self, tokenizer: Tokenizer, last: bool) -> bool:
        """Add the text of tokens not yet shown; half a character waits for its other half."""
        # Decoding needs the token before: some tokenizers drop the space of a first token.
        before = max(0, self.seen - 1)
        known = tokenizer.decode(self.ids[before : self.seen], skip_special_tokens=True)
        both = tokenizer.decode(self.ids[before:], skip_special_tokens=True)
        if both.endswith("\ufffd") and not last:
            return False
        self.text += both[len(known) :]
        self.seen = len(self.ids)
        return len(both) > len(known)

    def _cut(self) -> int | None:
        """Length of the text to keep if it is complete: before the first stop string, or where the request says."""
        ends = [place for stop in self.request.sampling.stop if (place := self.text.find(stop)) >= 0]
        if self.request.cut is not None and (own := self.request.cut(self.text)) is not None:
            ends.append(own)
        return min(ends) if ends else None

    def _answer(self, reason: FinishReason, keep: int | None, ended: int = 0) -> Generated:
        text = self.text if keep is None else self.text[:keep]
        return Generated(text, len(self.ids) + ended, reason, self.near_tie, tuple(self.ids))


def common_beginning(texts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The token ids that all texts begin with."""
    first, last = min(texts), max(texts)  # what these two share, all between them share
    length = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None)
    return first[: min(len(first), len(last)) if length is None else length]


LEAST_BEGINNING = 16
"""Tokens that texts must share for these to be read by themselves."""


def shared_beginning(texts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """What several texts all begin with, where it is long enough to be read by itself, once for all; else nothing."""
    shared = common_beginning(texts) if len(texts) > 1 else ()
    return shared if len(shared) >= LEAST_BEGINNING else ()


def prompt_beginnings(requests: Sequence[Request]) -> dict[str, tuple[int, ...]]:
    """Adapter → what its prompts all begin with (`shared_beginning`); a token of each is left to be read behind it."""
    prompts: dict[str, list[tuple[int, ...]]] = {}
    for request in requests:
        prompts.setdefault(request.adapter, []).append(request.ids)
    return {
        adapter: shared_beginning([ids[: min(map(len, own)) - 1] for ids in own]) for adapter, own in prompts.items()
    }


def in_order(requests: Sequence[Request]) -> list[int]:
    """Indices of requests in the order in which they are taken: adapter by adapter, longest prompt first."""
    return sorted(range(len(requests)), key=lambda i: (requests[i].adapter, -len(requests[i].ids), i))
