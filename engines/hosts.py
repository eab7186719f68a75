"""What holds a model for `serve`: a llama.cpp process, a worker process with another engine, or a remote endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from engines.header import Header
from engines.interface import Engine
from engines.llamacpp import LlamaCppEngine
from engines.llamaserver import DEFAULT_CONTEXT, LlamaServer, expected_bytes
from engines.openai import OpenAIEngine
from engines.process import ChildProcess
from results import Model, Workspace

WORKER_LOAD_SECONDS = 600.0


class Host(Protocol):
    """One loadable thing. Created cheaply; `load` does the work."""

    expected_bytes: int

    def load(self) -> None:
        """Bring it into memory. Raises what the engine raises."""
        ...

    def serves(self, model: Model) -> bool:
        """Whether this model's requests can go here."""
        ...

    def engine(self, model: Model) -> Engine:
        """The engine for one of its models; after a crash, a new one."""
        ...

    def memory_bytes(self) -> int:
        """Resident memory now."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


class LlamaHost:
    """A base GGUF with every adapter that the store knows for it."""

    def __init__(
        self,
        base: Path,
        header: Header,
        siblings: Sequence[Model],
        workspace: Workspace,
        slots: int,
        context: int | None,
    ) -> None:
        self._base = base
        self._adapters = {model.id: workspace.resolve(model.path) for model in siblings}
        self._identities = {model.id: model.identity for model in siblings}
        self._slots = slots
        self._context = context or min(int(header.hyperparameter("context_length", DEFAULT_CONTEXT)), DEFAULT_CONTEXT)
        self.expected_bytes = expected_bytes(header, self._context * slots) + sum(
            path.stat().st_size for path in self._adapters.values()
        )
        self._server: LlamaServer | None = None

    def load(self) -> None:
        self._server = LlamaServer(
            self._base, list(self._adapters.values()), context=self._context, slots=self._slots, warmup=True
        )
        self._server.acquire()

    def serves(self, model: Model) -> bool:
        return model.form != "lora-gguf" or self._identities.get(model.id) == model.identity

    def engine(self, model: Model) -> LlamaCppEngine:
        assert self._server is not None, "load comes first"
        place = list(self._adapters).index(model.id) if model.form == "lora-gguf" else None
        return LlamaCppEngine(self._server, place, model.identity)

    def memory_bytes(self) -> int:
        return self._server.child().memory_bytes() if self._server else 0

    def close(self) -> None:
        if self._server:
            self._server.close()


class WorkerHost:
    """Any other local engine in a worker process, which speaks the same protocol as `serve` itself."""

    def __init__(self, model: Model, workspace: Workspace) -> None:
        self._model = model
        self._workspace = workspace
        self.expected_bytes = int(1.3 * model.bytes) + (600 << 20)  # torch itself takes about half a gigabyte
        self._child: ChildProcess | None = None

    def load(self) -> None:
        task = {"workspace": str(self._workspace.path), "model": self._model.id, "path": self._model.path,
                "store": self._workspace.store_url}  # fmt: skip
        self._child = ChildProcess("engines.worker", task, WORKER_LOAD_SECONDS)

    def serves(self, model: Model) -> bool:
        return model.id == self._model.id and model.identity == self._model.identity

    def engine(self, model: Model) -> OpenAIEngine:
        if self._child is None or not self._child.alive:
            self.load()
        assert self._child is not None
        return OpenAIEngine(
            f"http://{self._child.address}/v1", model.name, self._child.key, identity=model.identity,
            crashed=self._child.reason,
        )  # fmt: skip

    def memory_bytes(self) -> int:
        return self._child.memory_bytes() if self._child else 0

    def close(self) -> None:
        if self._child:
            self._child.stop()


class RemoteHost:
    """A foreign endpoint: nothing to load, no memory of ours."""

    expected_bytes = 0

    def __init__(self, model: Model) -> None:
        self._model = model

    def load(self) -> None:
        return

    def serves(self, model: Model) -> bool:
        return model.id == self._model.id

    def engine(self, model: Model) -> OpenAIEngine:
        return OpenAIEngine.of(model)

    def memory_bytes(self) -> int:
        return 0

    def close(self) -> None:
        return
