"""Conversations on the disk while they are mixed and filtered: eight bytes of memory a row, however many there are.

shelf = Shelf()
shelf.append(row)
rows = Picked(shelf, range(len(shelf) - 1, -1, -1))     # a sequence like any other; a row is read when it is asked for
"""

from __future__ import annotations

import errno
import marshal
import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, overload

from engines import cache_folder
from trainer.errors import DataInvalid
from trainer.sources.conversations import Conversation

UNWRITTEN_BYTES = 4 << 20
"""Rows kept in memory before they are written; small data sets never touch the disk."""


class Rows(Sequence[Conversation]):
    """Rows that are made anew each time they are asked for. Equal to any sequence of equal rows."""

    @overload
    def __getitem__(self, place: int) -> Conversation: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Conversation]: ...
    def __getitem__(self, place: int | slice) -> Conversation | Sequence[Conversation]:
        """The row at a place, or the rows of a slice."""
        if isinstance(place, slice):
            return Picked(self, range(*place.indices(len(self))))
        size = len(self)
        if not -size <= place < size:
            raise IndexError(f"there are {size} rows, none at {place}")
        return self.row(place % size)

    def row(self, place: int) -> Conversation:
        """The row at a place, 0 ≤ place < len(self)."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Conversation]:
        """Every row in order."""
        return map(self.row, range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether the other one has the same rows in the same order."""
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as lists


class Picked(Rows):
    """Some rows of a sequence, in an order of their own."""

    def __init__(self, rows: Sequence[Conversation], places: Iterable[int]) -> None:
        """places: which rows, by their index in `rows`."""
        inside = rows if isinstance(rows, Picked) else None
        self._rows: Sequence[Conversation] = rows if inside is None else inside._rows
        self._places: array[int] = array("q", places if inside is None else map(inside._places.__getitem__, places))

    def __len__(self) -> int:
        return len(self._places)

    def row(self, place: int) -> Conversation:
        """The row at a place."""
        return self._rows[self._places[place]]

    def __iter__(self) -> Iterator[Conversation]:
        """Every row in order."""
        rows = self._rows
        return map(rows.row if isinstance(rows, Rows) else rows.__getitem__, self._places)


class Shelf(Rows):
    """Rows in a file without a name on the cache folder's disk, which is gone with its last user."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._ends = array("q", [0])
        """Where each row ends in the file, or would."""
        self._unwritten: list[bytes] = []
        self._written = 0
        """Rows in the file."""

    def append(self, row: Conversation) -> None:
        """Keep a row. Raises: as `put`."""
        self.put(row.messages, row.source, row.row, row.extra, row.tools)

    def put(self, *row: Any) -> None:
        """Keep a row that is none yet: messages, source, row, extra and tools, as `Conversation` has them.

        Raises: DataInvalid when the disk does not take it; ValueError when the row holds what JSON does not.
        """
        data = marshal.dumps(row)
        self._unwritten.append(data)
        self._ends.append(self._ends[-1] + len(data))
        if self._ends[-1] - self._ends[self._written] >= UNWRITTEN_BYTES:
            self._write()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def row(self, place: int) -> Conversation:
        """The row at a place."""
        if place >= self._written:
            data = self._unwritten[place - self._written]
        else:
            start = self._ends[place]
            assert self._file is not None
            data = os.pread(self._file.fileno(), self._ends[place + 1] - start, start)
        found: tuple[Any, ...] = marshal.loads(data)
        return Conversation(*found)

    def _write(self) -> None:
        folder = cache_folder()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 it ends with the shelf
            data = memoryview(b"".join(self._unwritten))
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
            raise DataInvalid(
                f"Cannot keep rows in {folder} while they are read: {why}. Make room there, or set BAKEOFF_CACHE "
                "to a folder on another disk"
            ) from error
        self._written += len(self._unwritten)
        self._unwritten = []
