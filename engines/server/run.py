"""Run the server of `engines.server.app` until it is told to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import uvicorn

from engines.server.address import Address
from engines.server.app import create_app
from engines.server.residency import Residency
from results import Store, Workspace

LIFELINE = "BAKEOFF_LIFELINE"
"""Environment variable with the descriptor of a pipe that closes when the starter of this process ends."""


def serve(
    store: Store,
    workspace: Workspace,
    address: Address,
    ready: Callable[[str], None],
    *,
    slots: int = 4,
    context: int | None = None,
    budget_bytes: int | None = None,
) -> None:
    """Serve until interrupted; `ready(url)` is called when requests are taken.

    `slots`, `context` and `budget_bytes` are those of `Residency`. With the environment variable `BAKEOFF_LIFELINE` (a
    pipe's descriptor) the server ends when its starter's end closes the pipe.

    Raises: EngineError if the port is taken, or the address is not this machine's own and there is no key.
    """
    listener = address.listen()
    residency = Residency(store, workspace, budget_bytes, slots=slots, context=context)
    app = create_app(residency, address.key)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2))
    _end_with_starter()
    ready(address.url(listener))
    try:
        server.run(sockets=[listener])
    finally:
        residency.close()


def _end_with_starter() -> None:
    """Where the starter holds a lifeline, end in order when it is gone, even if it was killed."""
    number = os.environ.pop(LIFELINE, "")
    if not number:
        return

    def watch() -> None:
        while os.read(int(number), 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
