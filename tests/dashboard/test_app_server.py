"""The way in: Streamlit's files from memory, its socket without delay, everything else left to Streamlit."""

from __future__ import annotations

import asyncio
import gc
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dashboard import app_server


def answered(
    path: str, method: str = "GET", by: Any = app_server.Scripts, asked: bytes = b""
) -> tuple[list[dict[str, Any]], bool]:
    """(messages sent for a request, whether it was passed on)."""
    sent: list[dict[str, Any]] = []
    passed: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["path"])

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": method, "path": path, "query_string": asked}
    request = by(inner)(scope, receive, send)
    with ThreadPoolExecutor(1) as pool:  # in this thread a browser of other tests may have a loop running
        pool.submit(asyncio.run, request).result()
    return sent, bool(passed)


def test_every_file_named_in_the_first_page_is_answered_whole() -> None:
    scripts = [path for path in app_server.files() if path.endswith(".js")]
    assert len(scripts) > 50
    for path in [scripts[0], next(path for path in app_server.files() if path.endswith(".woff2"))]:
        (start, body), passed = answered(path)
        headers = dict(start["headers"])
        assert not passed
        assert body["body"] == (app_server.STATIC / path.lstrip("/")).read_bytes()
        assert int(headers[b"content-length"]) == len(body["body"])
        assert headers[b"content-type"] == (
            b"text/javascript; charset=utf-8" if path.endswith(".js") else b"font/woff2"
        )


def test_home_is_found_by_its_name_too() -> None:
    for asked, place in ((b"", b"./"), (b"about=shop&sort=-votes", b"./?about=shop&sort=-votes")):
        (start, _), passed = answered("/home", by=app_server.FirstPage, asked=asked)
        assert not passed and start["status"] == 307 and dict(start["headers"])[b"location"] == place
    assert answered("/decide", by=app_server.FirstPage) == ([], True)


def test_everything_else_is_streamlits() -> None:
    known = next(iter(app_server.files()))
    for path, method in [("/", "GET"), ("/decide", "GET"), ("/static/../../secrets.toml", "GET"), (known, "POST")]:
        sent, passed = answered(path, method)
        assert passed
        assert sent == []


def test_accepted_connections_do_not_wait_for_acknowledgements() -> None:
    with socket.socket() as listening, socket.socket() as untouched:
        for one in (listening, untouched):
            one.bind(("127.0.0.1", 0))
            one.listen()
        app_server.hurry(listening.getsockname()[1])
        found = []
        for one in (listening, untouched):
            with socket.create_connection(one.getsockname()), one.accept()[0] as accepted:
                found.append(bool(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
    assert found == [True, False]


def test_looking_for_the_socket_leaves_no_file_open() -> None:
    def count() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = count()
    app_server.hurry(1)
    assert count() == before


def test_what_is_loaded_is_out_of_the_collectors_reach() -> None:
    loaded: list[Any] = []
    loaded.append(loaded)  # a circle, which the collector looks at
    app_server.settle()
    try:
        assert gc.get_freeze_count() > 100_000
        assert not any(one is loaded for one in gc.get_objects())
    finally:
        gc.unfreeze()
    assert any(one is loaded for one in gc.get_objects())
