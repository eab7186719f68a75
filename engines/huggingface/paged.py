"""Decoding by transformers' continuous batching: the machinery under its `generate_batch`, one adapter after another.

The default on a GPU. Its manager is driven directly, since `generate_batch` returns whole answers only and an answer
here may end at a stop string or where its request says: tokens are taken as they come, and a row that is complete is
cancelled. Adapters are applied by the bank (`engines.huggingface.lora_bank`), which computes what PEFT does from the
same files and reads LoRA-GGUFs too. No keys are shared between prompts, so none of one adapter can reach another's row.

Near ties are found afterwards: a finished answer is read once more in one forward, and its first token that led by less
than the arithmetic's resolution, or did not lead there, is one.

Does not cover, and says so by name: drawing with a seed of one's own for each row, attention with a soft cap. CUDA
graphs stay off: they were never tried.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from engines.errors import EngineError
from engines.hardware.devices import Device
from engines.huggingface.batching import head_logits, leads
from engines.huggingface.lora_bank import RowAdapters
from engines.huggingface.requests import Generated, Request, Row, Tokenizer, in_order
from engines.huggingface.slot_attention import IMPLEMENTATION

PAGE = 16
"""Tokens of one block of the cache where attention reads it by index; flash attention wants `FLASH_PAGE`."""
FLASH_PAGE = 256

PASS_TOKENS = 1024
"""Most tokens of one forward: prompts in pieces, and one token of every row that is being answered."""

MASKED_ROWS = 64
"""Most rows at once without flash attention, where every row's token meets the keys of all rows."""

REREAD = 16
"""Finished answers that wait for one another before they are read again."""
REREAD_TOKENS = 8192
"""Most tokens, padding included, of one such forward."""

LOGGER = "ContinuousBatchingLogger"
"""The logger of transformers' continuous batching."""


class PagedFailed(EngineError):
    """Continuous batching gave up for a reason that is not memory; another decoder can go on."""


def unpaged(model: Any) -> str:
    """Why continuous batching cannot run a model's answers; empty if it can."""
    config = model.config.get_text_config()
    if not hasattr(model, "init_continuous_batching"):
        return "this architecture has no continuous batching in transformers"
    if getattr(config, "attn_logit_softcapping", None):
        return "its attention has a soft cap, which sdpa does not compute"
    if unknown := set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}:
        return f"continuous batching has no cache for its {sorted(unknown)[0]} layers"
    return ""


def unpaged_request(request: Request) -> str:
    """Why continuous batching cannot answer a request; empty if it can."""
    return "continuous batching has one seed for all rows" if request.sampling.temperature else ""


