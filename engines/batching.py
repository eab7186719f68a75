"""The batched decode loop: slots refilled as rows finish, several adapters of one base in one batch.

A request waits in a queue; a free slot takes the next one, its prompt is read in one forward, and from then on the row
gets one token a step with all others. Rows end at an end-of-turn token, at a stop string, where the request's own `cut`
says, or at their token limit. When the queue is empty and half of the slots are idle, the batch shrinks.

Requests are taken adapter by adapter, longest prompt first, so that a batch rarely mixes more than two adapters.

Greedy decoding is deterministic for a given list of requests and number of slots. With another batch size the last bits
of the logits move (llama.cpp issue 6828): where the two best tokens were closer than the logits' own resolution the
answer says so (`near_tie`), and from there on another batch may continue otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from engines.adapters import BASE, Routing
from engines.attention import SlotCache, decode_step
from engines.drawing import draw, generator_of
from engines.interface import FinishReason, Sampling

Cut = Callable[[str], int | None]
"""Where an answer is complete: the length to keep of a text, or None to go on. Called when the text has grown."""

FILL_TOKENS = 4096
"""Most prompt tokens, padding included, that one forward reads: bounds the activations' memory."""

WIDTH_STEP = 32
"""Attention reads the cache up to a multiple of this, so shapes change seldom."""


@dataclass(frozen=True)
class Request:
    """One text to continue."""

    ids: tuple[int, ...]
    """Token ids of the prompt, at least one."""
    sampling: Sampling
    adapter: str = BASE
    cut: Cut | None = None


@dataclass(frozen=True)
class Answer:
    """What one request got."""

    text: str
    tokens: int
    """New tokens, the one that ended the row included."""
    finish_reason: FinishReason
    near_tie: int | None
    """The first new token whose lead over the second best was within the arithmetic's resolution; None without one."""
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Text that one request's answer has grown by."""

    text: str
    tokens: int


@dataclass
class _Row:
    """A slot's present request."""

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


