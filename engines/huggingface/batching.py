"""The batched decode loop: slots refilled as rows finish, several adapters of one base in one batch.

A request waits in a queue; a free slot takes the next one, its prompt is read in one forward, and from then on the row
gets one token a step with all others. Rows end at an end-of-turn token, at a stop string, where the request's own `cut`
says, or at their token limit. When the queue is empty and half of the slots are idle, the batch shrinks.

What all prompts of an adapter begin with (a system turn, examples) is read once and copied into each row's slot.
Requests are taken adapter by adapter, longest prompt first, so that a batch rarely mixes more than two adapters.

Greedy decoding is deterministic for a given list of requests and number of slots. With another batch size the last bits
of the logits move (llama.cpp issue 6828): where the two best tokens were closer than the logits' own resolution the
answer says so (`near_tie`), and from there on another batch may continue otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engines.huggingface.forks import Beginning
from engines.huggingface.lora_bank import RowAdapters
from engines.huggingface.requests import (
    BASE,
    Generated,
    Piece,
    Request,
    Row,
    Tokenizer,
    in_order,
    prompt_beginnings,
)
from engines.huggingface.sampling import draw_rows
from engines.huggingface.slot_attention import SlotCache, decode_step

FILL_TOKENS = 4096
"""Most prompt tokens, padding included, that one forward reads: bounds the activations' memory."""

STRETCH_TOKENS = 512
"""Most tokens of one prompt that one forward reads: between two of them whoever asked may stop."""

WIDTH_STEP = 32
"""Attention reads the cache up to a multiple of this, so shapes change seldom."""


