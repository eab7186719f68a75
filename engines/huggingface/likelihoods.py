"""How likely continuations of prompts are: one forward a question, whatever the number of its choices.

    questions = [Choices(prompt_ids, (yes_ids, no_ids), adapter), …]
    for place, found in engine.likelihoods(questions): …

A prompt is read once and its continuations behind it (`engines.huggingface.forks`); tokens that all continuations of a
question begin with are read with the prompt, so choices of one token each cost the prompt alone. What all prompts of an
adapter begin with (a system turn, examples) is read once for all. The vocabulary's logits are computed only where a
continuation's token is foretold. Questions of several adapters share one forward where they meet; on a CPU each
processor reads batches of its own.

Equal to reading prompt and continuation as a text each, but for rounding. Not here: how texts become tokens
(`engines.huggingface.engine.HuggingFaceEngine.choices`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import torch

from engines.errors import EngineError
from engines.hardware.torch_threads import own_threads
from engines.huggingface.batching import head_logits
from engines.huggingface.forks import Beginning, BeginningCache, Fork
from engines.huggingface.lora_bank import RowAdapters
from engines.huggingface.requests import BASE, common_beginning, shared_beginning
from engines.huggingface.room import Room
from engines.interface import Likelihood

CPU_TOKENS = 1024
"""Most tokens of one forward on a CPU, padding included: more are no faster (SmolLM2-135M: 0.66 s of a processor a
question with 800, 0.98 with 6,000), since what they pass on leaves the cache."""

LOGIT_ROWS = 128
"""Places whose logits over the vocabulary are computed at once."""


@dataclass(frozen=True)
class Choices:
    """A prompt and the continuations that are weighed, as token ids; each has at least one."""

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    adapter: str = BASE


@dataclass(frozen=True)
class _Row:
    """A question as it is read: its prompt, with what all its continuations begin with, and what is left of these."""

    index: int
    adapter: str
    ids: tuple[int, ...]
    asked: int
    """The first place of `ids` behind which a token is foretold."""
    tails: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, index: int, question: Choices) -> _Row:
        shortest = min(map(len, question.continuations))
        shared = common_beginning(question.continuations)[: shortest - 1]
        tails = tuple(one[len(shared) :] for one in question.continuations)
        return cls(index, question.adapter, question.prompt + shared, len(question.prompt) - 1, tails)

    @property
    def behind(self) -> int:
        """Tokens of continuations that are read behind the prompt: all but each one's last."""
        return sum(len(tail) - 1 for tail in self.tails)


