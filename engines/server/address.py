"""Where a server of ours listens, and the key that it asks for."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from engines.errors import EngineError


@dataclass(frozen=True)
class Address:
    """A place to listen at. Without a key only at this machine's own addresses."""

    host: str = "127.0.0.1"
    port: int = 8791
    """0 takes a free one."""
    key: str = ""
    """The bearer token that requests must carry; "" asks for none."""
    descriptor: int | None = None
    """A listening socket that the starter of this process handed down, instead of host and port."""
    origins: tuple[str, ...] = ()
    """Origins (`https://host:port`) whose pages may ask from a browser, beside the server's own."""
    page: Path | None = None
    """Folder of a published page: strangers see it and ask its models within narrow bounds, without a key."""
    proxied: bool = False
    """Whether the page is reached through a proxy alone, whose word on who asks then counts."""

    def listen(self) -> socket.socket:
        """The listening socket.

        Raises: EngineError if the port is taken, or the address is not this machine's own and there is no key.
        """
        if not self.key and self.page is None and not _loopback(self.host):
            raise EngineError(f"{self.host} can be reached by others: give an API key, --api-key or BAKEOFF_API_KEY.")
        try:
            return listening(self.host, self.port) if self.descriptor is None else _inherited(self.descriptor)
        except OSError as problem:
            raise EngineError(
                f"Cannot listen on {self.host}:{self.port}: {problem.strerror}. Try another --port."
            ) from None

    def url(self, listener: socket.socket) -> str:
        """The URL under which this socket of `listen` is reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{listener.getsockname()[1]}"


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


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
