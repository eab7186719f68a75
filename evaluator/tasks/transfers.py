"""A file fetched over HTTP, whole or not at all, and resumed where an earlier try broke off.

What has come lies beside the file as `.NAME.part`, and beside that what proves that the rest belongs to it: the address
and the server's mark of this version, sent back as `If-Range` (RFC 9110, 13.1.5). Without such a mark nothing is kept.
The file has its own name only once its end is known to have come.

Not here: which files there are (`evaluator.tasks.downloads`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from evaluator.errors import BenchmarkUnreadable
from results import wait_for_lock

FLAGS = os.O_RDWR | os.O_CREAT | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_BINARY"))
"""A part is opened as it is, or made; programs that are started do not inherit it (on Windows none does)."""

MOST_BYTES = 64 << 20
"""A larger answer is none of these files; the largest has a megabyte."""

SECONDS = 60
"""Wait for an answer, or for its next piece."""


@dataclass(frozen=True)
class Fetched:
    """A file that is there."""

    sha256: str
    bytes: int
    resumed_bytes: int
    """How much of it an earlier try had left."""


def fetch(address: str, path: Path, sha256: str = "", check: Callable[[Path], object] = lambda _: None) -> Fetched:
    """Fetch a file, the rest of it where a part is there already. Of two at once one fetches, and the other waits.

    sha256: the digest that it must have; without one its length must be told. check: called with the whole file before
    it gets its name; what that raises leaves nothing.
    Raises: BenchmarkUnreadable in one line, for whatever does not come whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path) as part:
        if path.is_file():  # who was waited for has fetched it
            part.forget()
            data = path.read_bytes()
            return Fetched(hashlib.sha256(data).hexdigest(), len(data), len(data))
        start = part.resumable(address)
        found = part.fill(address, start, bool(sha256))
        if start and sha256 not in ("", found):  # what lay there was damaged, or another file's
            start, found = 0, part.fill(address, 0, True)
        try:
            if sha256 not in ("", found):
                raise BenchmarkUnreadable(
                    f"{address} is not the file that was published: its SHA-256 is {found}, not {sha256}. "
                    f"Get {path.name} elsewhere and put it into {path.parent}"
                )
            check(part.path)
        except BaseException:
            part.forget()
            raise
        size = part.path.stat().st_size
        part.path.replace(path)
        part.proof.unlink(missing_ok=True)
        return Fetched(found, size, start)


class _Part:
    """What has come of a file so far."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.proof = path.with_name(path.name + ".json")
        self._file = file

    def forget(self) -> None:
        """Leave nothing."""
        self.proof.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def resumable(self, address: str) -> int:
        """Bytes of this address that an earlier try left, and can prove."""
        return os.fstat(self._file.fileno()).st_size if self._mark(address) else 0

    def fill(self, address: str, start: int, known: bool) -> str:
        """Have the file's bytes from `start` on; the SHA-256 of all of them.

        known: the digest is known, so that a file whose length is not told can be taken. Raises: BenchmarkUnreadable.
        """
        try:
            return self._fill(address, start, known)
        except httpx.HTTPStatusError as error:
            self._keep(address)
            raise BenchmarkUnreadable(f"Cannot fetch {address}: it answers {error.response.status_code}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            kept = self._keep(address)
            why = str(error) or type(error).__name__
            again = f" {kept / 1e6:.1f} MB are kept: the same command goes on from there." if kept else ""
            raise BenchmarkUnreadable(
                f"Cannot fetch {address}: {why}.{again} Go online, or get the file elsewhere: --benchmark PATH"
            ) from error
        except BenchmarkUnreadable:
            self.forget()
            raise

    def _fill(self, address: str, start: int, known: bool) -> str:
        headers = {"Accept-Encoding": "identity"}  # digest, ranges and mark are then those of the file itself
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": self._mark(address)}
        with httpx.stream("GET", address, headers=headers, follow_redirects=True, timeout=SECONDS) as answer:
            if start and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return self._anew(address, known)
            answer.raise_for_status()
            if answer.status_code == httpx.codes.PARTIAL_CONTENT:
                place = re.fullmatch(rf"bytes {start}-\d+/(\d+)", answer.headers.get("Content-Range", ""))
                if not (start and place):
                    raise httpx.RemoteProtocolError("it answers with another part than was asked for")
                total = int(place[1])
            else:
                start = 0
                total = self._begin(address, answer, known)
            return self._write(answer, start, total, address)

    def _anew(self, address: str, known: bool) -> str:
        self.proof.unlink(missing_ok=True)
        return self._fill(address, 0, known)

    def _begin(self, address: str, answer: httpx.Response, known: bool) -> int:
        """Begin with an answer that holds the whole file; its bytes, 0 where that is not told."""
        self.proof.unlink(missing_ok=True)
        self._file.truncate(0)
        length = answer.headers.get("Content-Length", "")
        if not (known or length or answer.headers.get("Transfer-Encoding") == "chunked"):
            raise BenchmarkUnreadable(
                f"Cannot fetch {address}: it does not say where the file ends, so a part of it could not be told"
            )
        mark = answer.headers.get("ETag", "")
        mark = mark if mark and not mark.startswith("W/") else ""  # a weak one is also that of other bytes
        if mark and answer.status_code == httpx.codes.OK:
            self.proof.write_text(json.dumps({"address": address, "mark": mark}), encoding="utf-8")
        return int(length or 0)

    def _write(self, answer: httpx.Response, start: int, total: int, address: str) -> str:
        sha = hashlib.sha256()
        self._file.seek(0)
        while start > self._file.tell():
            sha.update(self._file.read(min(1 << 20, start - self._file.tell())))
        for piece in answer.iter_raw():
            if self._file.tell() + len(piece) > MOST_BYTES:
                raise BenchmarkUnreadable(f"{address} answers with more than {MOST_BYTES >> 20} MB: not fetched")
            sha.update(piece)
            self._file.write(piece)
        self._file.flush()
        if total and self._file.tell() != total:
            raise httpx.RemoteProtocolError(f"it ended at {self._file.tell()} of {total} bytes")
        return sha.hexdigest()

    def _mark(self, address: str) -> str:
        """The server's mark of the version that this is part of; the empty string where nothing proves it."""
        try:
            proof = json.loads(self.proof.read_text("utf-8"))
        except (OSError, ValueError):
            return ""
        return str(proof.get("mark", "")) if isinstance(proof, dict) and proof.get("address") == address else ""

    def _keep(self, address: str) -> int:
        """Keep what another try can go on with, and leave nothing else; bytes of what is kept."""
        self._file.flush()
        kept = self.resumable(address)
        if not kept:
            self.forget()
        return kept


@contextmanager
def _alone(path: Path) -> Iterator[_Part]:
    """The part of a file, for one process at a time."""
    name = path.with_name(f".{path.name}.part")
    while True:
        with os.fdopen(os.open(name, FLAGS, 0o644), "r+b") as file:
            wait_for_lock(file)
            try:
                mine = name.stat().st_ino == os.fstat(file.fileno()).st_ino
            except FileNotFoundError:
                mine = False
            if mine:  # else who was waited for has moved or removed it
                part = _Part(name, file)
                yield part
                return
