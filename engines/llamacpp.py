"""GGUF models through llama.cpp (xllamacpp): the engine for one user's latency, chat and the file that ships.

    engine = LlamaCppEngine.open(Path("model.gguf"))
    for chunk in engine.stream([{"role": "user", "content": "Why is the sky blue?"}], Sampling(max_tokens=64)):
        print(chunk.text, end="")

Several adapters of one base share a `LlamaServer`. Thread-safe: streams of one adapter are batched, streams of
different adapters take turns (`engines.lanes`).
"""

from __future__ import annotations

import contextlib
import time
import unicodedata
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engines.errors import EngineCrashed, EngineError
from engines.interface import Chunk, Completion, FinishReason, Message, Sampling
from engines.lanes import FIRST_TURN_TOKENS, TURN_TOKENS
from engines.llamaserver import LlamaServer, Threading
from engines.stops import StopFilter
from engines.wire import EventStream
from results.records import Progress

TEMPLATE_SECONDS = 5.0
"""A chat template that takes longer to render is a bomb; its process is ended."""

NORMALIZER = "bakeoff.normalizer"
"""Metadata key of our own exports: NFC or none. GGUF has no standard key for it."""

FINISH: dict[str, FinishReason] = {"eos": "stop", "word": "stop", "limit": "length", "none": "length"}
"""llama.cpp's stop_type → ours."""


