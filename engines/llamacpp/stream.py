"""One answer of llama.cpp on its way: slice by slice, counted, timed, cut at stop strings, cancellable."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Protocol

from engines.errors import EngineCrashed
from engines.interface import Chunk, Completion, FinishReason, Sampling
from engines.llamacpp.http import EventStream, Wire
from engines.llamacpp.scheduler import BASE, FIRST_SLICE_TOKENS, SLICE_TOKENS, Scheduler, shared_tokens
from engines.processes.child_process import ChildProcess
from engines.processes.succession import ASKED_AGAIN, Succession
from engines.stops import StopFilter

FINISH: dict[str, FinishReason] = {"eos": "stop", "word": "stop", "limit": "length", "none": "length"}
"""llama.cpp's stop_type → ours."""

LONGEST_CHARACTER = 8
"""Tokens after which half a character is shown as what it is: no character has more than four bytes, one a token."""


NO_CHANCES = "the first pieces of a character or end the answer: llama.cpp gives no log-probability for those."


class Server(Protocol):
    """What a stream needs of the server that computes it: an `engines.llamacpp.server_process.LlamaServer`."""

    scheduler: Scheduler
    context: int
    """Tokens of one slot."""
    children: Succession[ChildProcess]

    def child(self) -> ChildProcess:
        """The running process; a new one if the last one died. Raises: EngineCrashed after `close`."""
        ...

    def wire(self, child: ChildProcess) -> Wire:
        """The connection to this process."""
        ...

    def scales(self, adapter: int | None) -> list[dict[str, Any]]:
        """The complete adapter list of a request: the wanted one at 1, every other at 0."""
        ...


class Answerer(Protocol):
    """What a stream needs of the engine whose answer it is: an `engines.llamacpp.engine.LlamaCppEngine`."""

    @property
    def server(self) -> Server:
        """Shared by all engines over one base."""
        ...

    adapter: int | None
    """The number of the LoRA adapter in the server's process; None: the base."""
    identity: str
    reuse: int
    """Tokens that a slot must hold of a prompt's beginning, by the same adapter, for these not to be read again; 0:
    every prompt is read whole."""

    def ids_of(self, text: str) -> list[int]:
        """The token ids of a text."""


class Chances:
    """Log-probabilities on their way: each is given with the text that shows its token."""

    def __init__(self, likeliest: int) -> None:
        self.seen = 0
        """Tokens whose log-probability came."""
        self._likeliest = likeliest
        self._held: list[tuple[int, Any]] = []
        self._came = self._gave = 0

    def take(self, event: dict[str, Any]) -> None:
        """Those of an event: each belongs to the text up to the end of its token, within the event's."""
        found = event.get("completion_probabilities") or ()
        content, at = event.get("content", ""), self._came
        self._came += len(content)
        for one in found:
            at = self._came if len(found) == 1 else min(self._came, at + len(one["token"]))
            self._held.append((at, one))
        self.seen += len(found)

    def given(self, text: str) -> tuple[Any, ...]:
        """Those that this text, which is shown now, completes."""
        self._gave += len(text)
        ready = [one for at, one in self._held if at <= self._gave]
        self._held = [(at, one) for at, one in self._held if at > self._gave]
        return tuple(
            {**_shown(one), "top_logprobs": [_shown(top) for top in one["top_logprobs"][: self._likeliest]]}
            for one in ready
        )


def _shown(chance: Mapping[str, Any]) -> dict[str, Any]:
    return {name: chance.get(name) for name in ("token", "bytes", "logprob")}


class SentTokens:
    """The token ids of a streamed slice. Of a character of several tokens llama.cpp sends the text and the last id."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        """Those that came, and those that `complete` found."""
        self._gaps: list[tuple[int, int, str]] = []
        """(place in `ids` of the first id that came with a text, ids that are missing before it, the text)."""
        self._predicted = 0
        self._lost = False

    def take(self, event: Mapping[str, Any]) -> int:
        """An event's ids: the tokens that are predicted by now, those among them whose text is still to come."""
        came = list(event.get("tokens", ()))
        known = len(self.ids) + sum(missing for _, missing, _ in self._gaps) + len(came)
        self._predicted = int(event.get("tokens_predicted") or event.get("timings", {}).get("predicted_n", known))
        if came and self._predicted > known:
            self._gaps.append((len(self.ids), self._predicted - known, event.get("content", "")))
        self.ids += came
        return self._predicted

    def complete(self, ids_of: Callable[[str], list[int]]) -> bool:
        """Whether `ids` now has every token: what is missing is found where the text alone says it.

        It does where the tokens of the text are as many as were predicted and end with those that came. A byte that
        is no character does not.
        """
        while self._gaps and not self._lost:
            place, missing, text = self._gaps[-1]
            found, came = ids_of(text), self.ids[place : place + 1]
            if "\ufffd" in text or len(found) != missing + 1 or found[-1:] != came:
                self._lost = True
            else:
                self.ids[place:place] = found[:missing]
                self._gaps.pop()
        return not self._lost and len(self.ids) == self._predicted


