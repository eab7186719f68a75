"""An OpenAI-compatible server for the tests: real HTTP and real server-sent events, words instead of a model.

Each model name says how it behaves: `slow-…` pauses between words, `silent-…` never says a word, `dies-…` cuts the
connection in mid-answer, `falls-always` before the first word and `falls-once` does so the first time, `hostile-…`
answers with script, `monster-…` with what fetches, covers a page or fells it, `refuses-…` gives a status of 500, the
others answer at once. `running` and `cancelled` count the streams, so that a test can see a generation end.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.dashboard.stores import HOSTILE

WORDS = [f"word{n} " for n in range(40)]
MONSTROUS = [
    "```mermaid\ngraph TD; A[<img src=http://127.0.0.1:9/m.png>] --> B; click A \"javascript:window.hacked=1\"\n```\n",
    "$$\\href{javascript:window.hacked=1}{x}$$ \\(\\frac12\\) <svg onload=window.hacked=1>",
    "<iframe src=http://127.0.0.1:9/f></iframe>",
    "<style>@import 'http://127.0.0.1:9/s.css'</style><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/r'>",
    "<math><a xlink:href=javascript:window.hacked=1>x</a></math> :material/delete: [l](data:text/html,<b>1</b>)",
    "![x](http://127.0.0.1:9/p.png)\n" * 50, "\u202egnp.exe\u2066", "```\nx\n```\n" * 2_000,
    "e" + "\u0301" * 1_000_000,
    "y" * 1_000_000, "\x1b]8;;http://127.0.0.1:9/t\x07click\x1b]8;;\x07 \x00 \ud83d the end of it",
]  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Two endpoints of the protocol."""

    protocol_version = "HTTP/1.1"
    server: AnswerServer

    def do_GET(self) -> None:
        body = json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in self.server.names]})
        self._send(200, body)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        earlier = [one["model"] for one in self.server.requests]
        self.server.requests.append(request)
        name = request["model"]
        if name == "falls-always" or (name == "falls-once" and name not in earlier):
            self.close_connection = True
            return
        if name.startswith("refuses"):
            self._send(
                500, json.dumps({"error": {"message": f"{name} does not fit into memory", "type": "server_error"}})
            )
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        with self.server.lock:
            self.server.running += 1
        try:
            self._stream(name, request)
        except OSError:
            self.server.cancelled += 1
        finally:
            with self.server.lock:
                self.server.running -= 1

    def _stream(self, name: str, request: dict[str, Any]) -> None:
        said = request["messages"][-1]["content"]
        shown = {"hostile": [HOSTILE], "monster": MONSTROUS}
        words = shown.get(name.split("-")[0]) or [f"{name} heard: {said}. ", *WORDS]
        if name.startswith("silent"):
            while True:
                time.sleep(0.05)
                self._event({"choices": [{"index": 0, "delta": {}}]})
        words = words[: request["max_tokens"]]
        for number, word in enumerate(words):
            if name.startswith("dies") and number == 5:
                return
            self._event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
            if name.startswith("slow"):
                time.sleep(0.1)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 7 + len(words)}
        self._event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, event: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    def _send(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class AnswerServer(ThreadingHTTPServer):
    """`with AnswerServer(["a", "slow-b"]) as server:` serves at `server.url`."""

    daemon_threads = True

    def __init__(self, names: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.names = names
        self.requests: list[dict[str, Any]] = []
        self.running = self.cancelled = 0
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> AnswerServer:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
        self.server_close()
