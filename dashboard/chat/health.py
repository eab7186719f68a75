"""Whether the model server answers, asked beside the pages: none of them waits for it."""

from __future__ import annotations

import threading
import time
from typing import Literal

import httpx

from dashboard.chat import client

State = Literal["starting", "up", "down"]
FRESH_SECONDS = 4.0
"""An answer is so old at least before it is asked for again."""
PATIENCE_SECONDS = 2.0


class Probe:
    """Asks the server's `/v1/models` in a thread of its own, when somebody looks and the last answer is old."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: State = "starting"
        self._asked_at = -FRESH_SECONDS
        self._asking: threading.Thread | None = None

    def look(self) -> State:
        """What the server last was; the look itself takes no time."""
        with self._lock:
            old = time.monotonic() - self._asked_at >= FRESH_SECONDS
            if old and (self._asking is None or not self._asking.is_alive()):
                self._asking = threading.Thread(target=self._ask, daemon=True)
                self._asking.start()
            return self._state

    def settle(self) -> State:
        """Wait for the question that is under way; then what the server is."""
        self.look()
        if self._asking is not None:
            self._asking.join()
        return self._state

    def _ask(self) -> None:
        try:
            answered = client.client().get("/v1/models", timeout=PATIENCE_SECONDS).status_code == 200
        except httpx.HTTPError:
            answered = False
        with self._lock:
            self._state = "up" if answered else "down"
            self._asked_at = time.monotonic()


_probes: dict[str, Probe] = {}


def state() -> State:
    """Whether the model server of this dashboard answers."""
    return _probes.setdefault(client.address(), Probe()).look()
