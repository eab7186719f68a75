"""One request of `serve` on its way: a thread drives the engine, the event loop sends what it makes.

The engine's iterator blocks, so it runs in a thread of its own; chunks cross into the event loop through a queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from engines.errors import EngineCrashed, EngineError
from engines.interface import AnswerStream, Chunk, CountedStream, Engine, Message, QueuedStream, Sampling
from engines.server.lending import Lender
from engines.server.requests import error_body
from results import BakeoffError, Model

Waiting = tuple[str, int]
"""(state, queue position)."""
Gone = Callable[[], Awaitable[bool]]

PROMPTS_AT_ONCE = 8
"""Prompts of one request that are continued together, as far as the engine has room."""


class Answering:
    """One answer to one request."""

    def __init__(
        self,
        lender: Lender,
        model: Model,
        sampling: Sampling,
        *,
        messages: Sequence[Message] = (),
        prompt: str | None = None,
    ) -> None:
        self._lender = lender
        self._model = model
        self._sampling = sampling
        self._messages = messages
        self._prompt = prompt
        self._cancelled = threading.Event()
        self._stream: AnswerStream | None = None
        self._began = time.perf_counter()
        self._created = int(time.time())
        self._id = f"{'chatcmpl' if prompt is None else 'cmpl'}-{self._created:x}{id(self):x}"
        self._first: float | None = None
        self._last = 0.0
        self._notes: list[str] = []
        self._tokens = 0
        self._prompt_tokens = 0

    def cancel(self) -> None:
        """Stop generating, from any thread."""
        self._cancelled.set()
        if self._stream is not None:
            with contextlib.suppress(ValueError):  # a generator that runs now: `_run` stops it after this piece
                self._stream.close()

    async def chat_chunks(self, include_usage: bool) -> AsyncIterator[dict[str, Any]]:
        """The protocol's chunks of a chat answer."""
        yield self._chunk({"role": "assistant", "content": ""})
        async for piece in self._pieces(lambda state: self._chunk({}, None, state)):
            yield self._chunk({"content": piece.text}) if isinstance(piece, Chunk) else piece
        if include_usage:
            yield {**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage()}

    async def text_chunks(self, include_usage: bool) -> AsyncIterator[dict[str, Any]]:
        """The protocol's chunks of a raw completion."""
        async for piece in self._pieces(lambda state: self._text("", None, state)):
            yield self._text(piece.text) if isinstance(piece, Chunk) else piece
        if include_usage:
            yield {**self._head("text_completion"), "choices": [], "usage": self._usage()}

    async def chat_answer(self, gone: Gone) -> dict[str, Any]:
        """A whole chat answer; `gone()` says whether nobody waits for it any more.

        Raises: what the engine raised.
        """
        async with _watched([self], gone):
            text, finish = await self.whole()
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        return {**self._head("chat.completion"), "choices": [choice], **self._figures(), "usage": self._usage()}

    async def whole(self) -> tuple[str, str]:
        """(text, finish reason) when the answer is complete. Raises: what the engine raised."""
        text, finish = "", "stop"
        async for item in self._items():
            if isinstance(item, BakeoffError):
                raise item
            if isinstance(item, Chunk):
                text += item.text
                finish = item.finish_reason or finish
        return text, finish

    async def _pieces(self, waiting: Callable[[Waiting], dict[str, Any]]) -> AsyncIterator[Chunk | dict[str, Any]]:
        """Chunks with text, and ready-made chunks for waiting, the end and errors."""
        async for item in self._items():
            if isinstance(item, BakeoffError):
                status = 503 if isinstance(item, EngineCrashed) else 400
                yield error_body(str(item), status)
                return
            if isinstance(item, tuple):
                yield waiting(item)
                continue
            if item.text:
                yield item
            if item.finish_reason:
                last = (
                    self._chunk({}, item.finish_reason) if self._prompt is None else self._text("", item.finish_reason)
                )
                yield {**last, **self._figures()}

    async def _items(self) -> AsyncIterator[Chunk | Waiting | BakeoffError]:
        """What the thread delivers, until it has finished."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Any]()

        def put(item: Any) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, item)

        thread = threading.Thread(target=self._run, args=(put,), daemon=True, name=f"answer {self._model.name}")
        thread.start()
        while (item := await queue.get()) is not None:
            if isinstance(item, Exception) and not isinstance(item, BakeoffError):
                raise item
            yield item

    def _run(self, put: Callable[[Any], None]) -> None:
        try:
            with self._lender.lease(
                self._model, self._cancelled.is_set, lambda state, position: put((state, position))
            ) as engine:
                if engine is None:
                    if not self._cancelled.is_set():
                        put(EngineError("The server is closing."))
                    return
                finished = False
                for chunk in self._start(engine, put):
                    if self._cancelled.is_set():
                        return
                    self._account(chunk)
                    finished = finished or chunk.finish_reason is not None
                    put(chunk)
                if not finished and not self._cancelled.is_set():  # never shown as an answer, least of all an empty one
                    raise EngineCrashed(f"The answer of {self._model.name} broke off. Ask again.")
        except Exception as problem:
            put(problem)
        finally:
            put(None)

    def _start(self, engine: Engine, put: Callable[[Any], None]) -> AnswerStream:
        if self._prompt is None:
            stream = engine.stream(self._messages, self._sampling)
        else:
            stream = engine.stream_text(self._prompt, self._sampling)
        self._stream = stream
        if not isinstance(stream, CountedStream):
            prompt = engine.render(self._messages) if self._prompt is None else self._prompt
            self._prompt_tokens = engine.count_tokens(prompt)
        if isinstance(stream, QueuedStream):
            stream.on_wait = lambda position: put(("waiting", position))
        if self._cancelled.is_set():
            stream.close()
        return stream

    def _account(self, chunk: Chunk) -> None:
        self._last = time.perf_counter() - self._began
        if chunk.text and self._first is None:
            self._first = self._last
        self._tokens += chunk.tokens
        if chunk.note:
            self._notes.append(chunk.note)

    def _usage(self) -> dict[str, int]:
        counted = self._stream if isinstance(self._stream, CountedStream) else None
        prompt = counted.prompt_tokens if counted else self._prompt_tokens
        tokens = (counted.tokens if counted else 0) or self._tokens
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}

    def _figures(self) -> dict[str, Any]:
        """The fields `timings` (llama-server's) and `bakeoff` (ours) of a finished answer."""
        usage = self._usage()
        first, tokens = self._first or self._last, usage["completion_tokens"]
        decode = self._last - first
        speed = (tokens - 1) / decode if tokens > 1 and decode > 0 else None
        return {
            "timings": {
                "prompt_n": usage["prompt_tokens"], "prompt_ms": 1000 * first, "predicted_n": tokens,
                "predicted_ms": 1000 * decode, "predicted_per_second": speed,
            },
            "bakeoff": {
                "state": "done", "ttft_seconds": self._first, "total_seconds": self._last, "tokens": tokens,
                "tokens_per_second": speed, "notes": self._notes, "model_id": self._model.id,
                "identity": self._model.identity,
            },
        }  # fmt: skip

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model.name}

    def _chunk(
        self, delta: dict[str, Any], finish: str | None = None, waiting: Waiting | None = None
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {**self._head("chat.completion.chunk"), "choices": [choice], **_waiting(waiting)}

    def _text(self, text: str, finish: str | None = None, waiting: Waiting | None = None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
        return {**self._head("text_completion"), "choices": [choice], **_waiting(waiting)}


async def text_answers(answerings: Sequence[Answering], gone: Gone) -> dict[str, Any]:
    """Whole raw completions of a request's prompts; figures where there is one. Raises: what the engine raised."""
    room = asyncio.Semaphore(PROMPTS_AT_ONCE)

    async def one(answering: Answering) -> tuple[str, str]:
        async with room:
            return await answering.whole()

    async with _watched(answerings, gone):
        texts = await asyncio.gather(*(one(answering) for answering in answerings))
    choices = [
        {"index": index, "text": text, "finish_reason": finish, "logprobs": None}
        for index, (text, finish) in enumerate(texts)
    ]
    usages = [answering._usage() for answering in answerings]
    usage = {name: sum(one[name] for one in usages) for name in usages[0]}
    figures = answerings[0]._figures() if len(answerings) == 1 else {}
    return {**answerings[0]._head("text_completion"), "choices": choices, **figures, "usage": usage}


@asynccontextmanager
async def _watched(answerings: Sequence[Answering], gone: Gone) -> AsyncIterator[None]:
    """Cancels the answers when nobody waits for them any more, and whatever is left of them at the end."""

    async def watch() -> None:
        while not await gone():
            await asyncio.sleep(0.2)
        for answering in answerings:
            answering.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        for answering in answerings:
            answering.cancel()


def _waiting(waiting: Waiting | None) -> dict[str, Any]:
    return {"bakeoff": {"state": waiting[0], "queue_position": waiting[1]}} if waiting else {}
