"""HTTP to an engine on loopback with the least possible between the socket and the token.

Only for our own children: plain HTTP/1.1, one connection a request. Foreign endpoints go through
`engines.openai_endpoint`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import selectors
import socket
from collections.abc import Callable, Iterator
from typing import Any

from engines.errors import EngineCrashed, EngineError, EngineOverdue

LOOK_MILLISECONDS = 100


class Wire:
    """The address and key of one engine child."""

    def __init__(self, address: str, key: str) -> None:
        self._address = address
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def call(self, path: str, body: Any, over: Callable[[], bool] = bool) -> Any:
        """POST, and the JSON of the answer. While there is none, `over()` says whether to wait no longer.

        Raises: EngineError with the engine's own message; EngineOverdue when it is over; EngineCrashed when the
        connection breaks.
        """
        connection = http.client.HTTPConnection(self._address)
        try:
            connection.request("POST", path, json.dumps(body), self._headers)
            with selectors.DefaultSelector() as readable:
                readable.register(connection.sock, selectors.EVENT_READ)
                while not readable.select(LOOK_MILLISECONDS / 1000):
                    if over():
                        raise EngineOverdue(f"The engine took too long for {path}.")
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            raise EngineCrashed("The engine's process ended in the middle of the request.") from None
        finally:
            connection.close()
        if answer.status != 200:
            raise EngineError(_message(content))
        return json.loads(content)

    def stream(self, path: str, body: Any) -> EventStream:
        """POST, and the server-sent events of the answer."""
        return EventStream(self._address, path, self._headers, body)


class EventStream:
    """Server-sent events of one request, parsed. `close` may be called from any thread and stops the generation."""

    def __init__(self, address: str, path: str, headers: dict[str, str], body: Any) -> None:
        self._connection = http.client.HTTPConnection(address)
        self._closed = False
        try:
            self._connection.request("POST", path, json.dumps(body), headers)
        except OSError:
            raise EngineCrashed("The engine's process does not answer.") from None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            answer = self._connection.getresponse()
            if answer.status != 200:
                raise EngineError(_message(answer.read()))
            for line in answer:
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:])
                elif line.startswith(b"error:"):
                    raise EngineError(_message(line[6:]))
                elif line.startswith(b"data: [DONE]"):
                    return
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            # AttributeError: http.client loses its file object when another thread closes the connection.
            if not self._closed:
                raise EngineCrashed("The engine's process ended in the middle of the answer.") from None

    def close(self) -> None:
        """Break the connection; the engine stops generating for it."""
        self._closed = True
        if self._connection.sock:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _message(content: bytes) -> str:
    """The message of llama.cpp's or OpenAI's error object, else the text itself."""
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        data = json.loads(content)
        error = data.get("error", data)
        return str(error.get("message", error))
    return content.decode("utf-8", "replace")[:500]
