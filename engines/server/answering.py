"""One answer of `serve` on its way: a thread drives the engine, the event loop takes what it makes.

The engine's iterator blocks, so it runs in a thread of its own; chunks cross into the event loop through a queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from engines.demands import DemandingEngine, Demands
from engines.errors import EngineCrashed, EngineError
from engines.interface import AnswerStream, Chunk, CountedStream, Engine, Message, QueuedStream, Sampling
from engines.server.lending import Lender
from results import BakeoffError, Model

Waiting = tuple[str, int]
"""(state, queue position)."""

REMEDY = "A GGUF of it can do more: bakeoff export NAME --format gguf-q8_0. Or leave it out."


class Answering:
    """One answer to one conversation or raw prompt."""

    def __init__(
        self,
        lender: Lender,
        model: Model,
        asked: Sequence[Message] | str,
        sampling: Sampling,
        demands: Demands,
        notes: Sequence[str] = (),
    ) -> None:
        """`notes`: what whoever reads the answer should know before it begins."""
        self._lender = lender
        self._model = model
        self._asked = asked
        self._sampling = sampling
        self._demands = demands
        self._cancelled = threading.Event()
        self._stream: AnswerStream | None = None
        self._began = self._ready = time.perf_counter()
        self._first: float | None = None
        self._last = 0.0
        self._notes = list(notes)
        self._tokens = 0
        self._prompt_tokens = 0

    def cancel(self) -> None:
        """Stop generating, from any thread."""
        self._cancelled.set()
        if self._stream is not None:
            with contextlib.suppress(ValueError):  # a generator that runs now: `_run` stops it after this piece
                self._stream.close()

    async def items(self) -> AsyncIterator[Chunk | Waiting | BakeoffError]:
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
                self._ready = time.perf_counter()
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
            if self._stream is not None:  # a cancelled one that is left where it stands would keep its place
                self._stream.close()
            put(None)

    def _start(self, engine: Engine, put: Callable[[Any], None]) -> AnswerStream:
        self._stream = stream = self._asked_of(engine)
        if not isinstance(stream, CountedStream):
            prompt = self._asked if isinstance(self._asked, str) else engine.render(self._asked)
            self._prompt_tokens = engine.count_tokens(prompt)
        if isinstance(stream, QueuedStream):
            stream.on_wait = lambda position: put(("waiting", position))
        if self._cancelled.is_set():
            stream.close()
        return stream

    def _asked_of(self, engine: Engine) -> AnswerStream:
        names = self._demands.names(() if isinstance(self._asked, str) else self._asked)
        if not names:
            if isinstance(self._asked, str):
                return engine.stream_text(self._asked, self._sampling)
            return engine.stream(self._asked, self._sampling)
        if not isinstance(engine, DemandingEngine):
            what = ", ".join(names)
            raise EngineError(
                f"The engine of {self._model.name} ({self._model.form}) cannot do this: {what}. {REMEDY}",
                code="unsupported_parameter", parameter=names[0].split()[0],
            )  # fmt: skip
        return engine.answer(self._asked, self._sampling, self._demands)

    def _account(self, chunk: Chunk) -> None:
        self._last = time.perf_counter() - self._began
        if (chunk.text or chunk.calls) and self._first is None:
            self._first = self._last
        self._tokens += chunk.tokens
        if chunk.note:
            self._notes.append(chunk.note)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, once they are known."""
        return self._stream.prompt_tokens if isinstance(self._stream, CountedStream) else self._prompt_tokens

    @property
    def tokens(self) -> int:
        """Tokens of the answer so far."""
        return (self._stream.tokens if isinstance(self._stream, CountedStream) else 0) or self._tokens

    @property
    def waited_seconds(self) -> float:
        """How long the request waited for the model to be loaded and for its place in the engine."""
        return self._ready - self._began + float(getattr(self._stream, "waited_seconds", 0.0))

    def figures(self) -> dict[str, Any]:
        """The fields `timings` (llama-server's) and `bakeoff` (ours) of a finished answer."""
        first, tokens = self._last if self._first is None else self._first, self.tokens
        decode, waited = self._last - first, self.waited_seconds
        speed = (tokens - 1) / decode if tokens > 1 and decode > 0 else None
        return {
            "timings": {
                "prompt_n": self.prompt_tokens, "prompt_ms": 1000 * max(0.0, first - waited), "predicted_n": tokens,
                "predicted_ms": 1000 * decode, "predicted_per_second": speed,
            },
            "bakeoff": {
                "state": "done", "ttft_seconds": self._first, "waited_seconds": waited, "total_seconds": self._last,
                "tokens": tokens, "tokens_per_second": speed, "notes": self._notes, "model_id": self._model.id,
                "identity": self._model.identity,
            },
        }  # fmt: skip