class LlamaCppEngine:
    """The base (adapter None) or one adapter of a `LlamaServer`."""

    def __init__(self, server: LlamaServer, adapter: int | None = None, identity: str = "", reuse: bool = True) -> None:
        """`reuse`: keep and reuse the keys and values of earlier prompts (off for latency measurements)."""
        self.server = server
        self.adapter = adapter
        self.identity = identity
        self.reuse = reuse
        self._closed = False
        server.acquire()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        adapter: Path | None = None,
        context: int | None = None,
        slots: int = 1,
        threading_choice: Threading | None = None,
        identity: str = "",
        reuse: bool = True,
    ) -> LlamaCppEngine:
        """Load a GGUF, with one adapter if given, in a process of its own."""
        adapters = [adapter] if adapter else []
        server = LlamaServer(path, adapters, context=context, slots=slots, threading_choice=threading_choice)
        return cls(server, 0 if adapter else None, identity, reuse)

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> LlamaStream:
        """Answer a conversation. The iterator's `close` may be called from any thread."""
        return LlamaStream(self, lambda: self.fit(messages, sampling.max_tokens), sampling)

    def stream_text(self, prompt: str, sampling: Sampling) -> LlamaStream:
        """Continue a raw prompt, token by token."""
        return LlamaStream(self, lambda: (self._checked(self.tokens(prompt)), ""), sampling)

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Continue raw prompts, as many at once as there are slots. Special tokens in the text are special."""
        done = 0

        def one(prompt: str) -> Completion:
            nonlocal done
            answer = self._complete_one(prompt, sampling)
            done += 1
            if progress:
                progress("answers", done, len(prompts))
            return answer

        with ThreadPoolExecutor(max_workers=self.server.slots) as pool:
            return list(pool.map(one, prompts))

    def _complete_one(self, prompt: str, sampling: Sampling) -> Completion:
        try:
            stream = self.stream_text(prompt, sampling)
            text = "".join(chunk.text for chunk in stream)
        except EngineCrashed:
            raise
        except EngineError as problem:
            return Completion("", 0, 0, "error", self.identity, sampling, notes=(str(problem),))
        return stream.completion(text)

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt text by the file's own chat template, rendered in the engine's process within 5 s."""
        try:
            rendered = self._call("/apply-template", {"messages": list(messages)}, TEMPLATE_SECONDS)
        except EngineError as problem:
            if "took longer" in str(problem):
                self.server.child().stop()
                raise EngineError(
                    f"The chat template of {self.server.path.name} did not finish within {TEMPLATE_SECONDS:.0f} s. "
                    "Its engine was ended; export the model with a sound template."
                ) from None
            raise
        return str(rendered["prompt"])

    def tokens(self, text: str) -> list[int]:
        """Token ids of a prompt as the model gets it: special tokens parsed, beginning-of-text once if at all."""
        ids = self._tokenize(text, special=True)
        return ids[1:] if len(ids) > 1 and ids[0] == ids[1] == self._beginning else ids

    @property
    def _beginning(self) -> int | None:
        return self.server.header.metadata.get("tokenizer.ggml.bos_token_id")

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special tokens not added."""
        return len(self._tokenize(text, special=False))

    def _tokenize(self, text: str, special: bool) -> list[int]:
        if "\0" in text:
            raise EngineError("The text holds a NUL character, where llama.cpp would cut it off. Remove it.")
        body = {"content": self.normalized(text), "add_special": special, "parse_special": special}
        return list(self._call("/tokenize", body)["tokens"])

    def normalized(self, text: str) -> str:
        """The text in NFC where the model's tokenizer wants it (Qwen), which llama.cpp leaves out."""
        metadata = self.server.header.metadata
        assumed = "NFC" if metadata.get("tokenizer.ggml.pre") == "qwen2" else ""
        form = metadata.get(NORMALIZER, assumed)
        return unicodedata.normalize("NFC", text) if form == "NFC" else text

    def fit(self, messages: Sequence[Message], max_tokens: int) -> tuple[list[int], str]:
        """(token ids, note): the conversation within the context, its oldest turns left out where it is too long.

        A system message stays. Room for the answer is kept: `max_tokens`, at most a quarter of the context.
        Raises: EngineError if the last turn alone is too long.
        """
        room = self.server.context - min(max_tokens, self.server.context // 4)
        kept = list(messages)
        ids = self.tokens(self.render(kept))
        while len(ids) > room:
            first = 1 if kept and kept[0]["role"] == "system" else 0
            drop = 2 if len(kept) > first + 2 and kept[first + 1]["role"] == "assistant" else 1
            if len(kept) - drop <= first:
                break
            del kept[first : first + drop]
            ids = self.tokens(self.render(kept))
        dropped = len(messages) - len(kept)
        note = (
            f"The oldest {dropped} turns were left out: the context holds {self.server.context} tokens."
            if dropped
            else ""
        )
        return self._checked(ids), note

    def _checked(self, ids: list[int]) -> list[int]:
        if len(ids) >= self.server.context:
            raise EngineError(
                f"The prompt has {len(ids)} tokens; {self.server.path.name} is open with a context of "
                f"{self.server.context}. Shorten it or open the model with a larger context."
            )
        return ids

    def _call(self, path: str, body: Any, timeout: float | None = None) -> Any:
        if self._closed:
            raise EngineCrashed(f"{self.server.path.name} was closed.")
        try:
            return self.server.wire().call(path, body, timeout)
        except EngineCrashed:
            raise self.server.crashed() from None

    def close(self) -> None:
        """Leave the process; the last engine ends it."""
        if not self._closed:
            self._closed = True
            self.server.release()


class LlamaStream(Iterator[Chunk]):
    """One answer on its way. Iterate it once; `close` from any thread stops the generation."""

    def __init__(
        self, engine: LlamaCppEngine, prepare: Callable[[], tuple[list[int], str]], sampling: Sampling
    ) -> None:
        self._engine = engine
        self._server = engine.server
        self._prepare = prepare
        self._sampling = sampling
        self._cancelled = False
        self._events: EventStream | None = None
        self._began = time.perf_counter()
        self._pieces = self._generate()
        self.on_wait: Callable[[int], None] | None = None
        """Called with the place in the queue (1 is next) while no slot is free."""
        self.prompt: list[int] = []
        self.generated: list[int] = []
        self.tokens = 0
        self.note = ""
        self.finish_reason: FinishReason = "cancelled"
        self.ttft_seconds: float | None = None
        self.total_seconds: float | None = None
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

    def completion(self, text: str) -> Completion:
        """The record of the finished answer."""
        notes = (self.note,) if self.note else ()
        return Completion(
            text, len(self.prompt), self.tokens, self.finish_reason, self._engine.identity, self._sampling,
            self.ttft_seconds, self.total_seconds, notes,
        )  # fmt: skip

    def _generate(self) -> Generator[Chunk]:
        self.prompt, self.note = self._prepare()
        lanes, lane = self._server.lanes, -1 if self._engine.adapter is None else self._engine.adapter
        slot = lanes.take_slot(lane, self.prompt, lambda: self._cancelled, self.on_wait)
        if slot is None:
            return
        try:
            yield from self._turns(slot.number, lane)
        finally:
            lanes.give_slot(slot, lane, self.prompt + self.generated)
            self.total_seconds = time.perf_counter() - self._began

    def _turns(self, slot: int, lane: int) -> Iterator[Chunk]:
        """Turn after turn until the answer ends, and its text through the stop filter."""
        lanes, filtered, note = self._server.lanes, StopFilter(self._sampling.stop), self.note
        most = min(self._sampling.max_tokens, self._server.context - len(self.prompt))
        finish: FinishReason | None = None
        while finish is None:
            if not lanes.enter(lane, bool(self.tokens), lambda: self._cancelled):
                return
            try:
                for event in self._turn(slot, lane, most - self.tokens):
                    if event.get("stop"):
                        finish = self._finish(event, most)
                        continue
                    text = filtered.feed(event.get("content", ""))
                    if text:
                        self._clock()
                        yield Chunk(text, len(event.get("tokens", ())) or 1, note=note)
                        note = ""
                    if filtered.stopped:
                        finish = "stop"
                        break
            finally:
                if self._events:
                    self._events.close()
                lanes.leave()
            if self._cancelled:
                return
        rest = filtered.end()
        if rest:
            self._clock()
        self.finish_reason = finish
        yield Chunk(rest, 0, finish, note)

    def _clock(self) -> None:
        self.token_seconds.append(time.perf_counter() - self._began)
        if self.ttft_seconds is None:
            self.ttft_seconds = self.token_seconds[0]

    def _finish(self, event: dict[str, Any], most: int) -> FinishReason | None:
        """None where only the turn has ended, not the answer."""
        if event.get("stop_type") == "limit" and self.tokens < most:
            return None
        return FINISH.get(str(event.get("stop_type")), "stop")

    def _turn(self, slot: int, lane: int, left: int) -> Iterator[dict[str, Any]]:
        """Events of one turn: until the answer ends, or for a few tokens where another lane waits.

        A seeded sample is never interrupted: its random numbers would start over.
        """
        lanes, sampling = self._server.lanes, self._sampling
        whole = sampling.temperature > 0 and sampling.seed is not None
        turn = TURN_TOKENS if self.tokens else FIRST_TURN_TOKENS
        asked = left if whole or not lanes.contested(lane) else min(left, turn)
        body = self._body(slot, asked)
        try:
            self._events = self._server.wire().stream("/completion", body)
            if self._cancelled:
                return
            came, ended = 0, False
            for event in self._events:
                ids = event.get("tokens", ())
                came += len(ids)
                self.tokens += len(ids)
                self.generated.extend(ids)
                ended = bool(event.get("stop"))
                if ended:
                    self._account(event, came)
                yield event
                if not whole and came >= turn and asked == left and not ended and lanes.contested(lane):
                    return
        except EngineCrashed:
            if self._cancelled:
                return
            raise self._server.crashed() from None
        if not ended and not self._cancelled:
            raise self._server.crashed()

    def _account(self, event: dict[str, Any], came: int) -> None:
        """Tokens of half characters come without an event of their own; the last event knows the true count."""
        missing = int(event.get("tokens_predicted", came)) - came
        if event.get("stop_type") == "eos":
            missing -= 1  # the end-of-turn token itself is counted by llama.cpp and is no part of the answer
        self.tokens += max(0, missing)

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
            "cache_prompt": self._engine.reuse or bool(self.generated),
            "id_slot": slot,
            "lora": self._server.scales(self._engine.adapter),
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        return body
