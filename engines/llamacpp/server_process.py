"""One base GGUF in one child process with all its LoRA adapters: loading, slots, restarts after a crash.

`engines.llamacpp.engine.LlamaCppEngine` is the interface over it, one for the base and one for each adapter. Weights
are in memory once, whatever the number of adapters.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import FileRefused
from engines.gguf_format.header import Header, read_header
from engines.llamacpp.http import Wire
from engines.llamacpp.scheduler import Scheduler
from engines.processes.child_process import ChildProcess
from engines.processes.succession import Succession
from engines.processes.templates import check_template
from results import processors

DEFAULT_CONTEXT = 4096
"""Tokens of one conversation unless told otherwise; fewer where the model was trained for fewer."""

SLACK_BYTES = 4 << 30
"""Address space beyond weights, keys and values: libraries, stacks, compute buffers. Not memory, only its bound."""

LOAD_SECONDS = 60.0
"""Seconds to start a process and whatever a template may do while llama.cpp looks at it; beside reading the file."""
CHAT_TEMPLATE = "tokenizer.chat_template"
"""The key of the file's template; those with something behind it are for tools and the like."""
DISK = 20e6
"""Bytes per second of the slowest disk that is waited for."""


@dataclass(frozen=True)
class Threading:
    """How a llama.cpp process uses the cores."""

    threads: int
    patient: bool = False
    """Waiting threads soon sleep instead of spinning: 1 to 11 % slower alone, far faster beside a busy process."""

    @property
    def environment(self) -> dict[str, str]:
        """The child process's variables: OpenMP's spin count, read once when its library is loaded."""
        return {"GOMP_SPINCOUNT": PATIENT_SPINS} if self.patient else {}


PATIENT_SPINS = "300"
"""Some 10 µs, as long as most barriers take. SmolLM2-135M on two cores, tokens/s alone and beside one busy process:
62 and 20 where threads spin without end, 61 and 35 with 300, 43 and 36 where they sleep at once."""


def resting() -> Threading:
    """The choice without calibration: all cores, patient, so that nothing else that runs stalls it."""
    return Threading(processors(), patient=True)


