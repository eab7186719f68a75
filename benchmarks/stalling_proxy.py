"""A network between clients and a PostgreSQL server that stalls, is cut, or loses the server within a commit."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

COMMIT = b"COMMIT\0"
"""How psycopg ends a transaction: a simple query of that text."""


class Proxy:
    """Takes connections on a port of this machine and passes them on to a Unix socket, byte for byte."""

    def __init__(self, server: Path) -> None:
        """server: the socket's path."""
        self._server = server
        self._flows = threading.Event()
        self._flows.set()
        self._open: set[socket.socket] = set()
        self._at_commit: Callable[[], None] | None = None
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Pass nothing on, and break no connection, until `flow`."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass on what was held back."""
        self._flows.set()

    def cut(self) -> None:
        """Break all connections; new ones are taken."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def at_commit(self, act: Callable[[], None]) -> None:
        """Do something once, when the next commit has been passed on and before it can be answered."""
        self._at_commit = act

    def end(self) -> None:
        """Take no more connections, and break those that are there."""
        self._listening.close()
        self._flows.set()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._server))
            except OSError:  # the server is down, and the client hears so at once
                client.close()
                continue
            self._open |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._flows.wait()
                act, found = self._at_commit, COMMIT in data
                if act and found:
                    self._at_commit = None
                    target.sendall(data)
                    act()
                    continue
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open -= {source, target}
        source.close()
