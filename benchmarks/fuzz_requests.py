"""Thousands of damaged requests to a real `bakeoff serve`: is it felled, hung, or does it answer without a reason?

A miniature behind llama.cpp and one behind transformers are served. Good requests are damaged in every way that is
known to have felled a server: methods, paths, headers, Host and Origin, chunked bodies, lengths that lie, JSON of wrong
types, depths, sizes and halves of characters, schemas, tools, connections that end in the middle. After each hundred
both models must answer a good request. Counted: tracebacks in the log, statuses of 500 and above by reason, requests
that took longer than `PATIENCE`, growth of memory.

    python benchmarks/fuzz_requests.py --requests 10000 --seed 1
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
import httpx
import psutil

from engines import FolderSource, write_model
from results import Model, Workspace
from tests.engines.conftest import build

PATIENCE = 5.0
"""Seconds; a damaged request that takes longer hangs."""
LONG = 30.0
"""Seconds that are waited for it, so that what is slow and what never ends can be told apart."""
EVERY = 100
MODELS = ("small", "whole")

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "maximum": 9}}, "required": ["a"]}
TOOL = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
CHAT: dict[str, Any] = {
    "model": "small", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    "max_tokens": 2, "temperature": 0.5, "top_p": 0.9, "seed": 1, "stop": ["\n\n"], "n": 1, "stream": False,
}  # fmt: skip
REQUESTS: tuple[tuple[str, dict[str, Any] | None], ...] = (
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": True}}),
    ("/v1/chat/completions", {**CHAT, "response_format": {"type": "json_schema", "json_schema": {"name": "a",
    "schema": SCHEMA}}}),
    ("/v1/chat/completions", {**CHAT, "tools": [TOOL], "tool_choice": "auto"}),
    ("/v1/chat/completions", {**CHAT, "logprobs": True, "top_logprobs": 2, "logit_bias": {"5": 1},
    "presence_penalty": 1}),
    ("/v1/completions", {"model": "small", "prompt": ["Hello", "def"], "max_tokens": 2, "logprobs": 1}),
    ("/tokenize", {"model": "small", "content": "Hello 😀", "add_special": True}),
    ("/detokenize", {"model": "small", "tokens": [1, 2, 3]}),
    ("/apply-template", {"model": "small", "messages": CHAT["messages"]}),
    ("/v1/models", None), ("/v1/models/small", None), ("/health", None), ("/v1/embeddings", {"model": "small",
    "input": "a"}),
)  # fmt: skip

VALUES: tuple[Callable[[random.Random], Any], ...] = (
    lambda _: None, lambda _: True, lambda _: -1, lambda _: 0, lambda _: 2**63, lambda _: 10**400, lambda _: 1e308,
    lambda _: float("nan"), lambda _: float("-inf"), lambda _: "", lambda _: "\ud83d", lambda _: "a\0b",
    lambda _: "😀" * 300,
    lambda _: "\x1b[2J\u202e", lambda draws: "x" * draws.choice((100, 10**4, 10**6)), lambda _: [], lambda _: {},
    lambda _: [[]], lambda draws: _nested(draws.choice((5, 70, 900))), lambda draws: [1] * draws.choice((10, 10**5)),
    lambda _: {"a": 1, "\ud800": 2}, lambda draws: {f"k{number}": number for number in range(draws.choice((3, 3000)))},
    lambda _: "<|im_end|>" * 50, lambda _: "__proto__", lambda _: "../../etc/passwd", lambda _: {"$ref": "#"},
    lambda _: {"type": "array", "minItems": 10**9, "items": {}}, lambda _: {"not": {}},
    lambda _: {"pattern": "(a*)*" * 40},
    lambda _: {"anyOf": [{"type": "string"}] * 500}, lambda _: {"enum": ["a" * 99] * 999}, lambda _: "whole",
    lambda _: "stop",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW", "get", "")
PATHS = (
    "/", "//", "/v1", "/v1/", "/v1/models/", "/v1/models/%00", "/v1/models/..%2f..%2fetc", "/v1/models/" + "a" * 9000,
    "/%ff%fe",
    "/v1/chat/completions/", "/v1//chat/completions", "/v1/chat/completions?a=b", "*", "http://evil.example/v1/models",
    "/v1/models/%f0%9f%98%80", "/v1/models/small%0d%0aX-A:b", "/docs", "/openapi.json", "/v1/models/small#x", "",
)  # fmt: skip
HEADERS = (
    "Host: evil.example", "Host: 127.0.0.1:1.evil.example", "Host: ", "Host: [::1", "Host: a@127.0.0.1", "Origin: null",
    "Origin: http://127.0.0.1:1", "Origin: https://evil.example", "Origin: \x80", "Content-Length: -1",
    "Content-Length: 1e9",
    "Content-Length: 99999999999999999999", "Content-Length: 12", "Content-Length: x", "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Content-Type: text/plain",
    "Content-Encoding: gzip",
    "Content-Type: application/json; charset=utf-16", "Content-Type: multipart/form-data", "Expect: 100-continue",
    "Authorization: Bearer \x00", "Authorization: Basic eA==", "Connection: upgrade\r\nUpgrade: websocket",
    "X: " + "a" * 70000,
    "Cookie: a=b", " folded: yes", "no colon at all", "Access-Control-Request-Method: POST", "Upgrade: h2c", ": empty",
    "Accept-Encoding: br", "Range: bytes=0-1", "If-None-Match: *", "X-Forwarded-Host: localhost", "Content-Length: 5",
)  # fmt: skip


@dataclass
class Found:
    """What came of the damaged requests."""

    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    slow: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    unexplained: list[str] = field(default_factory=list)
    """Statuses of 500 and above without an error's message."""
    failures: collections.Counter[str] = field(default_factory=collections.Counter)
    """Statuses of 500 and above by their message."""
    silent_good: int = 0
    """Good requests that were not answered."""
    good: int = 0
    first_bytes: int = 0
    """Memory of the server and its children when both models had answered once."""
    most_bytes: int = 0
    tracebacks: int = 0


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def damaged(draws: random.Random) -> tuple[bytes, bool]:
    """(bytes of a request, whether the connection ends in the middle of it)."""
    path, body = copy.deepcopy(draws.choice(REQUESTS))
    if body is not None and draws.random() < 0.15:
        body["model"] = draws.choice((*MODELS, "nobody", ""))
    method, headers = "GET" if body is None else "POST", ["Host: 127.0.0.1"]
    for _ in range(draws.choice((0, 1, 1, 2))):
        if body:
            _damage(body, draws)
    if draws.random() < 0.1:
        method = draws.choice(METHODS)
    if draws.random() < 0.1:
        path = draws.choice(PATHS)
    content = b"" if body is None else _encoded(body, draws)
    if body is not None:
        headers.append("Content-Type: application/json")
    if draws.random() < 0.15:
        headers += draws.sample(HEADERS, draws.choice((1, 1, 2, 3)))
    if content and draws.random() < 0.1:
        headers.append("Transfer-Encoding: chunked")
        content = _chunked(content, draws)
    elif body is not None:
        headers.append(f"Content-Length: {len(content)}")
    data = (
        f"{method} {path} HTTP/1.1\r\n".encode()
        + "\r\n".join(headers).encode("utf-8", "replace")
        + b"\r\n\r\n"
        + content
    )
    if draws.random() < 0.03:
        place = draws.randrange(len(data))
        data = data[:place] + draws.randbytes(draws.choice((1, 4, 60))) + data[place + 1 :]
    half = draws.random() < 0.05
    return data[: draws.randrange(len(data))] if half else data, half


