"""A small HTTP server that speaks what the Hub's client calls in a push, and keeps what it is sent.

Endpoints: create a repository, check the card's header, preupload (which files go as LFS), the LFS batch, the upload
itself, the commit.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "a-token-of-the-test"


class Hub(ThreadingHTTPServer):
    """`files`: name → content of the last commit; `blobs`: LFS contents by SHA-256; `calls`: paths posted to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.created: dict[str, Any] = {}
        self.validated = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer({"error": "not found"}, 404)

    def do_PUT(self) -> None:
        content = self._body()
        sha = self.path.rpartition("/")[2]
        self.server.blobs[sha] = content
        self._answer({}, 200 if hashlib.sha256(content).hexdigest() == sha else 400)

    def do_POST(self) -> None:
        body = self._body()
        self.server.calls.append(self.path)
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._answer({"error": "Invalid credentials"}, 401)
        elif self.path == "/api/repos/create":
            self.server.created = json.loads(body)
            self._answer({"url": f"{self.server.url}/me/small"})
        elif self.path == "/api/validate-yaml":
            self.server.validated = json.loads(body)["content"]
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            modes = [
                {"path": one["path"], "shouldIgnore": False, "uploadMode": _mode(one["path"])}
                for one in json.loads(body)["files"]
            ]
            self._answer({"files": modes})
        elif self.path.endswith("/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.url}/lfs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._answer({"objects": objects, "transfer": "basic"})
        elif "/commit/" in self.path:
            self._commit(body)
        else:
            self._answer({"error": "not found"}, 404)

    def _commit(self, body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.server.files[value["path"]] = self.server.blobs[value["oid"]]
        self._answer({"commitUrl": f"{self.server.url}/me/small/commit/1", "commitOid": "1", "success": True})

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            pieces = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _answer(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _mode(path: str) -> str:
    return "lfs" if path.endswith((".safetensors", ".gguf")) else "regular"


@contextmanager
def hub() -> Iterator[Hub]:
    """A running stand-in."""
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
