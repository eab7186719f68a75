"""One way in for files that other people made: regular files only, of a bounded size, packed or not, as bytes or text.

    data = read_bytes(path)                    # gzip is unpacked, whatever the name says
    with below(folder): read_text(path)        # nor does a link lead out of the folder

Everything that cannot be read raises `FileUnreadable`: one line that names the file and the reason. Our own files, in
the workspace and the cache, are not this module's business. Not here: what the
text means (`results.files.documents`).
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, cast

from results.errors import FileUnreadable

FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
"""A file is opened to be read, as bytes, without waiting for a pipe's writer; each system has some of these."""
LARGEST_BYTES = 512 * 2**20
"""Bytes of one file, unpacked: ten times the largest HumanEval results with 200 samples a task."""

MOST_TIMES = 250
"""How many times its size a packed file may unpack to. Answers of one task, all alike, come to about 100."""

UNSUSPECTED_BYTES = 16 * 2**20
"""Up to here nothing is said about how well a file is packed."""

MOST_LINES = 10_000_000
"""Lines of one file, blank ones too."""

GZIP = b"\x1f\x8b"

ENCODINGS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""Marks at the start of a text, and what it is then written in; UTF-8 without one."""

_root: ContextVar[tuple[Path, Path] | None] = ContextVar("root", default=None)


@contextmanager
def below(root: Path, named: Path | None = None) -> Iterator[None]:
    """While the block runs, no file is read that does not lie below a folder once its links are followed.

    named: what the user named himself, which may be a link to anywhere.
    """
    token = _root.set((root.resolve(), (named or root).absolute()))
    try:
        yield
    finally:
        _root.reset(token)


def is_there(path: Path) -> bool:
    """Whether a plain file lies at a path, which another file may have named: also where none can have that name."""
    try:
        return path.is_file()
    except OSError:  # too long a name, too many links
        return False


def leads_out(path: Path, root: Path) -> bool:
    """Whether a file, its links followed, does not lie below a folder.

    Of the Hub's cache, whose snapshots are links to the blobs beside them, the folder is the whole repository's.
    """
    there = root.resolve()
    if there.parent.name == "snapshots":
        there = there.parent.parent
    return not path.resolve().is_relative_to(there)


@contextmanager
def open_file(path: Path, most: int = LARGEST_BYTES) -> Iterator[BinaryIO]:
    """A regular file, open for reading from its start, unpacked if it is gzipped.

    most: bytes that it may have, unpacked. Raises: FileUnreadable, also while the block reads.
    """
    with open_plain(path) as file:
        if file.peek(2)[:2] == GZIP:
            with io.BufferedReader(_Unpacked(path, file, most), 1 << 20) as unpacked:
                yield unpacked
            return
        if os.fstat(file.fileno()).st_size > most:
            raise FileUnreadable(path, f"larger than {_size(most)}")
        yield file


@contextmanager
def open_plain(path: Path) -> Iterator[io.BufferedReader]:
    """A regular file, open for reading as it lies there, whatever its size. Raises: FileUnreadable."""
    with readable(path):
        try:
            _check(path, path.stat().st_mode)
            _check_place(path)
            # a pipe that took the file's place would keep us waiting
            descriptor = os.open(path, FLAGS)
        except FileNotFoundError:
            raise FileUnreadable(path, "no such file", missing=True) from None
        except ValueError as error:  # a NUL in the name
            raise FileUnreadable(path, "no such file", missing=True) from error
    with os.fdopen(descriptor, "rb") as file:
        _check(path, os.fstat(descriptor).st_mode)
        yield file


def read_bytes(path: Path, most: int = LARGEST_BYTES) -> bytes:
    """A file's content, unpacked if it is gzipped. Raises: FileUnreadable."""
    with open_file(path, most) as file, readable(path):
        data = file.read(most + 1)
    if len(data) > most:
        raise FileUnreadable(path, f"larger than {_size(most)}")
    return data


def file_start(path: Path, size: int = 16) -> bytes:
    """The first bytes of a file, as they lie there. Raises: FileUnreadable."""
    with open_plain(path) as file, readable(path):
        return file.read(size)


