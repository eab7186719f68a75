"""Damaged requests to a real `bakeoff serve`: the benchmark that sends thousands, with a few hundred."""

from __future__ import annotations

import random
import socket
import threading
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from benchmarks.fuzz_requests import damaged, fuzz, unfinished
from engines.server.guard import PatientProtocol


def test_damaged_requests_are_drawn_anew_and_unfinished_ones_are_told() -> None:
    draws = random.Random(0)
    assert len({damaged(draws)[0] for _ in range(50)}) > 40
    whole = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
    assert not unfinished(whole) and unfinished(whole[:-1]) and unfinished(b"GET / HT") and not unfinished(b"?\r\n\r\n")


@pytest.mark.slow
def test_no_damaged_request_fells_the_server(tmp_path: Path) -> None:
    found = fuzz(200, 7, tmp_path)
    assert sum(found.statuses.values()) == 200 and found.statuses["200"] and found.statuses["400"]
    assert found.good == 6 and found.silent_good == 0, "good requests between them are answered"
    assert found.tracebacks == 0 and not found.unexplained and "silence" not in found.statuses
    assert found.most_bytes - found.first_bytes < 1 << 30


def test_a_client_that_speaks_no_http_after_its_answer_began_leaves_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """uvicorn would send a 400 into the answer that is on its way, and raise."""

    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 405, "headers": [(b"content-length", b"2")]})
            await receive()
            await receive()

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(early, http=PatientProtocol, ws="none", lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    with socket.create_connection(listener.getsockname(), 60) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 405")
        client.sendall(b"2\r\nab 2\r\n0\r\n\r\n")
        while client.recv(1000):
            pass
    server.should_exit = True
    thread.join(60)
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio" and one.exc_info] == []
