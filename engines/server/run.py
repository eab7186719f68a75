"""Run the server of `engines.server.app` until it is told to stop."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable

import uvicorn

from engines.errors import EngineError
from engines.server.app import create_app
from engines.server.residency import Residency
from results import Store, Workspace

LIFELINE = "BAKEOFF_LIFELINE"
"""Environment variable with the descriptor of a pipe that closes when the starter of this process ends."""


def serve(
    store: Store,
    workspace: Workspace,
    *,
    host: str = "127.0.0.1",
    port: int = 8791,
    key: str = "",
    slots: int = 4,
    context: int | None = None,
    budget_bytes: int | None = None,
    descriptor: int | None = None,
    ready: Callable[[str], None],
) -> None:
    """Serve until interrupted; `ready(url)` is called when requests are taken. Port 0 takes a free one.

    `descriptor`: a listening socket that the starter handed down, instead of host and port. With the environment
    variable `BAKEOFF_LIFELINE` (a pipe's descriptor) the server ends when its starter's end closes the pipe.

    Raises: EngineError if the port is taken, or the address is not this machine's own and there is no key.
    """
    if not key and not _loopback(host):
        raise EngineError(f"{host} can be reached by others: give an API key, --api-key or BAKEOFF_API_KEY.")
    try:
        listener = listening(host, port) if descriptor is None else _inherited(descriptor)
    except OSError as problem:
        raise EngineError(f"Cannot listen on {host}:{port}: {problem.strerror}. Try another --port.") from None
    residency = Residency(store, workspace, budget_bytes, slots=slots, context=context)
    server = uvicorn.Server(
        uvicorn.Config(create_app(residency, key), log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    )
    address = f"[{host}]" if ":" in host else host
    _end_with_starter()
    ready(f"http://{address}:{listener.getsockname()[1]}")
    try:
        server.run(sockets=[listener])
    finally:
        residency.close()


def listening(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening socket whose connections send each piece at once, as their tokens come. Raises: OSError.

    asyncio turns Nagle's algorithm off only for sockets that name TCP, and those of `create_server` do not: a client
    that keeps its connection would get every second piece 40 ms late.
    """
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
    return listener


def _inherited(descriptor: int) -> socket.socket:
    """A listening socket that the starter of this process handed down. Raises: OSError if it is none."""
    found = socket.socket(fileno=descriptor)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def _end_with_starter() -> None:
    """Where the starter holds a lifeline, end in order when it is gone, even if it was killed."""
    number = os.environ.pop(LIFELINE, "")
    if not number:
        return

    def watch() -> None:
        while os.read(int(number), 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