def unfinished(data: bytes) -> bool:
    """Whether a server rightly waits for more of this request, or for another protocol's words."""
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(data)
        while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.EndOfMessage):
                return False
    except h11.RemoteProtocolError:
        return False
    return True


def _damage(body: dict[str, Any], draws: random.Random) -> None:
    """Replace, remove or add something somewhere in a JSON object."""
    place: Any = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = draws.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and draws.random() < 0.6:
            place = place[key]
            continue
        break
    kind = draws.random()
    if kind < 0.15:
        del place[key]
    elif kind < 0.25 and isinstance(place, dict):
        place[draws.choice(("wizardry", "top_k", "grammar", "tools", "best_of", "x" * 200))] = draws.choice(VALUES)(
            draws
        )
    else:
        place[key] = draws.choice(VALUES)(draws)


def _encoded(body: dict[str, Any], draws: random.Random) -> bytes:
    try:
        text = json.dumps(body, ensure_ascii=draws.random() < 0.7)
    except ValueError:
        text = "{}"
    kind = draws.random()
    if kind < 0.02:
        text = draws.choice(("", "{", "[]", "null", '"a"', "NaN", "{" * 5000, "[" * 200000, '{"a":' * 3000, "\ufeff{}"))
    elif kind < 0.03:
        text = '{"model": "small", "prompt": "' + "x" * (9 << 20) + '"}'
    elif kind < 0.05:
        return text.encode("utf-16", "replace")
    return text.encode("utf-8", "surrogatepass")


def _chunked(content: bytes, draws: random.Random) -> bytes:
    size = draws.choice((1, 7, 1000))
    pieces = [content[at : at + size] for at in range(0, min(len(content), 20_000), size)]
    made = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    return (
        made if draws.random() < 0.7 else made.replace(b"\r\n", draws.choice((b"\n", b"", b"zz\r\n", b";a=b\r\n")), 3)
    )


