"""One database behind a URL: connections, transactions and errors, alike for SQLite (WAL) and PostgreSQL.

A write takes its lock before it reads (SQLite: BEGIN IMMEDIATE; PostgreSQL: one advisory lock per transaction), so a
read-modify-write never works on what another writer changes, and no two writers can wait for each other.
A read sees one moment, whatever is written meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import ConnectionPoolEntry

from results.errors import BakeoffError, StoreBusy, StoreError

SQLITE = "sqlite:///"

WAIT_SECONDS = 30.0
"""How long a write waits for another writer before it is StoreBusy."""


class Database:
    """`Database("sqlite:////path/results.db")` or `Database("postgresql://user:password@host/name")`.

    What follows `sqlite:///` is the file's path letter for letter, whatever characters a folder's name has; a `Path` is
    an SQLite file.
    """

    def __init__(self, url: str | Path) -> None:
        """Raises StoreError for a URL that names no SQLite file or PostgreSQL database. Connects to nothing yet."""
        self.url = _parsed(url) if isinstance(url, str) else _file(str(url.absolute()))
        on_disk = self.url.get_backend_name() == "sqlite"
        self.masked = f"{SQLITE}{self.url.database}" if on_disk else _masked(self.url)
        self.file: Path | None = None
        # The connection that was used last is used next: others would be opened anew in the place of detached ones.
        options: dict[str, Any] = {"pool_pre_ping": True, "pool_use_lifo": True, "connect_args": {"connect_timeout": 5}}
        if self.url.get_backend_name() == "sqlite":
            self.file = Path(str(self.url.database)).absolute()
            options = {"connect_args": {"timeout": WAIT_SECONDS, "check_same_thread": False}}
        self.engine = sa.create_engine(self.url, **options)
        self._inode = self._log = 0
        self.on_replaced: Callable[[], object] = lambda: None
        """Called when another file has taken the SQLite file's place, before anything is read of it."""
        sa.event.listen(self.engine, "begin", _begin)
        if self.file is not None:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self.file is not None

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection that sees one moment of the database. Raises StoreError."""
        with self.errors():
            self._still_there()
            options = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
            with self.engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection

    @contextmanager
    def write(self, lock: str = "", wait_seconds: float = WAIT_SECONDS) -> Iterator[sa.Connection]:
        """A connection in a transaction that holds the write lock; all of it is durable at the end, or nothing.

        lock: on PostgreSQL, only writers with the same text exclude each other; on SQLite all do.
        Raises: StoreBusy after wait_seconds without the lock; StoreError.
        """
        with self.errors():
            self._still_there()
            options = {"bakeoff_lock": lock, "bakeoff_wait": wait_seconds}
            with self.engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection
            if self.is_sqlite and not self._log:
                self._log = self._log_now()[0]

    def upsert(
        self, connection: sa.Connection, table: type[Any], rows: Sequence[Mapping[str, Any]], once: Sequence[str] = ()
    ) -> None:
        """Insert rows; one whose primary key is there already replaces it, but for the columns named in `once`."""
        if not rows:
            return
        target = table.__table__
        insert: Any = (sqlite if self.is_sqlite else postgresql).insert(target)
        keys = [column.name for column in target.primary_key]
        changed = {name: insert.excluded[name] for name in rows[0] if name not in keys and name not in once}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))

    def close(self) -> None:
        """Close the pooled connections; a later call opens new ones."""
        self.engine.dispose()

    def _still_there(self) -> None:
        """A deleted SQLite file stays writable to those who hold it open, and what they write is lost: refuse."""
        if self.file is None:
            return
        try:
            inode = self.file.stat().st_ino
        except OSError:
            inode = 0
        if self._inode and inode != self._inode:
            self.engine.dispose()
            if not inode:
                raise StoreError(f"the store {self.file} is gone; put it back, or start again to make a new one")
            self._inode = -1  # the next call looks again, unless all is well
            self._check_log()
            self._inode = inode
            try:
                self.on_replaced()
            except StoreError as error:
                self._inode = -1
                raise type(error)(f"another file has taken the place of the store: {error}") from error
        self._inode, self._log = inode, self._log_now()[0]

    def _log_now(self) -> tuple[int, int]:
        """Inode and bytes of SQLite's write-ahead log; zeros without one."""
        with contextlib.suppress(OSError):
            found = Path(f"{self.file}-wal").stat()
            return found.st_ino, found.st_size
        return 0, 0

    def _check_log(self) -> None:
        """Raise StoreError where the earlier file's log lies beside another, whose pages SQLite would take from it."""
        inode, size = self._log_now()
        if size and inode == self._log:
            raise StoreError(
                f"another file has taken the place of the store {self.file}, and the earlier one's log lies beside it: "
                f"end what uses the store, remove {self.file}-wal and {self.file}-shm, and start again"
            )

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turns what the database's driver raises in the block into StoreError and its kinds."""
        try:
            yield
        except sa.exc.OperationalError as error:
            reason = str(error.orig or error).strip().split("\n")[0]
            if re.search(r"too many (clients|connections)|connection slots", reason):
                raise StoreBusy(
                    f"the store {self.masked} has no connection left ({reason}): raise the server's max_connections to "
                    "three for each process that trains or measures and fifteen for each dashboard, or end some"
                ) from error
            if re.search(r"locked|busy|lock timeout|connect|terminat|shut|server|timeout expired", reason, re.I):
                raise StoreBusy(f"the store {self.masked} is busy or unreachable: {reason}; try again") from error
            remedy = "is the folder there and writable, and the disk not full?"
            raise StoreError(f"the store {self.masked} cannot be used: {reason}; {remedy}") from error
        except sa.exc.TimeoutError as error:
            raise StoreBusy(
                f"the store {self.masked} is busy: all connections of this process are in use; try again"
            ) from error
        except sa.exc.StatementError as error:
            if isinstance(error.orig, BakeoffError):  # raised by a column type
                raise error.orig from None
            reason = str(error.orig or error).strip().split("\n")[0]
            raise StoreError(f"the store {self.masked} refused: {reason}") from error
        except sqlite3.Error as error:
            raise StoreError(f"the store {self.masked} cannot be used: {error}") from error