def cache_bytes(header: Header, context: int) -> int:
    """Bytes of keys and values (16-bit) for this many tokens; heads and layers from the file's own header."""
    heads = header.hyperparameter("attention.head_count", 1)
    shared = header.hyperparameter("attention.head_count_kv", heads)
    wide = header.hyperparameter("embedding_length", 0)
    per_layer = max(shared) if isinstance(shared, list) else int(shared)
    most_heads = max(heads) if isinstance(heads, list) else int(heads)
    head = header.hyperparameter("attention.key_length", wide // max(1, most_heads))
    return int(2 * 2 * header.hyperparameter("block_count", 0) * per_layer * head * context)


class LlamaServer:
    """A llama.cpp process over one base. Thread-safe; counts the engines that use it."""

    def __init__(
        self,
        path: Path,
        adapters: Sequence[Path] = (),
        *,
        context: int | None = None,
        slots: int = 1,
        threading_choice: Threading | None = None,
        warmup: bool = False,
        load_seconds: float = LOAD_SECONDS,
    ) -> None:
        """Check the headers, then load within `load_seconds` and a second for each 20 MB. `context` is of one slot.

        Raises: FileRefused before anything parses a hostile file; EngineError, EngineCrashed if it does not load.
        """
        self.path = path.resolve()
        self.adapters = [adapter.resolve() for adapter in adapters]
        self.header = read_header(self.path)
        self._check_kinds()
        for name, template in self.header.metadata.items():
            if name.startswith(CHAT_TEMPLATE) and isinstance(template, str):
                check_template(template, self.path.name)
        trained = int(self.header.hyperparameter("context_length", DEFAULT_CONTEXT))
        self.context = min(context or min(trained, DEFAULT_CONTEXT), max(trained, 64))
        self.slots = slots
        self.threading = threading_choice or resting()
        self.warmup = warmup
        self._load_seconds = load_seconds + sum(path.stat().st_size for path in (self.path, *self.adapters)) / DISK
        self.scheduler = Scheduler(slots)
        self.learned: dict[str, Any] = {}
        """What was found out about this file by trying: which grammars bind, how its template writes calls."""
        self._lock = threading.Lock()
        self._users = 0
        self.children: Succession[ChildProcess] = Succession(self.path.name, self._start)

    def _check_kinds(self) -> None:
        if self.header.metadata.get("general.type", "model") not in ("model",):
            kind = self.header.metadata["general.type"]
            raise FileRefused(
                f"{self.path} is a GGUF of type {kind!r}, not a model. An adapter needs its base beside it."
            )
        for adapter in self.adapters:
            header = read_header(adapter)
            if header.metadata.get("general.type") != "adapter" or header.architecture != self.header.architecture:
                raise FileRefused(f"{adapter} is no LoRA adapter for a {self.header.architecture} model.")

    def _start(self) -> ChildProcess:
        weights = sum(path.stat().st_size for path in (self.path, *self.adapters))
        task = {
            "path": str(self.path),
            "adapters": [str(path) for path in self.adapters],
            "context": self.context,
            "slots": self.slots,
            "threads": self.threading.threads,
            "warmup": self.warmup,
            "memory_bytes": 3 * weights + 2 * cache_bytes(self.header, self.context * self.slots) + SLACK_BYTES,
        }
        return ChildProcess("engines.llamacpp.child_main", task, self._load_seconds, self.threading.environment)

    @property
    def expected_bytes(self) -> int:
        """Memory that a loaded model of this size takes, before it is loaded."""
        return expected_bytes(self.header, self.context * self.slots)

    def child(self) -> ChildProcess:
        """The running process; a new one if the last one died. Raises: EngineCrashed after `close`."""
        return self.children.child()

    @property
    def vocabulary(self) -> int:
        """Tokens that the model knows."""
        tokens = self.header.metadata.get("tokenizer.ggml.tokens")
        return len(tokens) if isinstance(tokens, list) else int(getattr(tokens, "items", 0))

    @property
    def restarts(self) -> int:
        """How often a new process took the place of one that ended: what is timed meanwhile is no latency."""
        return self.children.restarts

    def wire(self, child: ChildProcess | None = None) -> Wire:
        """The connection to this process, by default the running one."""
        child = child or self.child()
        return Wire(child.address, child.key)

    def call(self, path: str, body: Any, seconds: float = math.inf) -> Any:
        """POST, and the JSON of the answer; asked again of a new process, once, if the process ends meanwhile.

        `seconds` must pass on the clock and as the process's own CPU time: on a starved machine nothing is late.
        Raises: EngineError with llama.cpp's message; EngineOverdue after `seconds`; EngineCrashed, saying why.
        """

        def asked(child: ChildProcess) -> Any:
            if seconds == math.inf:
                return self.wire(child).call(path, body)
            began, spent = time.monotonic(), child.cpu_seconds()
            return self.wire(child).call(
                path, body, lambda: min(time.monotonic() - began, child.cpu_seconds() - spent) > seconds
            )

        return self.children.ask(asked)

    def scales(self, adapter: int | None) -> list[dict[str, Any]]:
        """The complete adapter list of a request: the wanted one at 1, every other at 0.

        Never shorter: an adapter left out keeps its state, and a cached prompt computed with it would be taken over.
        """
        return [{"id": number, "scale": float(number == adapter)} for number in range(len(self.adapters))]

    def acquire(self) -> None:
        """One more engine uses this process."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """One engine fewer; the last one ends the process."""
        with self._lock:
            self._users -= 1
            if self._users > 0:
                return
        self.close()

    def close(self) -> None:
        """End the process, whoever uses it."""
        self.children.close()


def expected_bytes(header: Header, tokens: int) -> int:
    """Memory of a loaded model: weights, keys and values for `tokens`, and about 10 % and 150 MB besides."""
    return int(1.1 * header.weights_bytes) + cache_bytes(header, tokens) + (150 << 20)
