"""Where a command's words go: a terminal that they cannot act on, a pipe, a file on a full disk, or nowhere.

Names and messages may come from anywhere, so control characters and direction marks are shown as escapes, whoever
prints them; colours of our own pass on a terminal. Words that cannot be written end the command in one line where they
are its result (stdout), and are dropped where they tell how it goes on (stderr): no training ends for a log.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from typing import Any, TextIO, cast

from results import inert
from results.errors import BakeoffError

COLOUR = re.compile("(\x1b\\[[0-9;]*m)")


class OutputLost(BakeoffError):
    """What a command had to say could not be written."""


def open_streams() -> None:
    """Take over stdout and stderr, and put nothing in the place of what is closed.

    A closed descriptor's number would go to the next file that is opened, and native code's words into that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            nobody = os.open(os.devnull, os.O_RDWR)
            if nobody != number:
                os.dup2(nobody, number)
                os.close(nobody)
    sys.stdout = _opened(sys.stdout, 1, needed=True)
    sys.stderr = _opened(sys.stderr, 2, needed=False)


def unfiltered(stream: TextIO) -> TextIO:
    """The same stream for what draws on a terminal: bars move the cursor, and escape what is not theirs."""
    return stream.plain if isinstance(stream, Words) else stream


class Words(io.TextIOWrapper):
    """Text for a terminal, pipe or file that cannot act on it."""

    def __init__(self, descriptor: int, encoding: str, needed: bool) -> None:
        """needed: raise OutputLost for what cannot be written; else drop it."""
        outlet = _Outlet(descriptor, needed)
        options: dict[str, Any] = {"encoding": encoding, "errors": "backslashreplace", "line_buffering": True}
        super().__init__(cast(Any, outlet), **options, write_through=True)
        self.plain = io.TextIOWrapper(cast(Any, outlet), **options, write_through=True)
        """The same without the filter."""
        self._colours = outlet.isatty()
        self.midline = False
        """Whether the last line has no end yet."""

    def write(self, text: str) -> int:
        """Write text with what would act spelt out; returns its length."""
        parts = COLOUR.split(text) if self._colours else [text]
        self.midline = not text.endswith("\n") if text else self.midline
        super().write("".join(part if place % 2 else inert(part) for place, part in enumerate(parts)))
        return len(text)


class _Outlet(io.RawIOBase):
    """A file descriptor, written whole."""

    def __init__(self, descriptor: int, needed: bool) -> None:
        self._descriptor = descriptor
        self._needed = needed

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except OSError as error:
                if not self._needed:
                    break
                if error.errno == errno.EPIPE:  # whoever read has read enough
                    raise
                raise OutputLost(
                    f"the output cannot be written: {error.strerror}; send it to a file on a disk with room"
                ) from error
        return size


def _opened(stream: TextIO | None, descriptor: int, needed: bool) -> TextIO:
    return Words(descriptor, getattr(stream, "encoding", None) or "utf-8", needed)