class _Waiting:
    """Requests in the order in which they are taken, and what those of an adapter all begin with."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.queue = deque((i, requests[i]) for i in in_order(requests))
        self.beginnings = prompt_beginnings(requests)
        self.read: Beginning | None = None
        """The beginning that was read last: requests come adapter by adapter."""

    def taken(self, rows: list[Row | None], free: Sequence[int]) -> list[int]:
        """The slots that the next requests, all of one adapter, now have: as many as one forward reads."""
        adapter = self.queue[0][1].adapter
        before = len(self.beginnings[adapter])
        slots: list[int] = []
        longest = 0
        while self.queue and self.queue[0][1].adapter == adapter and len(slots) < len(free):
            longest = max(longest, len(self.queue[0][1].ids) - before)
            if slots and longest * (len(slots) + 1) > FILL_TOKENS:
                break
            slots.append(free[len(slots)])
            rows[slots[-1]] = Row.of(*self.queue.popleft())
        return slots


@dataclass(frozen=True)
class _Texts:
    """Texts that one forward after another reads into slots, all by one adapter."""

    ids: Sequence[tuple[int, ...]]
    slots: Sequence[int]
    adapter: str
    asked: int
    """The index of a request that waits for them."""


class BatchedDecoder:
    """Decodes requests on one model whose layers carry a bank (`engines.huggingface.lora_bank.install`).

    Not thread-safe.
    """

    def __init__(
        self, model: Any, tokenizer: Tokenizer, row_adapters: RowAdapters, end_ids: frozenset[int], slots: int
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.row_adapters = row_adapters
        self.end_ids = end_ids
        self.slots = slots
        self.device = next(model.parameters()).device

    def run(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generated]]:
        """Yield (index of the request, answer) as rows finish. Closing the iterator stops."""
        for index, event in self.events(requests):
            if isinstance(event, Generated):
                yield index, event

    def events(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generated | Piece]]:
        """What `run` yields, and the pieces of the answers as they grow, never part of a stop string."""
        waiting = _Waiting(requests)
        queue = waiting.queue
        rows: list[Row | None] = [None] * min(self.slots, max(1, len(queue)))
        cache = SlotCache(len(rows))
        lengths = torch.zeros(len(rows), dtype=torch.int64)
        tokens = torch.zeros(len(rows), dtype=torch.int64)
        while queue or any(rows):
            free = [slot for slot, row in enumerate(rows) if row is None]
            # One prompt alone costs nearly as much as four together: wait for a few slots, never with an idle batch.
            if queue and (len(free) >= max(1, len(rows) // 16) or len(queue) < len(free)):
                slots = waiting.taken(rows, free)
                yield from self._fill(waiting, rows, slots, cache, lengths, tokens)
                continue
            if not queue and len(free) * 2 >= len(rows) > 1:
                rows, lengths, tokens = self._shrink(rows, cache, lengths, tokens)
            yield from self._advance(rows, cache, lengths, tokens)

    def _fill(
        self,
        waiting: _Waiting,
        rows: list[Row | None],
        slots: Sequence[int],
        cache: SlotCache,
        lengths: torch.Tensor,
        tokens: torch.Tensor,
    ) -> Iterator[tuple[int, Generated | Piece]]:
        """Read the prompts of these slots, all of one adapter, and give each its first token."""
        filled = [row for slot in slots if (row := rows[slot]) is not None]
        texts = _Texts([row.request.ids for row in filled], slots, filled[0].request.adapter, filled[0].index)
        cache.reserve(max(map(len, texts.ids)) + 1)
        shared = waiting.beginnings[texts.adapter]
        if shared:
            if waiting.read is None or waiting.read.adapters != (texts.adapter,):
                first = _Texts([shared], slots[:1], texts.adapter, texts.asked)
                yield from self._read(first, cache, 0)
                waiting.read = cache.beginning(slots[0], shared, texts.adapter)
            cache.begin(slots, waiting.read)
        last = yield from self._read(texts, cache, len(shared))
        chosen = self._choose(self._logits(last), filled)
        for place, slot in enumerate(slots):
            lengths[slot] = len(texts.ids[place])
            tokens[slot] = chosen[place]
        yield from self._settle(rows, slots, tokens)

    def _read(
        self, texts: _Texts, cache: SlotCache, before: int
    ) -> Generator[tuple[int, Generated | Piece], None, torch.Tensor]:
        """Read texts behind their first `before` tokens into the cache; returns (texts, width), the last states."""
        longest = max(map(len, texts.ids))
        ids = torch.zeros(len(texts.ids), longest, dtype=torch.int64)
        for place, own in enumerate(texts.ids):
            ids[place, : len(own)] = torch.tensor(own)
        last: dict[int, torch.Tensor] = {}
        for start in range(before, longest, STRETCH_TOKENS):
            if start > before:
                yield texts.asked, Piece("", 0)
            self.row_adapters.set([texts.adapter] * len(ids))  # another request may have been answered meanwhile
            stop = min(start + STRETCH_TOKENS, longest)
            cache.filling, cache.filled = torch.tensor(texts.slots, device=self.device), start
            places = torch.arange(start, stop)[None, :].expand(len(ids), -1)
            hidden = self._hidden(ids[:, start:stop], places, cache)
            cache.filling, cache.filled = None, 0
            last |= {
                place: hidden[place, len(own) - 1 - start]
                for place, own in enumerate(texts.ids)
                if start < len(own) <= stop
            }
        return torch.stack([last[place] for place in range(len(ids))])

    def _advance(
        self, rows: list[Row | None], cache: SlotCache, lengths: torch.Tensor, tokens: torch.Tensor
    ) -> Iterator[tuple[int, Generated | Piece]]:
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
        self.row_adapters.set([BASE if row is None else row.request.adapter for row in rows])
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
    def _choose(self, logits: torch.Tensor, rows: Sequence[Row | None]) -> torch.Tensor:
        """logits (rows, vocabulary) -> token ids (rows,); also notes near ties."""
        for place, row in enumerate(rows):
            if row is not None and row.request.sampling.ignore_end:
                logits[place, list(self.end_ids)] = float("-inf")
        chosen, close = leads(logits)
        near = close.tolist()
        drawn = [(place, row, row.generator) for place, row in enumerate(rows) if row and row.generator]
        if drawn:
            places, sampled, generators = zip(*drawn, strict=True)
            chosen[list(places)] = draw_rows(
                logits[list(places)], [row.request.sampling for row in sampled], generators
            )
        for place, row in enumerate(rows):
            if row is not None and row.generator is None and near[place] and row.near_tie is None:
                row.near_tie = len(row.ids)
        return chosen.cpu()

    def _settle(
        self, rows: list[Row | None], slots: Sequence[int], tokens: torch.Tensor
    ) -> Iterator[tuple[int, Generated | Piece]]:
        """Take each row's new token; hand out what it added and the rows that it ended."""
        events: list[tuple[int, Generated | Piece]] = []
        for slot in slots:
            row = rows[slot]
            assert row is not None
            answer = row.take(int(tokens[slot]), self.tokenizer, self.end_ids)
            events += [(row.index, piece) for piece in row.pieces(answer)]
            if answer is not None:
                events.append((row.index, answer))
                rows[slot] = None
        yield from events

    def _shrink(
        self, rows: list[Row | None], cache: SlotCache, lengths: torch.Tensor, tokens: torch.Tensor
    ) -> tuple[list[Row | None], torch.Tensor, torch.Tensor]:
        busy = [slot for slot, row in enumerate(rows) if row is not None]
        cache.keep(busy)
        return [rows[slot] for slot in busy], lengths[busy], tokens[busy]


def leads(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """logits (rows, vocabulary) -> best token ids (rows,), ties to the lowest, and whether each lead is a near tie."""
    (best, second), (chosen, _) = (pair.unbind(-1) for pair in logits.topk(2))
    for place in (best == second).nonzero()[:, 0].tolist():
        # Ties go to the lowest id; topk returns any of several.
        chosen[place] = (logits[place] == best[place]).nonzero()[0, 0]
    return chosen, best - second <= best.abs() * torch.finfo(logits.dtype).eps


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
