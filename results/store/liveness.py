"""Which runs and evaluations somebody works on: known by locks that the system lets go of when a process dies.

A process that was killed cannot write down that it ended, and no clock says so: a step may take hours. So whoever works
on a record holds a lock of its name. On SQLite it is a file beside the store, locked with flock, which ends with the
process, also in another container on the same disk. On PostgreSQL it is an advisory lock of a session of its own, which
ends with the session: so every machine that shares the store sees it, and a machine that has vanished is noticed by the
server's keepalive within a minute.

Not known: work that a Bakeoff without these locks does on the same store; it looks ended.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Protocol

import sqlalchemy as sa

from results.errors import StoreError
from results.files.locks import lock_is_held, wait_for_lock
from results.schema.database import Database

KEEP_SECONDS = 2.0
"""How often a session that holds locks is looked after: a server that was started again has forgotten them."""

GONE = "its process ended before it was done: interrupted, killed, or the machine went down; the same command goes on"
"""The reason that is shown of a record whose process is gone."""

_KEEPALIVE = ("tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3")
_number = itertools.count()


class Liveness(Protocol):
    """The locks of one store. Thread-safe."""

    def hold(self, key: str) -> None:
        """Work on the record begins. Again is fine. Raises: StoreError."""

    def release(self, key: str) -> None:
        """Work on it has ended, which stands in the record already. What is not held is fine."""

    def held(self, keys: Iterable[str], elsewhere: bool = False, connection: sa.Connection | None = None) -> set[str]:
        """Those of the keys that a living process holds, whichever and wherever. Raises: StoreError.

        elsewhere: only those that another holds, in this process or any, whatever this object holds itself.
        connection: the caller's own, where it has one open: a server has few.
        """
        ...

    def mark(self) -> str:
        """Changes when work on any record begins or ends, also by a process's death; "" where only asking tells."""
        ...

    def close(self) -> None:
        """Release all that this object holds."""


def liveness(database: Database) -> Liveness:
    """The locks that a database has."""
    return _Sessions(database) if database.file is None else _Files(database.file)


class _Files:
    """A locked file for each record and holder, in a folder beside the SQLite file."""

    def __init__(self, store: Path) -> None:
        self._folder = store.with_name(store.name + ".alive")
        self._open: dict[str, IO[bytes]] = {}
        self._lock = threading.Lock()

    def hold(self, key: str) -> None:
        with self._lock:
            if key in self._open:
                return
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                for left in self._of(key):
                    if not lock_is_held(left):
                        left.unlink(missing_ok=True)
                file = (self._folder / f"{_digest(key).hex()}-{os.getpid()}-{next(_number)}").open("wb")
                wait_for_lock(file)  # waits for one who looks, a moment
            except OSError as error:
                raise StoreError(f"cannot lock a file in {self._folder}: {error.strerror}; is it writable?") from error
            self._open[key] = file

    def release(self, key: str) -> None:
        with self._lock:
            if file := self._open.pop(key, None):
                Path(file.name).unlink(missing_ok=True)
                file.close()

    def held(
        self,
        keys: Iterable[str],
        elsewhere: bool = False,
        connection: sa.Connection | None = None,  # noqa: ARG002 (files need none)
    ) -> set[str]:
        own = {Path(file.name) for file in list(self._open.values())} if elsewhere else set()
        return {key for key in keys if any(lock_is_held(file) for file in self._of(key) if file not in own)}

    def mark(self) -> str:
        with suppress(OSError):
            return ",".join(sorted(file.name for file in self._folder.iterdir() if lock_is_held(file)))
        return ""

    def close(self) -> None:
        for key in list(self._open):
            self.release(key)

    def _of(self, key: str) -> list[Path]:
        return list(self._folder.glob(f"{_digest(key).hex()}-*"))


class _Sessions:
    """Advisory locks of one PostgreSQL session, taken again when the session was lost."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: set[str] = set()
        self._session: sa.Connection | None = None
        self._session_pid: int | None = None
        """The server's process behind the session."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None

    def hold(self, key: str) -> None:
        with self._lock:
            if key in self._keys:
                return
            with self._database.errors():
                self._alive().execute(sa.select(sa.func.pg_advisory_lock_shared(_int64(key))))
            self._keys.add(key)
            if self._keeper is None:
                self._stop.clear()
                self._keeper = threading.Thread(target=self._keep, args=(self._stop,), daemon=True, name="liveness")
                self._keeper.start()

    def release(self, key: str) -> None:
        with self._lock:
            if key not in self._keys:
                return
            self._keys.remove(key)
            if not self._keys:
                self._hang_up()
            elif self._session is not None:
                with suppress(sa.exc.SQLAlchemyError):  # a session that is lost holds nothing
                    self._session.execute(sa.select(sa.func.pg_advisory_unlock_shared(_int64(key))))

    def held(self, keys: Iterable[str], elsewhere: bool = False, connection: sa.Connection | None = None) -> set[str]:
        numbers = {_int64(key) & _MASK: key for key in keys}
        if not numbers:
            return set()
        query = sa.text(
            "SELECT pid, classid::bigint, objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND "
            "granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        own = self._session_pid if elsewhere else None
        with nullcontext(connection) if connection is not None else self._database.read() as asked:
            found = {int(high) << 32 | int(low) for pid, high, low in asked.execute(query) if pid != own}
        return {key for number, key in numbers.items() if number in found}

    def mark(self) -> str:
        return ""

    def close(self) -> None:
        with self._lock:
            self._keys.clear()
            self._hang_up()

    def _alive(self) -> sa.Connection:
        """The session with all that is held, a new one where it is lost. Called with the lock."""
        if self._session is not None:
            try:
                self._session.execute(sa.select(1))
                return self._session
            except sa.exc.SQLAlchemyError:
                self._drop()
        session = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        session.detach()  # never back into the pool, which would keep its locks
        self._session_pid = int(session.execute(sa.select(sa.func.pg_backend_pid())).scalar_one())
        for setting in _KEEPALIVE:
            session.exec_driver_sql(f"SET {setting}")
        for key in self._keys:
            session.execute(sa.select(sa.func.pg_advisory_lock_shared(_int64(key))))
        self._session = session
        return session

    def _keep(self, stop: threading.Event) -> None:
        while not stop.wait(KEEP_SECONDS):
            with self._lock, suppress(sa.exc.SQLAlchemyError):
                if self._keys and not stop.is_set():
                    self._alive()

    def _hang_up(self) -> None:
        self._stop.set()
        self._keeper, self._stop = None, threading.Event()
        self._drop()

    def _drop(self) -> None:
        session, self._session, self._session_pid = self._session, None, None
        if session is not None:
            with suppress(sa.exc.SQLAlchemyError):
                session.close()


_MASK = (1 << 64) - 1


def _digest(key: str) -> bytes:
    return hashlib.sha256(b"alive " + key.encode("utf-8", "surrogatepass")).digest()[:8]


def _int64(key: str) -> int:
    return int.from_bytes(_digest(key), "big", signed=True)