class LlamaStream(Iterator[Chunk]):
    """One answer on its way. Iterate it once; `close` from any thread stops the generation."""

    def __init__(
        self,
        engine: Answerer,
        prepare: Callable[[], tuple[list[int], str]],
        sampling: Sampling,
        shape: Mapping[str, Any] | None = None,
    ) -> None:
        """`shape`: what llama.cpp is asked beside sampling, by its own names (`engines.llamacpp.shaping`)."""
        self._engine = engine
        self._shape = dict(shape or {})
        self._chances = Chances(self._shape.get("n_probs", 0))
        self._server = engine.server
        self._prepare = prepare
        self._sampling = sampling
        self._cancelled = False
        self._again = False
        self._events: EventStream | None = None
        self._began = time.perf_counter()
        self._pieces = self._generate()
        self.on_wait: Callable[[int], None] | None = None
        """Called with the place in the queue (1 is next) while no slot is free."""
        self.prompt: list[int] = []
        self.generated: list[int] = []
        self.tokens = 0
        self.note = self._untold = ""
        self.finish_reason: FinishReason = "cancelled"
        self.held = 0
        """Tokens of the prompt's beginning that its slot holds and that are not read again."""
        self.prompt_read: int | None = None
        """Tokens of the prompt that llama.cpp says it has read, in the answer's first slice."""
        self.waited_seconds = 0.0
        """Seconds from submission until a slot was free."""
        self.ttft_seconds: float | None = None
        self.total_seconds: float | None = None
        self._half: list[int] = []
        self.token_seconds: list[float] = []
        """Seconds since submission at which each piece came."""

    def __iter__(self) -> LlamaStream:
        return self

    def __next__(self) -> Chunk:
        return next(self._pieces)

    def close(self) -> None:
        """Stop the generation. Idempotent."""
        self._cancelled = True
        if self._events:
            self._events.close()
        with contextlib.suppress(ValueError):  # it is executing in another thread, which now finds itself cancelled
            self._pieces.close()

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, once it is tokenized."""
        return len(self.prompt)

    def completion(self, text: str) -> Completion:
        """The record of the finished answer."""
        notes = (self.note,) if self.note else ()
        return Completion(
            text, len(self.prompt), self.tokens, self.finish_reason, self._engine.identity, self._sampling,
            self.ttft_seconds, self.total_seconds, notes,
        )  # fmt: skip

    def _generate(self) -> Generator[Chunk]:
        self.prompt, self.note = self._prepare()
        scheduler, adapter = self._server.scheduler, BASE if self._engine.adapter is None else self._engine.adapter
        slot = scheduler.take_slot(adapter, self.prompt, lambda: self._cancelled, self.on_wait)
        if slot is None:
            return
        self.waited_seconds = time.perf_counter() - self._began
        shared = shared_tokens(slot, adapter, self.prompt)
        self.held = shared if 0 < self._engine.reuse <= shared else 0
        try:
            yield from self._slices(slot.number, adapter)
        finally:
            scheduler.give_slot(slot, adapter, self.prompt + self.generated)
            self.total_seconds = time.perf_counter() - self._began

    def _slices(self, slot: int, adapter: int) -> Iterator[Chunk]:
        """Slice after slice until the answer ends, and its text through the stop filter."""
        scheduler, filtered = self._server.scheduler, StopFilter(self._sampling.stop)
        self._untold = self.note
        most = min(self._sampling.max_tokens, self._server.context - len(self.prompt))
        finish: FinishReason | None = None
        while finish is None:
            if not scheduler.enter(adapter, bool(self.tokens), lambda: self._cancelled):
                return
            try:
                for event in self._slice(slot, adapter, most - self.tokens):
                    if self.prompt_read is None and "timings" in event:
                        self.prompt_read = int(event["timings"].get("prompt_n", 0))
                    if event.get("stop"):
                        finish = self._finish(event, most)
                        continue
                    self._chances.take(event)
                    text = filtered.feed(event.get("content", ""))
                    if text:
                        self._clock()
                        yield Chunk(
                            text, len(event.get("tokens", ())) or 1, None, self._tell(), self._chances.given(text)
                        )
                    if filtered.stopped:
                        finish = "stop"
                        break
            finally:
                if self._events:
                    self._events.close()
                scheduler.leave()
            if self._cancelled:
                return
        rest = filtered.end()
        if rest:
            self._clock()
        self.finish_reason = finish
        if "n_probs" in self._shape and self._chances.seen < self.tokens:
            lost = self.tokens - self._chances.seen
            self.note = self._untold = f"{self._untold} {lost} tokens are {NO_CHANCES}".strip()
        yield Chunk(rest, 0, finish, self._tell(), self._chances.given(rest))

    def _tell(self) -> str:
        note, self._untold = self._untold, ""
        return note

    def _clock(self) -> None:
        self.token_seconds.append(time.perf_counter() - self._began)
        if self.ttft_seconds is None:
            self.ttft_seconds = self.token_seconds[0]

    def _finish(self, event: dict[str, Any], most: int) -> FinishReason | None:
        """None where only the slice has ended, not the answer."""
        if event.get("stop_type") == "limit" and self.tokens < most:
            return None
        return FINISH.get(str(event.get("stop_type")), "stop")

    def _slice(self, slot: int, adapter: int, left: int) -> Iterator[dict[str, Any]]:
        """Events of one slice, asked again of a new process, once, if the process ends before the answer has begun."""
        child, begun = self._server.child(), bool(self.tokens)
        try:
            for event in self._slice_of(child, slot, adapter, left):
                begun = begun or bool(event.get("content"))
                yield event
        except EngineCrashed:
            if self._cancelled:
                return
            if begun or self._again:
                raise self._server.children.crashed(child) from None
        else:
            return
        self._again = True
        self.note = self._untold = f"{self.note} {ASKED_AGAIN}".strip()
        if self._events:
            self._events.close()
        self._server.children.lost(child)
        self.tokens, self.generated, self._half = 0, [], []
        yield from self._slice(slot, adapter, left)

    def _slice_of(self, child: ChildProcess, slot: int, adapter: int, left: int) -> Iterator[dict[str, Any]]:
        """Events of one slice: until the answer ends, or for a few tokens where another adapter waits.

        A seeded sample is never interrupted: its random numbers would start over. So would a grammar.
        """
        scheduler, sampling, wire = self._server.scheduler, self._sampling, self._server.wire(child)
        whole = (sampling.temperature > 0 and sampling.seed is not None) or "grammar" in self._shape
        quantum = SLICE_TOKENS if self.tokens else FIRST_SLICE_TOKENS
        if self._half or (not whole and scheduler.contested(adapter)):
            return self._short_slice(wire, slot, min(left, quantum))
        return self._long_slice(wire, slot, left, quantum, lambda: not whole and scheduler.contested(adapter))

    def _short_slice(self, wire: Wire, slot: int, tokens: int) -> Iterator[dict[str, Any]]:
        """A few tokens at once: the answer lists all their ids, and half characters wait for their other half."""
        answer = wire.call("/completion", {**self._body(slot, tokens), "stream": False})
        ids = list(answer["tokens"])
        if answer.get("stop_type") == "eos" and len(ids) == answer["tokens_predicted"]:
            ids.pop()  # the end-of-turn token is no part of the answer
        text = answer["content"]
        self._half += ids
        if len(self._half) > len(ids) or not text or text.endswith("\ufffd"):
            text = str(wire.call("/detokenize", {"tokens": self._half})["content"])
        ended = answer.get("stop_type") != "limit" or len(ids) < tokens
        if text.endswith("\ufffd") and len(self._half) < LONGEST_CHARACTER and not ended:
            text = ""
        else:
            self._half = []
        self.tokens += len(ids)
        self.generated += ids
        yield {"content": text, "tokens": ids, "completion_probabilities": answer.get("completion_probabilities", ())}
        yield {"stop": True, "stop_type": answer.get("stop_type")}

    def _long_slice(
        self, wire: Wire, slot: int, left: int, quantum: int, contested: Callable[[], bool]
    ) -> Iterator[dict[str, Any]]:
        """Streamed until the end, or until another adapter waits and this one has had its `quantum` of tokens.

        Where the ids of its tokens are not all known it is not interrupted: the next slice must go on from them.
        """
        self._events = wire.stream("/completion", self._body(slot, left))
        if self._cancelled:
            return
        sent, before = SentTokens(), self.tokens
        for event in self._events:
            ended = bool(event.get("stop"))
            # the end-of-turn token is counted by llama.cpp and is no part of the answer
            predicted = sent.take(event)
            self.tokens = before + predicted - (event.get("stop_type") == "eos")
            yields = not ended and predicted >= quantum and contested() and sent.complete(self._engine.ids_of)
            if ended or yields:
                self.generated += sent.ids
            yield event
            if ended or yields:
                return
        raise EngineCrashed("The answer broke off.")

    def _body(self, slot: int, tokens: int) -> dict[str, Any]:
        """llama.cpp's request: only temperature and top-p sample, in transformers' order; everything else is off."""
        sampling = self._sampling
        body: dict[str, Any] = {
            "prompt": self.prompt + self.generated,
            "n_predict": tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "samplers": ["temperature", "top_p"] if sampling.top_p < 1 else ["temperature"],
            "repeat_penalty": 1.0,
            "ignore_eos": sampling.ignore_end,
            "stream": True,
            "return_tokens": True,
            "timings_per_token": True,
            "cache_prompt": self.held > 0 or bool(self.generated),
            "id_slot": slot,
            "lora": self._server.scales(self._engine.adapter),
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        shape = dict(self._shape)
        body["samplers"] = [*shape.pop("samplers", ()), *body["samplers"]]
        if "n_probs" in shape:
            shape["n_probs"] = max(1, shape["n_probs"])  # with none there would be no log-probabilities at all
        return {**body, **shape}
