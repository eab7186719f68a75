"""Engine processes one after another: when one has ended, a new one takes its place and what it had not begun.

A process that was killed runs, listens and takes connections for a while yet. So whether one can be asked is found out
by asking: a connection that breaks is the sign, never `alive` alone. Covers no protocol and starts nothing itself:
`start` makes a process (an `engines.processes.child_process.ChildProcess`), `ask` is given it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

from engines.errors import EngineCrashed
from engines.interface import Chunk, CountedStream

ASKED_AGAIN = "The engine's process ended before the answer began; a new one was started and asked, which took time."
"""The note of an answer whose first token waited for that."""


class Process(Protocol):
    """What a succession needs of an engine's process."""

    details: dict[str, Any]
    """What the process said when it had loaded; `gpu_bytes` among it where it lies on a GPU."""

    @property
    def alive(self) -> bool:
        """Whether it still runs. One that was killed may do so for a while: see `gone`."""
        ...

    def gone(self) -> bool:
        """Whether it has ended, or ends: asked after a connection to it broke."""
        ...

    def reason(self) -> str:
        """Why it ended, in one sentence."""
        ...

    def memory_bytes(self) -> int:
        """Resident memory now."""
        ...

    def stop(self) -> None:
        """End it. Idempotent."""
        ...


T = TypeVar("T")
P = TypeVar("P", bound=Process)


class Succession(Generic[P]):
    """A child process and its successors. Thread-safe."""

    def __init__(self, name: str, start: Callable[[], P]) -> None:
        """Start the first. `name` is what errors call the model. Raises: what `start` raises."""
        self.name = name
        self.restarts = 0
        self._start = start
        self._lock = threading.Lock()
        self._closed = False
        self._present = self._begin()

    def _begin(self) -> P:
        try:
            return self._start()
        except EngineCrashed:  # killed while it loaded; a file that kills whoever loads it does so twice
            return self._start()

    def child(self) -> P:
        """The running process; a new one if the last one ended. Raises: EngineCrashed after `close`."""
        with self._lock:
            if self._closed:
                raise EngineCrashed(f"{self.name} was closed.")
            if not self._present.alive:
                self._present.stop()
                self._present = self._begin()
                self.restarts += 1
            return self._present

    def lost(self, child: P) -> None:
        """A connection to this child broke: see it end, so that the next request goes to a new one.

        One that still listens lives, and others may be in the middle of their answers: it is kept.
        """
        if child.gone():
            child.stop()

    def crashed(self, child: P) -> EngineCrashed:
        """The error of a request that this child did not finish: why it ended and what becomes of it."""
        self.lost(child)
        return EngineCrashed(
            f"The engine of {self.name} failed: {child.reason()}. A new one is started for the next request."
        )

    def ask(self, ask: Callable[[P], T]) -> T:
        """What `ask` gets from the running process; asked again of a new one, once, if the connection breaks.

        Raises: EngineCrashed if it breaks again; what `ask` raises.
        """
        child = self.child()
        try:
            return ask(child)
        except EngineCrashed:
            self.lost(child)
        child = self.child()
        try:
            return ask(child)
        except EngineCrashed:
            raise self.crashed(child) from None

    def memory_bytes(self, on_gpu: bool = False) -> int:
        """Resident memory of the present process, 0 if it has ended, which starts no new one.

        on_gpu: the GPU's memory instead, as the process said when it had loaded.
        """
        return int(self._present.details.get("gpu_bytes", 0)) if on_gpu else self._present.memory_bytes()

    def close(self) -> None:
        """End it; there is no successor."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._present.stop()


class Stream(Iterator[Chunk], Generic[P]):
    """A streamed answer of a child: asked again of a new one, once, if the first ends before the first piece.

    Iterate it once; `close` from any thread stops the generation.
    """

    def __init__(self, children: Succession[P], ask: Callable[[P], CountedStream]) -> None:
        """`ask` begins the answer in the process that it is given."""
        self._children = children
        self._ask = ask
        self._child: P | None = None
        self._stream: CountedStream | None = None
        self._begun = self._again = False
        self._cancelled = threading.Event()

    def __iter__(self) -> Stream[P]:
        return self

    def __next__(self) -> Chunk:
        while not self._cancelled.is_set():
            if self._stream is None:
                self._child = self._children.child()
                self._stream = self._ask(self._child)
                continue  # it may have been closed meanwhile
            try:
                piece = next(self._stream)
            except EngineCrashed:
                assert self._child is not None
                if self._cancelled.is_set():
                    break
                if self._begun or self._again:
                    raise self._children.crashed(self._child) from None
                self._children.lost(self._child)
                self._stream, self._again = None, True
                continue
            if self._again and not self._begun:
                piece = replace(piece, note=f"{piece.note} {ASKED_AGAIN}".strip())
            self._begun = True
            return piece
        raise StopIteration

    def close(self) -> None:
        """Stop. From another thread it takes effect with the next piece."""
        self._cancelled.set()
        if (stream := self._stream) is not None:
            with suppress(ValueError):
                stream.close()

    @property
    def tokens(self) -> int:
        """Tokens of the answer so far."""
        return self._stream.tokens if self._stream is not None else 0

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, once the process has said so."""
        return self._stream.prompt_tokens if self._stream is not None else 0
