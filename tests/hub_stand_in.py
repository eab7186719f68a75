"""A small HTTP server that speaks what the Hub's client calls, to read a repository and to push one; it keeps count.

Reading: what a repository is at a revision, its tree, a file's HEAD and GET. Pushing: create a repository, check the
card's header, preupload (which files go as LFS), the LFS batch, the upload itself, the commit. Refusals as the Hub
words them in `X-Error-Code`, since the client goes by that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "a-token-of-the-test"
"""What a push must come with."""


@dataclass
class Repository:
    """One repository: branch, tag or commit → files."""

    revisions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: bool = False

    def commit(self, revision: str) -> str:
        """A commit's digits, of its files: two names of one state are one commit."""
        files = self.revisions[revision]
        return hashlib.sha1(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()

    def files(self, revision: str) -> dict[str, bytes] | None:
        """The files of a branch, tag or commit; None for one that is not there."""
        if revision in self.revisions:
            return self.revisions[revision]
        return next((files for name, files in self.revisions.items() if self.commit(name) == revision), None)


class Hub(ThreadingHTTPServer):
    """`repositories`: user/repo → Repository; `asked`: files whose content went out. What was pushed: `files`, name →
    content of the last commit; `blobs`, LFS contents by SHA-256; `calls`, paths posted to; `created`; `validated`;
    `deleted`.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []
        self.files: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.created: dict[str, Any] = {}
        self.validated = ""
        self.deleted: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def do_PUT(self) -> None:
        content = self._body()
        sha = self.path.rpartition("/")[2]
        self.server.blobs[sha] = content
        self._tell({}, 200 if hashlib.sha256(content).hexdigest() == sha else 400)

    def do_POST(self) -> None:
        body = self._body()
        self.server.calls.append(self.path)
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._tell({"error": "Invalid credentials"}, 401)
        elif self.path == "/api/repos/create":
            self.server.created = json.loads(body)
            self._tell({"url": f"{self.server.url}/me/small"})
        elif self.path == "/api/validate-yaml":
            self.server.validated = json.loads(body)["content"]
            self._tell({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            modes = [
                {"path": one["path"], "shouldIgnore": False, "uploadMode": _mode(one["path"])}
                for one in json.loads(body)["files"]
            ]
            self._tell({"files": modes})
        elif self.path.endswith("/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.url}/lfs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._tell({"objects": objects, "transfer": "basic"})
        elif "/commit/" in self.path:
            self._commit(body)
        else:
            self._tell({"error": "not found"}, 404)

    def _commit(self, body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.server.files[value["path"]] = self.server.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                self.server.deleted.append(value["path"])
        self._tell({"commitUrl": f"{self.server.url}/me/small/commit/1", "commitOid": "1", "success": True})

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            pieces = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _tell(self, content: Any, status: int = 200) -> None:
        self._send(status, {}, json.dumps(content).encode(), head=False)

    def _answer(self, head: bool) -> None:
        path = urllib.parse.unquote(self.path.partition("?")[0])
        parts = path.strip("/").split("/")
        parts = parts[2:] if parts[:2] in (["api", "models"], ["api", "spaces"]) else parts
        name, (what, revision, *rest) = "/".join(parts[:2]), (*parts[2:], "", "")[: max(2, len(parts) - 2)]
        repository = self.server.repositories.get(name)
        if repository is None:
            self._send(401, {"x-error-code": "RepoNotFound"}, b'{"error": "Repository not found"}', head)
            return
        files = repository.files(revision or "main")
        if files is None:
            self._send(404, {"x-error-code": "RevisionNotFound"}, b'{"error": "Invalid rev id"}', head)
            return
        commit = repository.commit(next(one for one, held in repository.revisions.items() if held is files))
        if what == "resolve":
            self._file(repository, files, commit, "/".join(rest), head)
        elif what == "tree":
            listed = [
                {"type": "file", "path": one, "size": len(held), "oid": hashlib.sha1(held).hexdigest()}
                for one, held in files.items()
            ]
            self._send(200, {}, json.dumps(listed).encode(), head)
        else:
            siblings = [{"rfilename": one, "size": len(held)} for one, held in files.items()]
            told = {"id": name, "sha": commit, "siblings": siblings, "tags": [], "gated": repository.gated}
            self._send(200, {}, json.dumps(told).encode(), head)

    def _file(self, repository: Repository, files: dict[str, bytes], commit: str, file: str, head: bool) -> None:
        if repository.gated:
            self._send(403, {"x-error-code": "GatedRepo"}, b'{"error": "Access to model is restricted"}', head)
        elif file not in files:
            self._send(404, {"x-error-code": "EntryNotFound", "x-repo-commit": commit}, b"{}", head)
        else:
            if not head:
                self.server.asked.append(file)
            digest = hashlib.sha256(files[file]).hexdigest()
            self._send(200, {"etag": f'"{digest}"', "x-repo-commit": commit}, files[file], head)

    def _send(self, status: int, headers: dict[str, str], body: bytes, head: bool) -> None:
        self.send_response(status)
        for key, value in {"content-type": "application/json", **headers}.items():
            self.send_header(key, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if not head:
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