def _file(path: str) -> sa.URL:
    """An SQLite file's URL, made of its parts: as text, a path with `?` would end there."""
    return sa.URL.create("sqlite", database=path)


def _masked(url: sa.URL) -> str:
    """A server's URL for messages: without its password, wherever it stands."""
    secret = {name: "***" for name in url.query if "password" in name.lower()}
    return url.update_query_dict(secret).render_as_string(hide_password=True)


def _parsed(url: str) -> sa.URL:
    if re.search(r"^sqlite.*\?\w+=[^/]*$", url, re.S):
        raise StoreError(f"{url!r} ends in an option, and an SQLite store has none: {_EXAMPLES}")
    if url.startswith(SQLITE) and url[len(SQLITE) :] not in ("", ":memory:"):
        return _file(url[len(SQLITE) :])
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError(f"{url.split('@')[-1]!r} is no database URL; {_EXAMPLES}") from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise StoreError(f"no store on {parsed.drivername!r}; {_EXAMPLES}")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError(f"a store in memory would remember nothing; {_EXAMPLES}")
    return parsed


_EXAMPLES = "use sqlite:////folder/results.db or postgresql://user:password@host/database"


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin`, not by the driver's guess
    cursor = connection.cursor()
    for attempt in range(100):
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:  # the change to WAL does not wait for others as a write does
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or attempt == 99:
                raise
            time.sleep(0.05)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    lock = options.get("bakeoff_lock")
    if connection.dialect.name == "sqlite":
        if lock is None:
            connection.exec_driver_sql("BEGIN")
            return
        milliseconds = int(options["bakeoff_wait"] * 1000)
        if connection.info.get("bakeoff_wait") != milliseconds:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={milliseconds}")
            connection.info["bakeoff_wait"] = milliseconds
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif lock is not None:
        number = int.from_bytes(hashlib.sha256(lock.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True)
        wait = int(options["bakeoff_wait"] * 1000)
        connection.exec_driver_sql(
            f"SELECT set_config('lock_timeout', '{wait}', true), pg_advisory_xact_lock({number})"
        )  # one journey to the server, not two