def send(address: tuple[str, int], data: bytes, half: bool) -> tuple[str, bytes]:
    """(status or what came instead, the answer's body). Raises: TimeoutError after `LONG`."""
    with socket.create_connection(address, LONG) as connection:
        connection.settimeout(LONG)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
            if half:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
                if _complete(answer, data.startswith(b"HEAD ")):
                    break
            head, _, body = answer.partition(b"\r\n\r\n")
            words = head.split(b"\r\n")[0].split()
            return (words[1].decode("ascii", "replace") if len(words) > 1 else "closed"), body
    return "closed", b""


def _complete(answer: bytes, bodiless: bool) -> bool:
    """Whether an answer has ended: what keeps its connection open has a length, or a last chunk."""
    head, found, body = answer.partition(b"\r\n\r\n")
    lower = head.lower()
    if not found or bodiless:
        return bool(found)
    if b"transfer-encoding: chunked" in lower:
        return body.endswith(b"0\r\n\r\n")
    at = lower.find(b"content-length: ")
    return at < 0 or len(body) >= int(lower[at + 16 :].split(b"\r\n")[0] or 0)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[tuple[str, int], psutil.Process, Path]]:
    """A real `bakeoff serve` over two miniatures: its address, its process, its log."""
    plain, place = build("smollm", folder / "plain"), Workspace(folder / "workspace")
    write_model(folder / "small.gguf", FolderSource(plain), "gguf-f16")
    with place.store() as store:
        store.models.add(Model("m-1", "small", "base", "tiny", "a" * 64, 1, str(folder / "small.gguf")))
        store.models.add(Model("m-2", "whole", "merged", "tiny", "b" * 64, 1, str(plain)))
    log = folder / "serve.log"
    command = [
        sys.executable,
        "-m",
        "bakeoff",
        "serve",
        "--workspace",
        str(place.path),
        "--port",
        "0",
        "--context",
        "512",
    ]
    with log.open("wb") as written:
        process = subprocess.Popen([*command, "--memory", "8"], stdout=written, stderr=written, start_new_session=True)
    try:
        while "serving http" not in (said := log.read_text("utf-8", "replace")):
            if process.poll() is not None:
                raise SystemExit(f"bakeoff serve ended: {said}")
            time.sleep(0.2)
        port = int(said.split("127.0.0.1:")[1].split("/")[0])
        yield ("127.0.0.1", port), psutil.Process(process.pid), log
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def memory(process: psutil.Process) -> int:
    """Resident bytes of a process and its children."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += one.memory_info().rss
    return total


def good(address: tuple[str, int], found: Found) -> None:
    """One good request to each model."""
    for model in MODELS:
        found.good += 1
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
        try:
            answer = httpx.post(f"http://{address[0]}:{address[1]}/v1/chat/completions", json=body, timeout=LONG)
            found.silent_good += answer.status_code != 200
        except httpx.HTTPError:
            found.silent_good += 1


def fuzz(count: int, seed: int, folder: Path) -> Found:
    """Send so many damaged requests."""
    found, draws = Found(), random.Random(seed)
    with serving(folder) as (address, process, log):
        good(address, found)
        found.first_bytes = found.most_bytes = memory(process)
        for number in range(count):
            data, half = damaged(draws)
            began = time.monotonic()
            try:
                status, body = send(address, data, half or unfinished(data))
            except TimeoutError:
                status, body = "silence", b""
            except ConnectionError:
                status, body = "closed", b""
            took = time.monotonic() - began
            found.statuses[status] += 1
            found.slowest_seconds = max(found.slowest_seconds, took)
            if took > PATIENCE:
                found.slow.append(f"{number}: {took:.1f} s, {status}, {data[:300]!r}")
                print(found.slow[-1], file=sys.stderr)
            if status.isdigit() and int(status) >= 500:
                _explain(found, number, data, body)
            if (number + 1) % EVERY == 0:
                good(address, found)
                found.most_bytes = max(found.most_bytes, memory(process))
                print(
                    f"{number + 1} requests, {len(found.slow)} slow, {found.most_bytes / 1e6:.0f} MB", file=sys.stderr
                )
        _, *tracebacks = log.read_text("utf-8", "replace").split("Traceback")
        found.tracebacks = len(tracebacks)
        for one in tracebacks:
            print(f"Traceback{one[:4000]}", file=sys.stderr)
    return found


def _explain(found: Found, number: int, data: bytes, body: bytes) -> None:
    try:
        found.failures[str(json.loads(body)["error"]["message"])[:200]] += 1
    except (ValueError, KeyError, TypeError):
        found.unexplained.append(f"{number}: {data[:300]!r} -> {body[:200]!r}")


def main() -> int:
    """Fuzz and print a JSON line. Exit 1 if one of the promises broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(arguments.requests, arguments.seed, Path(folder))
    print(json.dumps(found.__dict__))
    broken = found.slow or found.unexplained or found.silent_good or found.tracebacks
    return 1 if broken or found.most_bytes - found.first_bytes > 1 << 30 else 0


if __name__ == "__main__":
    raise SystemExit(main())
