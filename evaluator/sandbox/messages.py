"""Messages over a socket: four bytes of length, then that many bytes; file descriptors travel with the length.

Standard library only: this runs outside and inside the sandboxes.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

_LENGTH = struct.Struct("!I")
READY = b'"ready"'
"""What a sandbox's program says first. What fails earlier is ours."""
MAX_FRAME_BYTES = 64_000_000
"""Largest message; what a candidate may send is limited further by `evaluator.sandbox.value_codec`."""


class Closed(Exception):
    """The other side is gone, or sent what is no message."""


def packed(payload: bytes) -> bytes:
    """A message as it goes over the wire; several may be sent together."""
    return _LENGTH.pack(len(payload)) + payload


def send(channel: socket.socket, payload: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send one message. Raises Closed when the other side is gone."""
    try:
        message = packed(payload)
        sent = socket.send_fds(channel, [message], descriptors) if descriptors else 0
        if sent < len(message):
            channel.sendall(memoryview(message)[sent:])
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None


def receive(channel: socket.socket, limit: int = MAX_FRAME_BYTES) -> bytes:
    """The next message, of at most `limit` bytes. Raises Closed at the end or on a longer one."""
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size))
    if length > limit:
        raise Closed
    return _exactly(channel, length)


def receive_with_descriptor(channel: socket.socket) -> tuple[Any, int | None]:
    """(JSON value, file descriptor or None) of the next message from a trusted sender. Raises Closed at the end."""
    head, descriptors, _, _ = socket.recv_fds(channel, _LENGTH.size, 1)
    if len(head) < _LENGTH.size:
        head += _exactly(channel, _LENGTH.size - len(head))
    (length,) = _LENGTH.unpack(head)
    for extra in descriptors[1:]:
        os.close(extra)
    return json.loads(_exactly(channel, length)), descriptors[0] if descriptors else None


class Reader:
    """Takes the messages of one channel that come several at a time."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._rest = bytearray()

    def receive(self, limit: int = MAX_FRAME_BYTES) -> bytes:
        """One message, received as `receive` does. Raises Closed."""
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size))
        if length > limit:
            raise Closed
        return self._take(length)

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            try:
                chunk = self._channel.recv(1 << 16)
            except ConnectionResetError:
                raise Closed from None
            if not chunk:
                raise Closed
            self._rest += chunk
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken


def _exactly(channel: socket.socket, size: int) -> bytes:
    chunks = []
    while size:
        try:
            chunk = channel.recv(min(size, 1 << 20))
        except ConnectionResetError:
            raise Closed from None
        if not chunk:
            raise Closed
        chunks.append(chunk)
        size -= len(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