class BatchedDecoder:
    """Decodes requests on one model whose layers carry a bank (`engines.adapters.install`). Not thread-safe."""

    def __init__(self, model: Any, tokenizer: Any, routing: Routing, end_ids: frozenset[int], slots: int) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.routing = routing
        self.end_ids = end_ids
        self.slots = slots
        self.device = next(model.parameters()).device

    def run(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield (index of the request, answer) as rows finish. Closing the iterator stops."""
        for index, event in self.events(requests):
            if isinstance(event, Answer):
                yield index, event

    def events(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Piece]]:
        """As `run`, with the pieces of the answers as they grow, never part of a stop string."""
        queue = deque((i, requests[i]) for i in in_order(requests))
        rows: list[_Row | None] = [None] * min(self.slots, max(1, len(queue)))
        cache = SlotCache(len(rows))
        lengths = torch.zeros(len(rows), dtype=torch.int64)
        tokens = torch.zeros(len(rows), dtype=torch.int64)
        while queue or any(rows):
            free = [slot for slot, row in enumerate(rows) if row is None]
            # One prompt alone costs nearly as much as four together: wait for a few slots, never with an idle batch.
            if queue and (len(free) >= max(1, len(rows) // 16) or len(queue) < len(free)):
                yield from self._fill(queue, rows, free, cache, lengths, tokens)
                continue
            if not queue and len(free) * 2 >= len(rows) > 1:
                rows, lengths, tokens = self._shrink(rows, cache, lengths, tokens)
            yield from self._advance(rows, cache, lengths, tokens)

    def _fill(
        self,
        queue: deque[tuple[int, Request]],
        rows: list[_Row | None],
        free: list[int],
        cache: SlotCache,
        lengths: torch.Tensor,
        tokens: torch.Tensor,
    ) -> Iterator[tuple[int, Answer | Piece]]:
        """Read the next prompts, all of one adapter, into free slots and give each its first token."""
        adapter = queue[0][1].adapter
        slots: list[int] = []
        longest = 0
        while queue and queue[0][1].adapter == adapter and len(slots) < len(free):
            longest = max(longest, len(queue[0][1].ids))
            if slots and longest * (len(slots) + 1) > FILL_TOKENS:
                break
            slots.append(free[len(slots)])
            rows[slots[-1]] = _new_row(*queue.popleft())
        filled = [row for slot in slots if (row := rows[slot]) is not None]
        ids = torch.zeros(len(slots), longest, dtype=torch.int64)
        for place, row in enumerate(filled):
            ids[place, : len(row.request.ids)] = torch.tensor(row.request.ids)
        ends = torch.tensor([len(row.request.ids) for row in filled])
        cache.reserve(longest + 1)
        cache.filling = torch.tensor(slots, device=self.device)
        self.routing.set([adapter] * len(slots))
        hidden = self._hidden(ids, torch.arange(longest)[None, :].expand(len(slots), -1), cache)
        cache.filling = None
        logits = self._logits(hidden[torch.arange(len(slots)), ends - 1])
        chosen = self._choose(logits, filled)
        for place, slot in enumerate(slots):
            lengths[slot] = ends[place]
            tokens[slot] = chosen[place]
        yield from self._settle(rows, slots, tokens)

    def _advance(
        self, rows: list[_Row | None], cache: SlotCache, lengths: torch.Tensor, tokens: torch.Tensor
    ) -> Iterator[tuple[int, Answer | Piece]]:
        """One more token for every row."""
        busy = [slot for slot, row in enumerate(rows) if row is not None]
        for slot, row in enumerate(rows):
            if row is None:
                lengths[slot] = 0
        longest = int(lengths.max()) + 1
        cache.reserve(longest)
        width = min(cache.capacity, -(-longest // WIDTH_STEP) * WIDTH_STEP)
        places = lengths.to(self.device)
        cache.step = decode_step(places, width, self.model.dtype)
        self.routing.set([BASE if row is None else row.request.adapter for row in rows])
        hidden = self._hidden(tokens[:, None], lengths[:, None], cache, step=cache.step)
        cache.step = None
        lengths += 1
        chosen = self._choose(self._logits(hidden[:, 0]), rows)
        tokens.copy_(chosen)
        yield from self._settle(rows, busy, tokens)

    @torch.inference_mode()
    def _hidden(self, ids: torch.Tensor, places: torch.Tensor, cache: SlotCache, **step: Any) -> torch.Tensor:
        """ids, places (rows, n) -> last hidden states (rows, n, width)."""
        output = self.model.get_decoder()(
            input_ids=ids.to(self.device),
            position_ids=places.to(self.device),
            past_key_values=cache,
            use_cache=True,
            **step,
        )
        return output.last_hidden_state  # type: ignore[no-any-return]

    @torch.inference_mode()
    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return head_logits(self.model, hidden[:, None])[:, 0]

    @torch.inference_mode()
    def _choose(self, logits: torch.Tensor, rows: Sequence[_Row | None]) -> torch.Tensor:
        """logits (rows, vocabulary) -> token ids (rows,); also notes near ties."""
        for place, row in enumerate(rows):
            if row is not None and row.request.sampling.ignore_end:
                logits[place, list(self.end_ids)] = float("-inf")
        (best, second), (chosen, _) = (pair.unbind(-1) for pair in logits.topk(2))
        for place in (best == second).nonzero()[:, 0].tolist():
            # Ties go to the lowest id; topk returns any of several.
            chosen[place] = (logits[place] == best[place]).nonzero()[0, 0]
        near = (best - second <= best.abs() * torch.finfo(logits.dtype).eps).tolist()
        result = chosen.cpu()
        for place, row in enumerate(rows):
            if row is None:
                continue
            if row.generator is not None:
                result[place] = draw(logits[place], row.request.sampling, row.generator)
            elif near[place] and row.near_tie is None:
                row.near_tie = len(row.ids)
        return result

    def _settle(
        self, rows: list[_Row | None], slots: Sequence[int], tokens: torch.Tensor
    ) -> Iterator[tuple[int, Answer | Piece]]:
        """Take each row's new token; hand out what it added and the rows that it ended."""
        events: list[tuple[int, Answer | Piece]] = []
        for slot in slots:
            row = rows[slot]
            assert row is not None
            answer = self._take(row, int(tokens[slot]))
            events += [(row.index, piece) for piece in _pieces(row, answer)]
            if answer is not None:
                events.append((row.index, answer))
                rows[slot] = None
        yield from events

    def _take(self, row: _Row, token: int) -> Answer | None:
        sampling = row.request.sampling
        row.ids.append(token)
        if token in self.end_ids and not sampling.ignore_end:
            row.ids.pop()
            self._extend(row, last=True)
            keep = _cut(row, row.request)
            return _answer(row, "stop", keep, ended=1)
        full = len(row.ids) >= sampling.max_tokens
        grown = self._extend(row, last=full)
        keep = _cut(row, row.request) if grown else None
        if keep is not None:
            return _answer(row, "stop", keep)
        return _answer(row, "length", None) if full else None

    def _extend(self, row: _Row, last: bool) -> bool:
        """Add the text of tokens not yet shown; half a character waits for its other half."""
        # Decoding needs the token before: some tokenizers drop the space of a first token.
        before = max(0, row.seen - 1)
        known = self.tokenizer.decode(row.ids[before : row.seen], skip_special_tokens=True)
        both = self.tokenizer.decode(row.ids[before:], skip_special_tokens=True)
        if both.endswith("\ufffd") and not last:
            return False
        row.text += both[len(known) :]
        row.seen = len(row.ids)
        return len(both) > len(known)

    def _shrink(
        self, rows: list[_Row | None], cache: SlotCache, lengths: torch.Tensor, tokens: torch.Tensor
    ) -> tuple[list[_Row | None], torch.Tensor, torch.Tensor]:
        busy = [slot for slot, row in enumerate(rows) if row is not None]
        cache.keep(busy)
        return [rows[slot] for slot in busy], lengths[busy], tokens[busy]


def in_order(requests: Sequence[Request]) -> list[int]:
    """Indices of requests in the order in which they are taken: adapter by adapter, longest prompt first."""
    return sorted(range(len(requests)), key=lambda i: (requests[i].adapter, -len(requests[i].ids), i))


def head_logits(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """hidden (rows, n, width) -> logits (rows, n, vocabulary), scaled or capped as the architecture says."""
    logits: torch.Tensor = model.get_output_embeddings()(hidden)
    config = model.config.get_text_config()
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:
        logits = cap * torch.tanh(logits / cap)
    if (scale := getattr(config, "logit_scale", None)) is not None:
        logits = logits * scale
    if (divisor := getattr(config, "logits_scaling", None)) is not None:
        logits = logits / divisor
    return logits


def _pieces(row: _Row, answer: Answer | None) -> list[Piece]:
    """What may be shown by now: all of a finished answer, else all but what could be the start of a stop string."""
    if answer is None:
        held = max((len(stop) - 1 for stop in row.request.sampling.stop), default=0)
        text = row.text[row.shown : len(row.text) - held]
    else:
        text = answer.text[row.shown :]
    if not text:
        return []
    piece = Piece(text, len(row.ids) - row.told)
    row.shown += len(text)
    row.told = len(row.ids)
    return [piece]


def _new_row(index: int, request: Request) -> _Row:
    return _Row(index, request, generator=generator_of(request.sampling))


def _cut(row: _Row, request: Request) -> int | None:
    """Length of the text to keep if it is complete: before the first stop string, or where the request says."""
    ends = [place for stop in request.sampling.stop if (place := row.text.find(stop)) >= 0]
    if request.cut is not None and (own := request.cut(row.text)) is not None:
        ends.append(own)
    return min(ends) if ends else None


def _answer(row: _Row, reason: FinishReason, keep: int | None, ended: int = 0) -> Answer:
    text = row.text if keep is None else row.text[:keep]
    return Answer(text, len(row.ids) + ended, reason, row.near_tie, tuple(row.ids))