class PagedDecoder:
    """Decodes greedy requests on one model whose layers carry a bank (`engines.huggingface.lora_bank.install`).

    Not thread-safe.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        row_adapters: RowAdapters,
        end_ids: frozenset[int],
        slots: int,
        flash: bool,
    ) -> None:
        """flash: attend by the installed flash attention (`flash_attention`), else by sdpa under a mask."""
        self.model = model
        self.tokenizer = tokenizer
        self.row_adapters = row_adapters
        self.end_ids = end_ids
        self.slots = slots
        self.flash = flash

    def run(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generated]]:
        """Yield (index of the request, answer) as rows finish. Closing the iterator stops.

        Raises: torch.OutOfMemoryError; PagedFailed naming what transformers said.
        """

        def kind(place: int) -> tuple[str, bool]:
            return requests[place].adapter, requests[place].sampling.ignore_end

        for (adapter, _), places in itertools.groupby(sorted(in_order(requests), key=kind), key=kind):
            yield from self._group(adapter, [Row.of(i, requests[i]) for i in places])

    def _group(self, adapter: str, rows: list[Row]) -> Iterator[tuple[int, Generated]]:
        """Answer requests of one adapter, which all end by a token or none does, with a cache of their own."""
        # The manager computes in a thread of its own, and which adapter is on is each thread's.
        hook = self.model.register_forward_pre_hook(lambda *_: self.row_adapters.set([adapter]))
        self.model.set_attn_implementation("sdpa")
        log = logging.getLogger(LOGGER)
        level = log.level
        log.setLevel(logging.CRITICAL)  # a failure is raised here; its traceback is not for the terminal
        manager = None
        try:
            manager = self._manager(rows)
            for row in rows:  # before the start: a manager whose thread has failed takes none
                manager.add_request(
                    list(row.request.ids), str(row.index), row.request.sampling.max_tokens, streaming=True
                )
            manager.start()
            yield from self._collected(manager, rows, adapter)
        finally:
            hook.remove()
            if manager is not None:
                manager.stop(block=True, hard_stop=True)
                manager.destroy()
            log.setLevel(level)
            self.model.set_attn_implementation(IMPLEMENTATION)

    def _manager(self, rows: Sequence[Row]) -> Any:
        from transformers import ContinuousBatchingConfig, GenerationConfig

        page = FLASH_PAGE if self.flash else PAGE
        longest = max(len(row.request.ids) + row.request.sampling.max_tokens for row in rows)
        slots = min(self.slots, len(rows))
        ends = sorted(self.end_ids)
        endless = rows[0].request.sampling.ignore_end
        return self.model.init_continuous_batching(
            generation_config=GenerationConfig(
                do_sample=False,
                eos_token_id=-1 if endless else ends,
                suppress_tokens=ends if endless else None,
                max_new_tokens=1,
            ),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=page,
                num_blocks=slots * (-(-longest // page) + 1),  # room for every row at its longest: nothing is evicted
                safety_margin=0.0,
                max_batch_tokens=max(slots, PASS_TOKENS),
                max_requests_per_batch=slots,
                allow_block_sharing=False,
                auto_switch_to_flash=self.flash,
                use_cuda_graph=False,
                use_async_batching=False,
            ),
        )

    def _collected(self, manager: Any, rows: Sequence[Row], adapter: str) -> Iterator[tuple[int, Generated]]:
        """Take tokens as they come until every row has its answer."""
        open_rows = {str(row.index): row for row in rows}
        finished: list[tuple[Row, Generated]] = []
        while open_rows:
            result = manager.get_result(timeout=0.5)
            if result is None:
                if not manager.is_running():
                    raise _failure(str(manager.background_thread_status.fatal_error or "its thread ended"))
                continue
            if result.error is not None:
                raise _failure(result.error)
            row = open_rows.get(result.request_id)
            if row is None or (answer := self._grown(row, result.generated_tokens)) is None:
                continue
            del open_rows[result.request_id]
            if not result.is_finished():
                manager.cancel_request(result.request_id)
            finished.append((row, answer))
            if len(finished) >= REREAD or not open_rows:
                with manager.pause():
                    ties = self._near_ties(finished, adapter)
                for (done, made), tie in zip(finished, ties, strict=True):
                    yield done.index, replace(made, near_tie=tie)
                finished = []

    def _grown(self, row: Row, tokens: Sequence[int]) -> Generated | None:
        """Give a row the tokens that it has not seen; the answer where one of them completes it."""
        for token in tokens[len(row.ids) :]:
            if (answer := row.take(int(token), self.tokenizer, self.end_ids)) is not None:
                return answer
        return None

    @torch.inference_mode()
    def _near_ties(self, finished: Sequence[tuple[Row, Generated]], adapter: str) -> list[int | None]:
        """The first new token of each answer that led by less than the logits' resolution, or did not lead."""
        texts = [[*row.request.ids, *answer.ids] for row, answer in finished]
        ties: list[int | None] = []
        most = max(1, REREAD_TOKENS // max(map(len, texts)))
        for start in range(0, len(texts), most):
            part = texts[start : start + most]
            ids = torch.zeros(len(part), max(map(len, part)), dtype=torch.int64)
            for place, text in enumerate(part):
                ids[place, : len(text)] = torch.tensor(text)
            self.row_adapters.set([adapter] * len(part))
            hidden = self.model.get_decoder()(input_ids=ids.to(self.model.device), use_cache=False).last_hidden_state
            for place, (row, answer) in enumerate(finished[start : start + most]):
                first = len(row.request.ids) - 1
                states = hidden[place, first : first + answer.tokens]
                logits = head_logits(self.model, states[None])[0]
                if row.request.sampling.ignore_end:
                    logits[:, sorted(self.end_ids)] = float("-inf")
                ties.append(_first_tie(logits, answer.ids))
        return ties


def flash_attention(device: Device) -> bool:
    """Whether an installed flash attention runs here: from Ampere on, and none is fetched from the Hub."""
    from transformers.utils import is_flash_attn_2_available

    return device.is_cuda and (device.capability or (0, 0)) >= (8, 0) and is_flash_attn_2_available()


def _first_tie(logits: torch.Tensor, ids: Sequence[int]) -> int | None:
    """logits (tokens, vocabulary) before each new token; `ids` those tokens, the one that ended the row left out."""
    chosen, near = leads(logits)
    near[: len(ids)] |= chosen[: len(ids)] != torch.tensor(ids, device=chosen.device)
    found = near.nonzero()[:, 0].tolist()
    return int(found[0]) if found else None


def _failure(said: str) -> Exception:
    """What to raise for an error that transformers passes on as text."""
    if "out of memory" in said.lower() or said.startswith("Memory footprint"):
        return torch.OutOfMemoryError(said)
    return PagedFailed(f"transformers' continuous batching failed: {' '.join(said.split())[:200]}")
