"""Endpoints in the process of a test: OpenAI's streamed chat answers, whose text the test knows."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Endpoint(BaseHTTPRequestHandler):
    """Answers what `reply` says; with status 500 where that is nothing."""

    server: Any

    def reply(self, body: Mapping[str, Any]) -> str | None:
        """The text that answers a request."""
        raise NotImplementedError

    def do_POST(self) -> None:
        reply = self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if reply is None:
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        pieces = [{"delta": {"content": reply}, "index": 0}, {"delta": {}, "index": 0, "finish_reason": "stop"}]
        said = "".join(f"data: {json.dumps({'choices': [piece]})}\n\n" for piece in pieces) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *said: object) -> None:
        """Say nothing."""


class _Patient(ThreadingHTTPServer):
    """Lets as many wait for their connection as an evaluation has in flight: the default refuses the sixth."""

    request_queue_size = 512


@contextmanager
def served(handler: type[BaseHTTPRequestHandler], **state: Any) -> Iterator[Any]:
    """A server of this handler with these attributes, while the block runs."""
    server: Any = _Patient(("127.0.0.1", 0), handler)
    for name, value in state.items():
        setattr(server, name, value)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
