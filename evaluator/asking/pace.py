"""How many requests are in flight at an endpoint: more while that makes it faster, fewer when it says it is full.

An endpoint may be one slot of Ollama or a vLLM that wants 256 requests; it does not say. So it begins with a few, and
doubles them as long as the tokens of a second grow with them. An answer of "too many" (429, 503) halves them, and the
request is made again after what the endpoint asks for, or a pause that doubles. Nothing of it touches an answer.

Not here: the requests (`evaluator.asking.text_backend`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from engines import EngineBusy, EngineError, Generated

FIRST = 8
"""Requests in flight at the beginning."""
MOST = 256
"""Requests in flight at most, unless told: as many as vLLM serves together by default."""
GROWTH = 1.15
"""Twice the requests must bring so many times the tokens of a second, or there are enough."""
TRIES = 8
"""Refusals of one request after which the endpoint is given up for now."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries of one request at most, unless the endpoint asks for more."""


class Pace:
    """The number of requests in flight. Thread-safe."""

    def __init__(
        self,
        fixed: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """`fixed`: so many from the beginning to the end, fewer only where the endpoint refuses."""
        self._closed = threading.Event()
        self.most = fixed or MOST
        self.level = fixed or FIRST
        """Requests that may be in flight now."""
        self.refusals = 0
        self._growing = fixed is None
        self._clock, self._sleep = clock, sleep or self._closed.wait
        self._gate = threading.Condition()
        self._running = 0
        self._began: float | None = None
        self._answers = 0
        self._tokens = 0
        self._before = 0.0
        """Tokens per second with half as many."""

    def ask(self, request: Callable[[], Generated]) -> Generated:
        """The answer to a request, once there is room for it. Raises: what the request raises, EngineBusy at last."""
        for attempt in range(TRIES):
            level = self._enter()
            try:
                answer = request()
            except EngineBusy as error:
                self._leave()
                self._refused(level)
                if attempt + 1 == TRIES:
                    raise
                self._sleep(max(error.retry_seconds, min(2.0**attempt, LONGEST_PAUSE)))
                continue
            except BaseException:
                self._leave()
                raise
            self._leave(answer.tokens)
            return answer
        raise AssertionError("the last refusal is raised")

    def close(self) -> None:
        """Let nobody in any more, and wake up who waits."""
        self._closed.set()
        with self._gate:
            self._gate.notify_all()

    def _enter(self) -> int:
        """Wait for room; the level under which the request goes out."""
        with self._gate:
            while self._running >= self.level and not self._closed.is_set():
                self._gate.wait()
            if self._closed.is_set():
                raise EngineError("Nobody waits for this answer any more.")
            self._running += 1
            if self._began is None:
                self._began = self._clock()
            return self.level

    def _leave(self, tokens: int | None = None) -> None:
        with self._gate:
            self._running -= 1
            if tokens is not None:
                self._answers += 1
                self._tokens += tokens
                if self._growing and self._answers >= 2 * self.level:
                    self._judge()
            self._gate.notify_all()

    def _judge(self) -> None:
        """After two answers for each request in flight: have the last ones that were added paid?"""
        now = self._clock()
        rate = self._tokens / max(now - (self._began or 0.0), 1e-9)
        if rate < GROWTH * self._before or self.level >= self.most:
            self._growing = False
        else:
            self.level = min(self.most, 2 * self.level)
        self._before, self._began, self._answers, self._tokens = rate, now, 0, 0

    def _refused(self, level: int) -> None:
        """Half as many as when the request went out: those that went out with it and are refused too count once."""
        with self._gate:
            self.refusals += 1
            self._growing = False
            self.level = max(1, min(self.level, level // 2))
