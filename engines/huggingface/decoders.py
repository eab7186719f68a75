"""Which decoder answers which requests of one loaded model, and what happens where a GPU's memory runs out.

    BAKEOFF_DECODER=batched bakeoff evaluate demo-rank8 --benchmark humaneval

On a GPU transformers' continuous batching (`engines.huggingface.paged`), elsewhere our own loop
(`engines.huggingface.batching`) on every processor (`engines.huggingface.parallel`). What continuous batching cannot do
goes to our loop by name; so does what is left when it fails. Out of memory, the rows at once are halved and everything
unanswered is asked again: no answer is lost, and a row's draws depend on its seed alone. `record` says all of it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch

from engines.errors import EngineError
from engines.hardware.devices import Device
from engines.huggingface.batching import BatchedDecoder
from engines.huggingface.lora_bank import RowAdapters
from engines.huggingface.paged import MASKED_ROWS, PagedDecoder, PagedFailed, flash_attention, unpaged, unpaged_request
from engines.huggingface.parallel import answers as strands_answers
from engines.huggingface.parallel import strand_count
from engines.huggingface.requests import Generated, Request, Tokenizer, prompt_beginnings
from engines.huggingface.room import SLOTS, Room

VARIABLE = "BAKEOFF_DECODER"

Choice = Literal["batched", "generate_batch"]
CHOICES: tuple[Choice, ...] = ("batched", "generate_batch")


def chosen(device: Device, wanted: str | None = None) -> Choice:
    """The decoder for a device, unless `wanted` or `BAKEOFF_DECODER` says otherwise. Raises: EngineError."""
    name = wanted or os.environ.get(VARIABLE, "").strip() or ("generate_batch" if device.is_cuda else "batched")
    if name not in CHOICES:
        raise EngineError(f"{VARIABLE}={name!r} is no decoder; choose {' or '.join(CHOICES)}")
    return name


class Decoders:
    """The decoders over one model. Not thread-safe."""

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        row_adapters: RowAdapters,
        end_ids: frozenset[int],
        device: Device,
        choice: Choice,
    ) -> None:
        self._parts = (model, tokenizer, row_adapters, end_ids)
        self.room = Room(model, device)
        self._device = device
        self.choice = choice
        self._refusal = unpaged(model) if choice == "generate_batch" else ""
        self._answered: Counter[str] = Counter()
        self._elsewhere: Counter[str] = Counter()
        self._rows: dict[str, int] = {}
        self._notes: list[str] = []

    @property
    def record(self) -> dict[str, Any]:
        """What answered so far: decoder → answers, most rows at once; why not the chosen one → requests; and notes."""
        found: dict[str, Any] = {}
        if self._answered:
            found |= {"decoder": self.choice, "answers": dict(self._answered), "rows": dict(self._rows)}
        if self._elsewhere:
            found["not_by_generate_batch"] = dict(self._elsewhere)
        if self._notes:
            found["notes"] = list(self._notes)
        return found

    def one(self, slots: int = 1) -> BatchedDecoder:
        """Our own loop, which tells pieces as they come."""
        return BatchedDecoder(*self._parts, slots)

    def note(self, said: str) -> None:
        """Keep what the record should say."""
        if said not in self._notes:
            self._notes.append(said)

    def answers(self, requests: Sequence[Request], slots: int | None = None) -> Iterator[tuple[int, Generated]]:
        """Yield (index of the request, answer) as they finish; `slots` rows at once, fewer where they do not fit.

        Raises: EngineError where one row alone is too large for the GPU's memory.
        """
        paged: list[int] = []
        batched: list[int] = []
        for index, request in enumerate(requests):
            reason = self._refusal or unpaged_request(request)
            if self.choice == "generate_batch" and reason:
                self._elsewhere[reason] += 1
            (batched if self.choice == "batched" or reason else paged).append(index)
        try:
            yield from self._halving("generate_batch", requests, paged, slots)
        except PagedFailed as error:
            self.note(f"{error}; the rest was answered by our own loop")
        yield from self._halving("batched", requests, sorted(batched + paged), slots)

    def _halving(
        self, decoder: Choice, requests: Sequence[Request], waiting: list[int], slots: int | None
    ) -> Iterator[tuple[int, Generated]]:
        """Ask those that wait, with half of the rows whenever memory runs out; `waiting` loses what is answered."""
        most = slots
        if decoder == "generate_batch" and not flash_attention(self._device):
            most = min(slots or MASKED_ROWS, MASKED_ROWS)
        while waiting:
            asked = list(waiting)
            longest = max(len(requests[i].ids) + requests[i].sampling.max_tokens for i in asked)
            rows = min(self.room.slots(longest, most, self._beside([requests[i] for i in asked], most)), len(asked))
            run = self._paged if decoder == "generate_batch" else self._batched
            try:
                for place, answer in run([requests[i] for i in asked], rows):
                    waiting.remove(asked[place])
                    self._answered[decoder] += 1
                    yield asked[place], answer
                self._rows[decoder] = max(rows, self._rows.get(decoder, 0))
                return
            except torch.OutOfMemoryError as error:
                if rows == 1 and decoder == "generate_batch":
                    raise PagedFailed(f"continuous batching had no room for one row ({error})") from error
                if rows == 1:
                    raise EngineError(
                        f"The GPU's memory ran out with one row of up to {longest} tokens beside the weights: use a "
                        f"smaller max_tokens, a smaller base or a GPU with more than {self._device.label} has ({error})"
                    ) from error
                most = rows // 2
                self.note(f"the GPU's memory ran out with {rows} rows at once; {most} from there on")
            torch.cuda.empty_cache()  # here the failed pass's tensors are gone with its traceback

    def _beside(self, requests: Sequence[Request], most: int | None) -> int:
        """Tokens of the longest common beginning, which each strand keeps beside its rows."""
        longest = max(map(len, prompt_beginnings(requests).values()), default=0)
        return longest * (1 if self._device.is_cuda else strand_count(len(requests), most or SLOTS))

    def _paged(self, requests: Sequence[Request], rows: int) -> Iterator[tuple[int, Generated]]:
        return PagedDecoder(*self._parts, rows, flash_attention(self._device)).run(requests)

    def _batched(self, requests: Sequence[Request], rows: int) -> Iterator[tuple[int, Generated]]:
        strands = 1 if self._device.is_cuda else strand_count(len(requests), rows)
        return strands_answers([self.one(-(-rows // strands)) for _ in range(strands)], requests)
