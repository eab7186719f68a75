"""A process of ours and what it belongs to: the terminal that it writes to, the process that started it.

What would act on a terminal is spelt out, whoever wrote it; a terminal may hang up, and a starter may be killed.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import sys
import threading
from typing import Any, TextIO

LIFELINE = "BAKEOFF_LIFELINE"
"""Environment variable with the descriptor of a pipe that closes when the starter of a process ends."""

ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, further ends of lines, and what turns the direction of text."""


def end_with_starter() -> None:
    """End in order (SIGTERM) when a starter that holds a lifeline is gone, even if it was killed."""
    number = os.environ.pop(LIFELINE, "")
    if not number:
        return

    def watch() -> None:
        while os.read(int(number), 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


def silence_hung_up() -> None:
    """Send what would be written to a terminal that has hung up to nobody: every word to it is an error."""
    nobody = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        try:
            os.ttyname(number)
        except OSError as problem:
            if problem.errno == errno.EIO:
                os.dup2(nobody, number)
    os.close(nobody)


def inert(text: str) -> str:
    """The text with what would act on a terminal as escapes; tabs and newlines stay."""
    return ACTING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Inert:
    """A stream on which nothing acts that is written to it; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text with what would act spelt out; returns its length."""
        self._stream.write(inert(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def quell() -> None:
    """Make this process's stdout, stderr and the log handlers that write to them inert: for servers of other hands."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, Inert):
            continue
        made = Inert(stream)
        setattr(sys, name, made)
        loggers = [logging.getLogger(), *(logging.getLogger(one) for one in list(logging.root.manager.loggerDict))]
        for handler in {handler for logger in loggers for handler in logger.handlers}:
            if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                handler.setStream(made)
