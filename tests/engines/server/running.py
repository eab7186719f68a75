"""A server of `serve` in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

import uvicorn

from engines.server.address import listening
from engines.server.app import create_app
from engines.server.lending import Lender


def run(lender: Lender, key: str = "", origins: Collection[str] = ()) -> tuple[str, Callable[[], None]]:
    """Start uvicorn in a thread; its address and how to stop it."""
    listener, app = listening(), create_app(lender, key, origins)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join()

    return f"http://127.0.0.1:{listener.getsockname()[1]}", stop
