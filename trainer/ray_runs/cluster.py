"""The Ray cluster that runs go to: entered, looked at, left. Nothing here knows what tasks do.

`local` starts one on this machine and ends it; an address is that of a head node, and this machine is one of its nodes
(`ray start --address=…`). Whoever reaches a cluster may run anything on its machines, so off this machine Ray's token
is required (`RAY_AUTH_MODE=token`, https://docs.ray.io/en/latest/ray-security/token-auth.html).
"""

from __future__ import annotations

import io
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any, TextIO, TypeVar

from trainer.errors import TrainerError
from trainer.ray_runs.demands import Demand, Node

LOCAL = "local"

T = TypeVar("T")

HEAD_SECONDS = 45.0
"""How long a head may be silent: on a busy machine it is so for seconds. After 60, Ray ends this process in one of its
own threads, without a word and without ending what trains on other nodes."""

ASK_SECONDS = 1.0

END_SECONDS = 5.0
"""How long is waited for tasks to be gone that are ended at once."""

OBJECT_STORE_BYTES = 80 * 2**20
"""Ray's smallest object store: orders are all that passes through."""

TOKEN = (
    "whoever reaches a Ray cluster runs anything on it: start it with RAY_AUTH_MODE=token in the environment of every "
    "node (ray get-auth-token --generate makes the token), set both here too, then give the same command again"
)


class Ended(Exception):
    """A task's worker or its node ended before the task did. Says how."""


class Cancelled(Exception):
    """A task was ended because it was asked to."""


