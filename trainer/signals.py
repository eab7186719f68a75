"""Signals: Ctrl-C and SIGTERM end what is quickly begun again at once, and let a training step and its save finish."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stop:
    """Set when the process was asked to end: by Ctrl-C or SIGTERM, or by a caller."""

    def __init__(self) -> None:
        self.asked = False
        self._orderly = False

    @contextmanager
    def orderly(self) -> Iterator[None]:
        """A block that looks at `asked` itself and ends in order; elsewhere a signal raises KeyboardInterrupt."""
        self._orderly = True
        try:
            yield
        finally:
            self._orderly = False

    def ask(self, at_once: bool) -> bool:
        """Ask for the end. True if that has to be now: nobody would look at `asked`, or it is asked `at_once` again."""
        again, self.asked = self.asked, True
        return at_once if again else not self._orderly


@contextmanager
def stop_on_signals(waiting: Callable[[], Any] = bool) -> Iterator[Stop]:
    """Ctrl-C and SIGTERM ask for the end; in an orderly block the first one waits, which `waiting` may tell the person.

    `waiting` runs in a thread: whatever it writes to may be in use at that moment. A second Ctrl-C does not wait; a
    second SIGTERM changes nothing, since timeout(1) sends two. Only in a process's main thread; in others nothing is
    caught.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def asked(number: int, _: Any) -> None:
        first = not stop.asked
        if stop.ask(at_once=number == signal.SIGINT):
            raise KeyboardInterrupt
        if first:
            threading.Thread(target=waiting, daemon=True).start()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
