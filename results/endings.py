"""How a process of ours ends with what it belongs to: a terminal that hung up, or the process that started it."""

from __future__ import annotations

import errno
import os
import signal
import threading

LIFELINE = "BAKEOFF_LIFELINE"
"""Environment variable with the descriptor of a pipe that closes when the starter of a process ends."""


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