class Cluster:
    """A connection to a cluster. One a process."""

    def __init__(self, address: str) -> None:
        """Nothing is connected yet. Raises: ModuleNotFoundError without Ray; TrainerError for a refused address."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if address == LOCAL:  # before the import, which reads it; a cluster that is there has decided for itself
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_worker_niceness", "0")
        import ray

        self._ray = ray
        self.address = address
        if "://" in address or (address != LOCAL and not address.strip()):
            raise TrainerError(f"--ray {address!r} is no address of a head node: give host:port, or {LOCAL}")
        if address != LOCAL and not _on_this_machine(address) and not _token_asked():
            raise TrainerError(f"{address} is not on this machine, and RAY_AUTH_MODE is not token; {TOKEN}")
        self._tasks: dict[bool, Any] = {}
        """What is submitted, by whether it takes a GPU; empty while there is no connection."""
        self._head = ""
        self._words = ExitStack()

    def enter(self) -> None:
        """Connect. Again is fine. Raises: TrainerError where no such cluster can be reached."""
        if self._tasks:
            return
        if self.address != LOCAL and _refuses(self.address):  # Ray would ask for minutes
            raise TrainerError(
                f"no Ray cluster can be entered at {self.address}: nobody listens there; is it HOST:PORT of the head?"
            )
        # One dead worker is no news: it is followed here, and its reason is in the store.
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address == LOCAL:
            options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        with _own_signals():
            try:
                self._words.enter_context(redirect_stdout(_WithoutRay(sys.stdout)))
                self._ray.init(address=self.address, **options)
            except (ConnectionError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
                self.leave()
                reason = " ".join(str(error).split())[:300]
                raise TrainerError(f"no Ray cluster can be entered at {self.address}: {reason}") from error
        away = self.hosts - {socket.gethostname()}
        if away and not _token_asked():
            self.leave()
            raise TrainerError(f"the cluster has nodes elsewhere ({', '.join(sorted(away))}); {TOKEN}")
        # Deaths are counted and told here, not by Ray.
        self._head = self._ray.get_runtime_context().gcs_address
        on_cpu = self._ray.remote(max_retries=0)(_called)
        # A GPU goes to a process that has seen no other; on CPUs the next task saves the seconds that imports take.
        self._tasks = {False: on_cpu, True: self._ray.remote(max_retries=0, max_calls=1)(_called)}

    def leave(self) -> None:
        """Disconnect, and end what was started. Again is fine."""
        self._tasks = {}
        with _own_signals(), redirect_stdout(io.StringIO()):  # it prints what its thread had held back as repeated
            self._ray.shutdown()
        self._words.close()

    def nodes(self) -> list[Node]:
        """The nodes that live, with all that they have, free or not. Raises: TrainerError for a head that is gone."""
        return [
            Node(
                id=node["NodeID"],
                host=node["NodeManagerHostname"],
                cores=node["Resources"].get("CPU", 0.0),
                gpus=node["Resources"].get("GPU", 0.0),
                memory_bytes=node["Resources"].get("memory", 0.0),
            )
            for node in self._answered(self._ray.nodes)
            if node["Alive"]
        ]

    def _answered(self, question: Callable[[], T]) -> T:
        """What the head answers. It is asked in a thread: of a dead one Ray waits for an answer for a minute."""
        answers: list[T] = []
        problems: list[Exception] = []

        def ask() -> None:
            try:
                answers.append(question())
            except Exception as error:
                problems.append(error)

        asking = threading.Thread(target=ask, daemon=True, name="head")
        asking.start()
        until = time.monotonic() + HEAD_SECONDS
        while asking.is_alive() and time.monotonic() < until and not _refuses(self._head):
            asking.join(ASK_SECONDS)
        if answers:
            return answers[0]
        if problems and not isinstance(problems[0], self._ray.exceptions.RpcError):
            raise problems[0]
        raise TrainerError(
            f"the head of the Ray cluster at {self.address} is gone, or silent for {HEAD_SECONDS:.0f} seconds: the "
            "command's tasks were ended, and every checkpoint is there. Start the cluster again, then give the same "
            "command again"
        )

    @property
    def hosts(self) -> set[str]:
        """Names of the machines that the living nodes are on."""
        return {node.host for node in self.nodes()}

    def submit(self, call: Callable[[], str], name: str, demand: Demand) -> Any:
        """Hand in a call as a task, which waits until a node is free for it. Returns what stands for its result.

        Raises: TrainerError for a head that is gone.
        """
        options = {"num_cpus": demand.cores, "num_gpus": demand.gpus, "memory": demand.memory_bytes or None}
        task = self._tasks[demand.gpus > 0].options(**options, name=name)
        return self._answered(lambda: task.remote(call))

    def ended(self, tasks: list[Any], patience_seconds: float) -> list[Any]:
        """Those of the tasks that have ended, after at most so long a wait for the first."""
        done, others = self._ray.wait(tasks, num_returns=1, timeout=patience_seconds)
        return [*done, *self._ray.wait(others, num_returns=len(others), timeout=0)[0]] if done and others else done

    def result(self, task: Any) -> str:
        """What a task that has ended returned. Raises: Ended, Cancelled, or what it raised itself."""
        errors = self._ray.exceptions
        try:
            return str(self._ray.get(task))
        except errors.TaskCancelledError:
            raise Cancelled from None
        except errors.RayTaskError as error:  # of its own making: a bug, with its traceback
            raise error.as_instanceof_cause() from None
        except errors.RayError as error:
            raise Ended(_how(error)) from error

    def cancel(self, task: Any) -> None:
        """End a task: one that waits never begins, one that runs ends in order after the present step."""
        self._ray.cancel(task)

    def end(self, tasks: list[Any]) -> None:
        """End tasks at once, and wait a moment until they are gone; their nodes are asked, so no head is needed."""
        for task in tasks:
            self._ray.cancel(task, force=True)
        if tasks:
            self._ray.wait(tasks, num_returns=len(tasks), timeout=END_SECONDS)


def _called(call: Callable[[], str]) -> str:
    """What every task does."""
    return call()


class _WithoutRay(io.TextIOBase):
    """A stream without what Ray's own thread prints of dying nodes: 40 lines of a log, on stdout, where results go."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, whoever's it is but Ray's; returns its length."""
        if threading.current_thread().name != "ray_listen_error_messages":
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


_WORDS = {
    "OutOfMemoryError": "its node was out of memory and Ray ended it",
    "WorkerCrashedError": "its worker process died: killed, crashed, or its node went down",
    "NodeDiedError": "its node went down",
    "LocalRayletDiedError": "its node went down",
}


def _how(error: Exception) -> str:
    name = type(error).__name__
    return _WORDS.get(name) or f"{name}: {' '.join(str(error).split())[:200]}"


def _refuses(address: str) -> bool:
    """Whether nobody listens at host:port, which its machine says at once; one that is cut off says nothing."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ASK_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        pass
    return False


def _token_asked() -> bool:
    return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"


def _on_this_machine(address: str) -> bool:
    """Whether an address is a loopback's; `auto` is a cluster that this machine is known to be in, seen once inside."""
    host = address.rpartition(":")[0] or address
    if host in ("localhost", "auto"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this process does on signals: Ray puts handlers of its own in their place."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[signal.Signals, Callable[..., Any] | int | None] = {one: signal.getsignal(one) for one in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not handler and handler is not None:
                signal.signal(number, handler)
