"""The worker process of `serve` for models that llama.cpp does not serve: one model behind the same protocol.

Task: workspace, store, model (id), key. Started by `engines.server.hosts.WorkerHost`; not for direct use.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from engines.interface import Engine
from engines.processes import child_main
from results import BakeoffError, Model, Store, Workspace


class OneModel:
    """Lends exactly one model, to one request at a time: the engines behind it are not thread-safe."""

    budget_bytes = used_bytes = gpu_budget_bytes = gpu_used_bytes = 0

    def __init__(self, store: Store, model: Model, engine: Engine) -> None:
        self.store = store
        self._model = model
        self._engine = engine
        self._one = threading.Lock()

    def models(self) -> list[Model]:
        return [self._model]

    def state(self, _: Model) -> Literal["resident"]:
        return "resident"

    @contextmanager
    def lease(self, _: Model, cancelled: Callable[[], bool] = lambda: False, __: Any = None) -> Iterator[Engine | None]:
        while not self._one.acquire(timeout=0.1):
            if cancelled():
                yield None
                return
        try:
            yield self._engine
        finally:
            self._one.release()


def main() -> None:
    """Load, answer the parent with the address, serve."""
    task = child_main.take_task()
    reply = child_main.silence_stdout()
    import uvicorn

    from engines.opening import open_engine
    from engines.server.address import listening
    from engines.server.app import create_app

    try:
        workspace = Workspace(task["workspace"])
        store = workspace.store(task["store"])
        model = store.models.get(task["model"])
        engine = open_engine(model, workspace)
    except BakeoffError as problem:
        child_main.answer(reply, error=str(problem))
        return
    listener = listening()
    app = create_app(OneModel(store, model, engine), task["key"])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, ws="none"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    child_main.answer(reply, address=f"127.0.0.1:{listener.getsockname()[1]}", gpu_bytes=_gpu_bytes())
    child_main.serve_until_orphaned()


def _gpu_bytes() -> int:
    """What torch holds of the GPU's memory; 0 where this engine does not use torch."""
    torch = sys.modules.get("torch")
    return int(torch.cuda.memory_reserved()) if torch is not None and torch.cuda.is_available() else 0


if __name__ == "__main__":
    main()
