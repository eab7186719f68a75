"""Which models are in memory: loaded on demand within a budget, the least recently used idle one leaves.

A request for a resident model never waits for another model's loading. Adapters of one base are resident with it.
Covers no HTTP: that is `engines.server.app`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from engines.errors import EngineBusy
from engines.gguf_format.header import read_header
from engines.hardware.gpu_memory import GpuMemory, gpu_memory
from engines.interface import Engine
from engines.opening import is_llama, weights_path
from engines.server.hosts import Host, LlamaHost, RemoteHost, WorkerHost
from engines.server.lending import OnWait, State
from results import Model, Store, Workspace

BUDGET_SHARE = 0.7
"""Share of the memory that is free at the start which models may take together, unless told otherwise: of the
machine's, and of the GPU's for what lies there."""


@dataclass
class _Resident:
    host: Host
    bytes: int
    ready: bool = False
    users: int = 0
    used: float = field(default_factory=time.monotonic)


class Residency:
    """The models in memory. Thread-safe."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        budget_bytes: int | None = None,
        *,
        slots: int = 4,
        context: int | None = None,
        gpu: GpuMemory | None = None,
    ) -> None:
        """`slots` answers at once per base, each with `context` tokens (4096, or what the model was trained for).

        What lies on a GPU counts against the GPU's memory alone, anything else against the machine's; `budget_bytes`
        bounds each. `gpu` is found out unless given.
        """
        self.store = store
        self.workspace = workspace
        self.budget_bytes = budget_bytes or int(BUDGET_SHARE * psutil.virtual_memory().available)
        self._gpu = gpu_memory() if gpu is None else gpu
        free = max(self._gpu.llamacpp, self._gpu.transformers)
        self.gpu_budget_bytes = min(budget_bytes or free, int(BUDGET_SHARE * free))
        self._slots = slots
        self._context = context
        self._resident: dict[str, _Resident] = {}
        self._queue: list[object] = []
        self._change = threading.Condition()
        self._closed = False

    def models(self) -> list[Model]:
        """Every model that is served, by name: the store's that are not archived and whose weights are known."""
        return [model for model in self.store.models.list() if not model.archived and model.path]

    def state(self, model: Model) -> State:
        """Whether a model is in memory."""
        with self._change:
            resident = self._resident.get(self._key(model))
            if resident is None or not resident.host.serves(model):
                return "unloaded"
            return "resident" if resident.ready else "loading"

    @property
    def used_bytes(self) -> int:
        """The machine's memory that the loaded models count for."""
        with self._change:
            return self._used(on_gpu=False)

    @property
    def gpu_used_bytes(self) -> int:
        """The GPU's memory that the loaded models count for."""
        with self._change:
            return self._used(on_gpu=True)

    def _used(self, on_gpu: bool) -> int:
        return sum(resident.bytes for resident in self._resident.values() if resident.host.on_gpu == on_gpu)

    @contextmanager
    def lease(
        self, model: Model, cancelled: Callable[[], bool] = lambda: False, on_wait: OnWait | None = None
    ) -> Iterator[Engine | None]:
        """The model's engine while the block runs; None if cancelled while it waited.

        Raises: EngineBusy if the model is larger than the whole budget; what loading raises.
        """
        resident = self._take(model, cancelled, on_wait)
        if resident is None:
            yield None
            return
        try:
            yield resident.host.engine(model)
        finally:
            with self._change:
                resident.users -= 1
                resident.used = time.monotonic()
                resident.bytes = max(resident.bytes, resident.host.memory_bytes())
                self._change.notify_all()

    def _key(self, model: Model) -> str:
        if model.form == "remote":
            return model.id
        path = str(weights_path(model, self.workspace).resolve())
        return path if is_llama(model, self.workspace) and model.form != "adapter" else f"{path} {model.id}"

    def _take(self, model: Model, cancelled: Callable[[], bool], on_wait: OnWait | None) -> _Resident | None:
        key, ticket, said = self._key(model), object(), ("", 0)
        with self._change:
            self._queue.append(ticket)
            try:
                while True:
                    if self._closed or cancelled():
                        return None
                    resident = self._resident.get(key)
                    if resident and resident.ready and resident.host.serves(model):
                        resident.users += 1
                        return resident
                    state = ("loading" if resident else "waiting", self._queue.index(ticket) + 1)
                    if on_wait and state != said:
                        said = state
                        on_wait(*state)
                    if not resident or resident.users == 0:
                        resident = self._begin(model, key)
                        if resident:
                            break
                    self._change.wait(0.2)
            finally:
                self._queue.remove(ticket)
                self._change.notify_all()
        if on_wait:
            on_wait("loading", 1)
        return self._load(resident, key)

    def _begin(self, model: Model, key: str) -> _Resident | None:
        """Make room and take the place; None if that has to wait. Called with the lock held."""
        if any(not resident.ready for resident in self._resident.values()):
            return None  # one model loads at a time: two at once would only slow each other down
        outdated = self._resident.pop(key, None)
        if outdated:
            outdated.host.close()
        host = self._host(model)
        need = host.expected_bytes
        budget, whose = (self.gpu_budget_bytes, "GPU's ") if host.on_gpu else (self.budget_bytes, "")
        if need > budget:
            raise EngineBusy(
                f"{model.name} needs about {need / 1e9:.1f} GB; the {whose}memory budget is {budget / 1e9:.1f} GB. "
                "Use a smaller format (gguf-q4_0) or raise it: bakeoff serve --memory"
            )
        while self._used(host.on_gpu) + need > budget:
            idle = [
                other
                for other, resident in self._resident.items()
                if resident.users == 0 and resident.host.on_gpu == host.on_gpu
            ]
            if not idle:
                return None
            oldest = min(idle, key=lambda other: self._resident[other].used)
            self._resident.pop(oldest).host.close()
        self._resident[key] = _Resident(host, need, users=1)
        return self._resident[key]

    def _load(self, resident: _Resident, key: str) -> _Resident:
        try:
            resident.host.load()
        except BaseException:
            with self._change:
                self._resident.pop(key, None)
                self._change.notify_all()
            resident.host.close()
            raise
        with self._change:
            resident.ready = True
            resident.bytes = max(resident.bytes, resident.host.memory_bytes())
            self._change.notify_all()
        return resident

    def _host(self, model: Model) -> Host:
        if model.form == "remote":
            return RemoteHost(model)
        if model.form == "adapter" or not is_llama(model, self.workspace):
            return WorkerHost(model, self.workspace, on_gpu=self._gpu.transformers > 0 and model.form != "ggml")
        base = weights_path(model, self.workspace).resolve()
        siblings = [
            other
            for other in self.models()
            if other.form == "lora-gguf"
            and weights_path(other, self.workspace).resolve() == base
            and self.workspace.resolve(other.path).exists()
        ]
        return LlamaHost(
            base, read_header(base), siblings, self.workspace, self._slots, self._context, self._gpu.llamacpp > 0
        )

    def close(self) -> None:
        """End every engine."""
        with self._change:
            self._closed = True
            residents, self._resident = list(self._resident.values()), {}
            self._change.notify_all()
        for resident in residents:
            resident.host.close()
