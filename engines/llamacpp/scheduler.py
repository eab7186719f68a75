"""Who may use llama.cpp's slots, and when: fair slices of time between adapters of one base.

llama.cpp puts requests with different adapters into different batches and always serves the first slot's adapter
first: four panes on four adapters would answer one after the other. So the requests of one adapter run at a time,
batched by llama.cpp, and while another adapter's wait, each adapter gets slices of a few tokens. A request that has not
begun goes before those that have. Covers no memory: that is `engines.server.residency`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

FIRST_SLICE_TOKENS = 2
"""Tokens of a request's first contested slice: enough to show that it lives."""
SLICE_TOKENS = 8
"""Tokens of every later contested slice. A slice costs one round trip, about 1 ms."""


BASE = -1
"""The adapter number of requests without one."""

LEAST_REUSED = 64
"""Tokens that a slot must hold of a prompt's beginning for a measurement not to compute them again: of what is shorter,
nothing depends on what was asked before."""


@dataclass
class Slot:
    """One of llama.cpp's slots and the tokens whose keys and values it holds."""

    number: int
    adapter: int = BASE
    """The adapter that computed them."""
    tokens: list[int] = field(default_factory=list)
    used: int = 0
    """Counter of its last use."""


@dataclass(eq=False)
class _Ticket:
    adapter: int
    begun: bool


class Scheduler:
    """Slots and slices of one llama.cpp process. Thread-safe."""

    def __init__(self, slots: int) -> None:
        self._free = [Slot(number) for number in range(slots)]
        self._clock = 0
        self._adapter = BASE
        self._running = 0
        self._waiting: list[_Ticket] = []
        self._slot_queue: list[object] = []
        self._change = threading.Condition()

    def take_slot(
        self,
        adapter: int,
        tokens: Sequence[int],
        cancelled: Callable[[], bool],
        on_wait: Callable[[int], None] | None = None,
    ) -> Slot | None:
        """The free slot that shares most of the prompt with this adapter, else the longest unused; None if cancelled.

        First come, first served; `on_wait(position)` is called at each change of place, 1 being next.
        """
        ticket, said = object(), 0
        with self._change:
            self._slot_queue.append(ticket)
            try:
                while not (self._free and self._slot_queue[0] is ticket):
                    place = self._slot_queue.index(ticket) + 1
                    if on_wait and place != said:
                        on_wait(place)
                        said = place
                    self._change.wait(0.1)
                    if cancelled():
                        return None
                slot = max(self._free, key=lambda free: (shared_tokens(free, adapter, tokens), -free.used))
                self._free.remove(slot)
                return slot
            finally:
                self._slot_queue.remove(ticket)
                self._change.notify_all()

    def give_slot(self, slot: Slot, adapter: int, tokens: list[int]) -> None:
        """Return a slot that now holds these tokens, computed with this adapter."""
        with self._change:
            self._clock += 1
            slot.adapter, slot.tokens, slot.used = adapter, tokens, self._clock
            self._free.append(slot)
            self._change.notify_all()

    @property
    def waiting(self) -> int:
        """Requests that have no slot yet."""
        with self._change:
            return len(self._slot_queue)

    def enter(self, adapter: int, begun: bool, cancelled: Callable[[], bool]) -> bool:
        """Wait for a slice; False if cancelled meanwhile."""
        ticket = _Ticket(adapter, begun)
        with self._change:
            if begun:
                self._waiting.append(ticket)
            else:
                self._waiting.insert(sum(not other.begun for other in self._waiting), ticket)
            try:
                while not self._may_run(ticket):
                    self._change.wait(0.1)
                    if cancelled():
                        return False
                self._adapter = adapter
                self._running += 1
                return True
            finally:
                self._waiting.remove(ticket)
                self._change.notify_all()

    def leave(self) -> None:
        """End a slice."""
        with self._change:
            self._running -= 1
            self._change.notify_all()

    def contested(self, adapter: int) -> bool:
        """Whether a request with another adapter waits for a slice."""
        return any(ticket.adapter != adapter for ticket in list(self._waiting))

    def _may_run(self, ticket: _Ticket) -> bool:
        if self._running:
            return ticket.adapter == self._adapter and not self.contested(ticket.adapter)
        return ticket.adapter == self._waiting[0].adapter


def shared_tokens(slot: Slot, adapter: int, tokens: Sequence[int]) -> int:
    """Tokens at the start that need not be computed again if this prompt goes to this slot."""
    if slot.adapter != adapter:
        return 0
    shared = 0
    for held, wanted in zip(slot.tokens, tokens, strict=False):
        if held != wanted:
            break
        shared += 1
    return shared
