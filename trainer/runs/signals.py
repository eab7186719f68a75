"""Ctrl-C, SIGTERM and a closed terminal: what is quickly begun again ends at once, a step and its save finish."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from results import HANG_UP, silence_hung_up

TELLING_SECONDS = 10.0
"""The time for telling the person, at most, before the process goes on to its end."""


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
    """Ctrl-C, SIGTERM and a closed terminal ask for the end; in an orderly block the first one waits.

    `waiting` may tell the person, in a thread: whatever it writes to may be in use at that moment. A second Ctrl-C does
    not wait; a second SIGTERM changes nothing, since timeout(1) sends two. Only in a process's main thread; in others
    nothing is caught.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    telling: list[threading.Thread] = []

    def asked(number: int, _: Any) -> None:
        if number == HANG_UP:
            silence_hung_up()
        first = not stop.asked
        if stop.ask(at_once=number == signal.SIGINT):
            raise KeyboardInterrupt
        if first:
            telling.append(threading.Thread(target=waiting, daemon=True))
            telling[0].start()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if HANG_UP and signal.getsignal(HANG_UP) is not signal.SIG_IGN:  # else it was started by nohup
        numbers.append(HANG_UP)
    before = {number: signal.signal(number, asked) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for thread in telling:  # a process that ends while another of its threads writes is aborted
            thread.join(TELLING_SECONDS)