def read_text(path: Path, most: int = LARGEST_BYTES) -> str:
    """A file in UTF-8, or in UTF-16 with its mark; the mark is dropped. Raises: FileUnreadable with the place."""
    return text_of(read_bytes(path, most), path)


def text_of(data: bytes, path: Path) -> str:
    """Bytes as text. Raises: FileUnreadable naming the byte and the line where they are none."""
    encoding = next((name for mark, name in ENCODINGS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        named = "UTF-16" if encoding == "utf-16" else "UTF-8"
        wrong = f"byte {error.start}, line {line}: 0x{data[error.start]:02x}"
        raise FileUnreadable(path, f"not {named} text ({wrong}); save it as UTF-8") from error


def text_lines(path: Path, most: int = LARGEST_BYTES) -> Iterator[tuple[int, str]]:
    """(number, text) of each line that is not blank; split at line feeds alone, since JSON strings may hold the others.

    Raises: FileUnreadable, naming the line.
    """
    with open_file(path, most) as file, readable(path):
        head = file.peek(4)[:4] if isinstance(file, io.BufferedReader) else b""
        encoding = next((name for mark, name in ENCODINGS if head.startswith(mark)), "utf-8")
        lines = _decoded(file, path) if encoding != "utf-16" else _sixteen(file, path)
        for number, line in enumerate(lines, 1):
            if number > MOST_LINES:
                raise FileUnreadable(path, f"holds more than {MOST_LINES:,} lines; split it")
            if not line.isspace():
                yield number, line.removeprefix("\ufeff") if number == 1 else line


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What the system says while a file is read, as FileUnreadable."""
    try:
        yield
    except (OSError, MemoryError, OverflowError) as error:
        raise FileUnreadable(path, f"cannot be read: {getattr(error, 'strerror', None) or error!r}") from error


def _check(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise FileUnreadable(path, "a folder; name a file in it")
    if not stat.S_ISREG(mode):
        raise FileUnreadable(path, "no plain file but a pipe, socket or device; it is not opened")


def _check_place(path: Path) -> None:
    bound = _root.get()
    if bound is None or (place := path.absolute()) == bound[1]:
        return
    # what lies beside or above the place that was named is looked at by us, and by no name that its files give
    root = bound[0] if place.is_relative_to(bound[1]) else place.parent.resolve()
    if leads_out(path, root):
        raise FileUnreadable(path, f"a link that leads out of {root.name or root}; it is not followed")


def _decoded(file: BinaryIO, path: Path) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            wrong = f"line {number}, byte {error.start}: 0x{line[error.start]:02x}"
            raise FileUnreadable(path, f"not UTF-8 text ({wrong}); save it as UTF-8") from error


def _sixteen(file: BinaryIO, path: Path) -> Iterator[str]:
    try:
        yield from io.TextIOWrapper(file, "utf-16", newline="\n")
    except UnicodeError as error:
        raise FileUnreadable(path, f"not UTF-16 text ({error}); save it as UTF-8") from error


class _Unpacked(io.RawIOBase):
    """What a gzipped file holds, as far as a file of its size may hold so much."""

    def __init__(self, path: Path, packed: BinaryIO, most: int) -> None:
        self._path = path
        self._gzip = gzip.GzipFile(fileobj=packed)
        self._largest = most
        self._suspect = max(UNSUSPECTED_BYTES, MOST_TIMES * os.fstat(packed.fileno()).st_size)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        try:
            count = self._gzip.readinto(cast(bytearray, buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise FileUnreadable(self._path, f"damaged as a gzip file: {error}") from error
        self._read += count
        if self._read > self._largest:
            raise FileUnreadable(self._path, f"larger than {_size(self._largest)}, unpacked")
        if self._read > self._suspect:
            raise FileUnreadable(
                self._path, f"unpacks to more than {MOST_TIMES} times its size, as bombs do; unpack it by hand"
            )
        return count


def _size(count: int) -> str:
    return f"{count // 2**20} MiB" if count >= 2**20 else f"{count // 2**10} KiB"