@dataclass
class _Foretold:
    """The states of a forward that foretell tokens, and which."""

    states: list[tuple[int, int]] = field(default_factory=list)
    """(row, column)."""
    tokens: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(number of the state, token, row, continuation; -1 for all of them)."""

    def add(self, row: int, column: int, tokens: Sequence[tuple[int, int]]) -> None:
        """tokens: (token, continuation)."""
        self.tokens += [(len(self.states), token, row, continuation) for token, continuation in tokens]
        self.states.append((row, column))


class LikelihoodReader:
    """Reads questions on one model whose layers carry a bank of adapters."""

    def __init__(self, model: Any, row_adapters: RowAdapters, room: Room, note: Callable[[str], None]) -> None:
        """note: told what went otherwise than planned."""
        self._model, self._row_adapters, self._room, self._note = model, row_adapters, room, note

    def read(self, questions: Sequence[Choices]) -> Iterator[tuple[int, tuple[Likelihood, ...]]]:
        """Yield (index of the question, its continuations' likelihoods), batch by batch, adapter by adapter.

        Raises: EngineError where a GPU's memory does not hold one question.
        """
        rows = [_Row.of(index, question) for index, question in enumerate(questions)]
        for beginning, together in _by_beginning(rows):
            if beginning is not None:
                self._read_beginning(beginning)
            yield from self._batches(_batches(together, beginning, self._budget()), beginning)

    def _budget(self) -> int:
        return self._room.loss_tokens() if self._room.device.is_cuda else CPU_TOKENS

    def _batches(
        self, batches: Sequence[Sequence[_Row]], beginning: Beginning | None
    ) -> Iterator[tuple[int, tuple[Likelihood, ...]]]:
        """Each of a CPU's processors takes the next batch: no barrier inside an operation, the same batches always."""
        threads = torch.get_num_threads()
        strands = 1 if self._room.device.is_cuda else min(threads, len(batches))
        if strands == 1:
            for batch in batches:
                yield from self._halved(batch, beginning)
            return
        with ThreadPoolExecutor(strands, initializer=own_threads, initargs=(max(1, threads // strands),)) as pool:
            waiting = [pool.submit(self._halved, batch, beginning) for batch in batches]
            try:
                for one in as_completed(waiting):
                    yield from one.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
                torch.set_num_threads(threads)

    def _halved(self, batch: Sequence[_Row], beginning: Beginning | None) -> list[tuple[int, tuple[Likelihood, ...]]]:
        """A batch read; in halves where a GPU's memory runs out."""
        try:
            return self._batch(batch, beginning)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise EngineError(f"A question of {len(batch[0].ids)} tokens does not fit the GPU: {error}") from error
        self._note(f"the GPU's memory ran out over {len(batch)} questions at once; they were read in halves")
        torch.cuda.empty_cache()
        half = len(batch) // 2
        return self._halved(batch[:half], beginning) + self._halved(batch[half:], beginning)

    @torch.inference_mode()
    def _read_beginning(self, beginning: Beginning) -> None:
        ids = torch.tensor([beginning.ids] * len(beginning.adapters))
        places = torch.arange(ids.shape[1])[None].expand(len(ids), -1)
        self._hidden(ids, places, beginning.adapters, past_key_values=BeginningCache(beginning), use_cache=True)

    @torch.inference_mode()
    def _batch(self, batch: Sequence[_Row], beginning: Beginning | None) -> list[tuple[int, tuple[Likelihood, ...]]]:
        before = len(beginning.ids) if beginning is not None else 0
        prompts, behind = max(len(row.ids) for row in batch) - before, max(row.behind for row in batch)
        ids = torch.zeros(len(batch), prompts + behind, dtype=torch.int64)
        places = torch.zeros_like(ids)
        owners = -1 - torch.arange(behind).repeat(len(batch), 1)  # padding is nobody's
        foretold = _Foretold()
        for number, row in enumerate(batch):
            own = torch.tensor(row.ids[before:])
            ids[number, : len(own)] = own
            places[number, : len(own)] = torch.arange(before, before + len(own))
            for place in range(row.asked, len(row.ids) - 1):
                foretold.add(number, place - before, [(row.ids[place + 1], -1)])
            foretold.add(number, len(own) - 1, [(tail[0], at) for at, tail in enumerate(row.tails)])
            column = prompts
            for at, tail in enumerate(row.tails):
                for depth, (token, following) in enumerate(itertools.pairwise(tail)):
                    ids[number, column], owners[number, column - prompts] = token, at
                    places[number, column] = len(row.ids) + depth
                    foretold.add(number, column, [(following, at)])
                    column += 1
        more: dict[str, Any] = {"use_cache": False}
        if beginning is not None:
            more = {"past_key_values": BeginningCache(beginning, [row.adapter for row in batch]), "use_cache": True}
        if behind:
            lengths = torch.tensor([len(row.ids) for row in batch])
            device = self._room.device.name
            parts = (part.to(device) for part in (lengths, owners, places[:, prompts:]))
            more["fork"] = Fork(before, prompts, *parts)
        hidden = self._hidden(ids, places, [row.adapter for row in batch], **more)
        return self._weighed(hidden, foretold, batch)

    def _hidden(self, ids: torch.Tensor, places: torch.Tensor, rows: Sequence[str], **more: Any) -> torch.Tensor:
        """ids, places (rows, n) -> last hidden states (rows, n, width)."""
        self._row_adapters.set(rows)
        device = self._model.device
        output = self._model.get_decoder()(input_ids=ids.to(device), position_ids=places.to(device), **more)
        return output.last_hidden_state  # type: ignore[no-any-return]

    def _weighed(
        self, hidden: torch.Tensor, foretold: _Foretold, batch: Sequence[_Row]
    ) -> list[tuple[int, tuple[Likelihood, ...]]]:
        """The foretold tokens' nats, summed by continuation."""
        at = torch.tensor(foretold.states, device=hidden.device)
        states = hidden[at[:, 0], at[:, 1]]
        numbers, tokens = (
            torch.tensor(part, device=hidden.device) for part in list(zip(*foretold.tokens, strict=True))[:2]
        )
        nats, best = torch.zeros(len(tokens)), torch.zeros(len(tokens), dtype=torch.bool)
        for start in range(0, len(states), LOGIT_ROWS):
            logits = head_logits(self._model, states[None, start : start + LOGIT_ROWS])[0].float()
            here = ((numbers >= start) & (numbers < start + LOGIT_ROWS)).nonzero()[:, 0]
            states_of, asked = numbers[here] - start, tokens[here]
            nats[here.cpu()] = (torch.logsumexp(logits, -1)[states_of] - logits[states_of, asked]).cpu()
            best[here.cpu()] = (logits.argmax(-1)[states_of] == asked).cpu()
        sums = [[0.0] * len(row.tails) for row in batch]
        greedy = [[True] * len(row.tails) for row in batch]
        for (_, _, row, continuation), loss, first in zip(foretold.tokens, nats.tolist(), best.tolist(), strict=True):
            for one in range(len(sums[row])) if continuation < 0 else (continuation,):
                sums[row][one] += loss
                greedy[row][one] &= first
        return [
            (row.index, tuple(Likelihood(*pair) for pair in zip(sums[number], greedy[number], strict=True)))
            for number, row in enumerate(batch)
        ]


def _by_beginning(rows: Sequence[_Row]) -> list[tuple[Beginning | None, list[_Row]]]:
    """The rows by what their adapter's prompts all begin with, where that is long enough to be read by itself."""
    by_adapter: dict[str, list[_Row]] = {}
    for row in rows:
        by_adapter.setdefault(row.adapter, []).append(row)
    together: dict[tuple[int, ...], list[_Row]] = {}
    for own in by_adapter.values():
        most = min(row.asked for row in own)  # what foretells the first token is a row's own
        together.setdefault(shared_beginning([row.ids[:most] for row in own]), []).extend(own)
    return [
        (Beginning(ids, tuple(sorted({row.adapter for row in own}))) if ids else None, own)
        for ids, own in together.items()
    ]


def _batches(rows: Sequence[_Row], beginning: Beginning | None, budget: int) -> list[list[_Row]]:
    """Batches of at most `budget` tokens with their padding, at least one row each: adapter by adapter, the longest
    first, so that the last ones of a processor are short."""
    before = len(beginning.ids) if beginning is not None else 0
    ordered = sorted(rows, key=lambda row: (row.adapter, -len(row.ids), -row.behind, row.index))
    found: list[list[_Row]] = []
    prompts = behind = 0
    for row in ordered:
        prompts, behind = max(prompts, len(row.ids) - before), max(behind, row.behind)
        if not found or (prompts + behind) * (len(found[-1]) + 1) > budget:
            found.append([])
            prompts, behind = len(row.ids) - before, row.behind
        found[-1].append(row)
    return found
