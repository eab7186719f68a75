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
MAX_FRAME_BYTES = 64_000_000
"""Of anything; what a candidate may send is limited further by `evaluator.plain`."""


class Closed(Exception):
    """The other side is gone, or sent what is no message."""


def send(channel: socket.socket, payload: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send one message. Raises Closed when the other side is gone."""
    try:
        if descriptors:
            socket.send_fds(channel, [_LENGTH.pack(len(payload))], descriptors)
            channel.sendall(payload)
        else:
            channel.sendall(_LENGTH.pack(len(payload)) + payload)
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
