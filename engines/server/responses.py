"""The protocol's objects for the answers to one request: several where it has several prompts or wants several.

What makes them is `engines.server.answering`, one for each.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from engines.interface import Chunk
from engines.server.answering import Answering, Waiting
from engines.server.refusals import of_engine
from results import BakeoffError

Gone = Callable[[], Awaitable[bool]]
Item = Chunk | Waiting | BakeoffError | None
"""What one answer makes; None says that it has ended."""

AT_ONCE = 8
"""Answers of one request that are made together, as far as the engine has room."""
FIRST_SECONDS = 5.0
"""What goes wrong within this time, before anything is sent, is answered with its own status."""


@dataclass
class _Whole:
    """An answer as its pieces add up."""

    text: str = ""
    finish: str = "stop"
    chances: list[Any] = field(default_factory=list)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)

    def take(self, chunk: Chunk) -> None:
        self.text += chunk.text
        self.finish = chunk.finish_reason or self.finish
        self.chances += chunk.chances
        for piece in chunk.calls:
            place = int(piece.get("index", 0))
            blank: dict[str, Any] = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            call = self.calls.setdefault(place, blank)
            call["id"] = piece.get("id") or call["id"]
            for name, value in (piece.get("function") or {}).items():
                call["function"][name] = call["function"].get(name, "") + (value or "")


class Reply:
    """The answers to one request, streamed or whole."""

    def __init__(self, model: str, answerings: Sequence[Answering], chat: bool, copies: int = 0) -> None:
        """`copies`: how many answers in a row have the same prompt; 0: all of them."""
        self._answerings = answerings
        self._chat = chat
        self._copies = copies or len(answerings)
        kind = "chat.completion" if chat else "text_completion"
        self._kinds = kind, f"{kind}.chunk" if chat else kind
        name = f"{'chatcmpl' if chat else 'cmpl'}-{secrets.token_hex(12)}"
        self._head = {"id": name, "created": int(time.time()), "model": model}
        self._queue: asyncio.Queue[tuple[int, Item | Exception]] = asyncio.Queue()
        self._seen: list[tuple[int, Item]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._offsets = [0] * len(answerings)

    def cancel(self) -> None:
        """Stop whatever is still made."""
        for answering in self._answerings:
            answering.cancel()

    async def begin(self, gone: Gone) -> None:
        """Start, and wait a while for the first sign. Raises: what went wrong until then."""
        self._start()
        async with self._watched(gone):
            with suppress(TimeoutError):
                number, item = await asyncio.wait_for(self._queue.get(), FIRST_SECONDS)
                if isinstance(item, Exception):
                    self.cancel()
                    raise item
                self._seen.append((number, item))

    async def chunks(self, include_usage: bool) -> AsyncIterator[dict[str, Any]]:
        """The protocol's chunks, after `begin`."""
        if self._chat:
            for number in range(len(self._answerings)):
                yield self._chunk(number, Chunk("", 0), {"role": "assistant", "content": ""})
        async with aclosing(self._items()) as items:
            async for number, item in items:
                if isinstance(item, BakeoffError):
                    yield of_engine(item)[1]
                    return
                if isinstance(item, Chunk):
                    if item.text or item.chances or item.calls or item.finish_reason:
                        yield self._chunk(number, item)
                elif item is not None:
                    told = {"bakeoff": {"state": item[0], "queue_position": item[1]}}
                    yield {**self._chunk(number, Chunk("", 0), {}), **told}
        if include_usage:
            yield {**self._head, "object": self._kinds[1], "choices": [], "usage": self._usage()}

    async def whole(self, gone: Gone) -> dict[str, Any]:
        """The whole answers; `gone()` says whether nobody waits for them any more. Raises: what the engine raised."""
        found = [_Whole() for _ in self._answerings]
        self._start()
        try:
            async with self._watched(gone), aclosing(self._items()) as items:
                async for number, item in items:
                    if isinstance(item, BakeoffError):
                        raise item
                    if isinstance(item, Chunk):
                        found[number].take(item)
        finally:
            self.cancel()
        choices = [self._choice(number, one) for number, one in enumerate(found)]
        figures = self._answerings[0].figures() if len(found) == 1 else {}
        return {**self._head, "object": self._kinds[0], "choices": choices, **figures, "usage": self._usage()}

    def _start(self) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def pump(number: int, answering: Answering) -> None:
            async with room:
                try:
                    async for item in answering.items():
                        self._queue.put_nowait((number, item))
                except Exception as problem:  # a bug: it is raised where the answer is read
                    self._queue.put_nowait((number, problem))
                self._queue.put_nowait((number, None))

        self._tasks = [asyncio.create_task(pump(number, one)) for number, one in enumerate(self._answerings)]

    async def _items(self) -> AsyncGenerator[tuple[int, Item]]:
        """What all answers make, as it comes, until the last has ended."""
        left = len(self._answerings)
        try:
            while left:
                number, item = self._seen.pop() if self._seen else await self._queue.get()
                if isinstance(item, Exception) and not isinstance(item, BakeoffError):
                    raise item
                left -= item is None
                yield number, item
        finally:
            for task in self._tasks:
                task.cancel()

    @asynccontextmanager
    async def _watched(self, gone: Gone) -> AsyncIterator[None]:
        """Cancels the answers when nobody waits for them any more."""

        async def watch() -> None:
            while not await gone():
                await asyncio.sleep(0.2)
            self.cancel()

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()

    def _usage(self) -> dict[str, int]:
        prompt = sum(one.prompt_tokens for one in self._answerings[:: self._copies])
        tokens = sum(one.tokens for one in self._answerings)
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}

    def _chunk(self, number: int, chunk: Chunk, delta: dict[str, Any] | None = None) -> dict[str, Any]:
        head = {**self._head, "object": self._kinds[1]}
        choice: dict[str, Any] = {"index": number, "finish_reason": chunk.finish_reason, "logprobs": None}
        if chunk.chances:
            choice["logprobs"] = self._chances(number, chunk.chances)
        if self._chat:
            made: dict[str, Any] = {"content": chunk.text} if chunk.text else {}
            if chunk.calls:
                made["tool_calls"] = list(chunk.calls)
            choice["delta"] = made if delta is None else delta
        else:
            choice["text"] = chunk.text
        figures = self._answerings[number].figures() if chunk.finish_reason else {}
        return {**head, "choices": [choice], **figures}

    def _choice(self, number: int, one: _Whole) -> dict[str, Any]:
        chances = self._chances(number, one.chances) if one.chances else None
        if not self._chat:
            return {"index": number, "text": one.text, "finish_reason": one.finish, "logprobs": chances}
        message: dict[str, Any] = {"role": "assistant", "content": one.text, "refusal": None}
        if one.calls:
            message |= {"content": one.text or None, "tool_calls": [one.calls[place] for place in sorted(one.calls)]}
        return {"index": number, "message": message, "finish_reason": one.finish, "logprobs": chances}

    def _chances(self, number: int, chances: Sequence[Any]) -> dict[str, Any]:
        """Log-probabilities as chat answers have them, or as raw completions do."""
        if self._chat:
            return {"content": list(chances), "refusal": None}
        texts = [one["token"] for one in chances]
        offsets = []
        for text in texts:
            offsets.append(self._offsets[number])
            self._offsets[number] += len(text)
        return {
            "tokens": texts,
            "token_logprobs": [one["logprob"] for one in chances],
            "top_logprobs": [{top["token"]: top["logprob"] for top in one.get("top_logprobs", ())} for one in chances],
            "text_offset": offsets,
        }
