"""What holds a model for `serve`: a llama.cpp process, a worker process with another engine, or a remote endpoint."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from engines.gguf_format.header import Header
from engines.interface import Chunk, Completion, CountedStream, Engine, Message, Sampling
from engines.llamacpp.engine import LlamaCppEngine
from engines.llamacpp.scheduler import BASE, Scheduler
from engines.llamacpp.server_process import DEFAULT_CONTEXT, LlamaServer, expected_bytes
from engines.openai_endpoint import OpenAIEngine
from engines.processes.child_process import ChildProcess
from engines.processes.succession import Stream, Succession
from results import Model, Workspace
from results.records import Progress

WORKER_LOAD_SECONDS = 600.0


class Host(Protocol):
    """One loadable thing. Created cheaply; `load` does the work."""

    expected_bytes: int
    on_gpu: bool
    """Whether its weights lie in a GPU's memory; `expected_bytes` and `memory_bytes` are then of that memory."""

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
        """Memory that it takes now."""
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
        on_gpu: bool = False,
    ) -> None:
        self.on_gpu = on_gpu
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
        return self._server.children.memory_bytes(self.on_gpu) if self._server else 0

    def close(self) -> None:
        if self._server:
            self._server.close()


class WorkerHost:
    """Any other local engine in a worker process, which speaks the same protocol as `serve` itself."""

    def __init__(self, model: Model, workspace: Workspace, on_gpu: bool = False) -> None:
        self.on_gpu = on_gpu
        self._model = model
        self._workspace = workspace
        self.expected_bytes = int(1.3 * model.bytes) + (600 << 20)  # torch itself takes about half a gigabyte
        self._children: Succession[ChildProcess] | None = None
        self._turns = Scheduler(1)

    def load(self) -> None:
        self._children = Succession(self._model.name, self._start)

    def _start(self) -> ChildProcess:
        task = {"workspace": str(self._workspace.path), "model": self._model.id, "path": self._model.path,
                "store": self._workspace.store_url}  # fmt: skip
        return ChildProcess("engines.server.worker", task, WORKER_LOAD_SECONDS)

    def serves(self, model: Model) -> bool:
        return model.id == self._model.id and model.identity == self._model.identity

    def engine(self, model: Model) -> WorkerEngine:
        assert self._children is not None, "load comes first"
        return WorkerEngine(self._children, model, self._turns)

    def memory_bytes(self) -> int:
        return self._children.memory_bytes(self.on_gpu) if self._children else 0

    def close(self) -> None:
        if self._children:
            self._children.close()


class WorkerEngine:
    """The model in a worker process and its successors. Thread-safe."""

    def __init__(self, children: Succession[ChildProcess], model: Model, turns: Scheduler) -> None:
        """`turns`: who may ask the worker, which answers one at a time."""
        self.children = children
        self._turns = turns
        self.identity = model.identity
        self._name = model.name

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> WorkerStream:
        """Answer a conversation."""
        return self._queued(lambda child: self._of(child).stream(messages, sampling))

    def stream_text(self, prompt: str, sampling: Sampling) -> WorkerStream:
        """Continue a raw prompt."""
        return self._queued(lambda child: self._of(child).stream_text(prompt, sampling))

    def _queued(self, ask: Callable[[ChildProcess], CountedStream]) -> WorkerStream:
        return WorkerStream(Stream(self.children, ask), self._turns)

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Continue raw prompts."""
        return self.children.ask(lambda child: self._of(child).complete(prompts, sampling, progress))

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt text of a conversation."""
        return self.children.ask(lambda child: self._of(child).render(messages))

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special tokens not added."""
        return self.children.ask(lambda child: self._of(child).count_tokens(text))

    def token_ids(self, text: str, add_special: bool = False, parse_special: bool = True) -> list[int]:
        """Token ids of a text."""
        return self.children.ask(lambda child: self._of(child).token_ids(text, add_special, parse_special))

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of these token ids."""
        return self.children.ask(lambda child: self._of(child).text_of(ids))

    def close(self) -> None:
        """The process stays: its host ends it."""

    def _of(self, child: ChildProcess) -> OpenAIEngine:
        return OpenAIEngine(
            f"http://{child.address}/v1", self._name, child.key, identity=self.identity, crashed=child.reason
        )


class WorkerStream(Iterator[Chunk]):
    """An answer of a worker, which makes one at a time: until it is this one's turn, its place in the queue is told.

    Iterate it once; `close` from any thread stops it.
    """

    def __init__(self, answer: Stream[ChildProcess], turns: Scheduler) -> None:
        self._answer = answer
        self._turns = turns
        self._cancelled = False
        self._pieces = self._read()
        self.on_wait: Callable[[int], None] | None = None
        """Called with the place in the queue (1 is next) while another answer is made."""
        self.waited_seconds = 0.0
        """Seconds until it was this one's turn."""

    def __iter__(self) -> WorkerStream:
        return self

    def __next__(self) -> Chunk:
        return next(self._pieces)

    def _read(self) -> Generator[Chunk]:
        began = time.perf_counter()
        turn = self._turns.take_slot(BASE, (), lambda: self._cancelled, self.on_wait)
        if turn is None:
            return
        self.waited_seconds = time.perf_counter() - began
        try:
            yield from self._answer
        finally:
            self._answer.close()
            self._turns.give_slot(turn, BASE, [])

    def close(self) -> None:
        """Stop. From another thread it takes effect with the next piece."""
        self._cancelled = True
        self._answer.close()
        with contextlib.suppress(ValueError):  # it is read in another thread, which now finds itself cancelled
            self._pieces.close()

    @property
    def tokens(self) -> int:
        """Tokens of the answer so far."""
        return self._answer.tokens

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, once the process has said so."""
        return self._answer.prompt_tokens


class RemoteHost:
    """A foreign endpoint: nothing to load, no memory of ours."""

    expected_bytes = 0
    on_gpu = False

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
