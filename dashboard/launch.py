"""Starts the dashboard: the model server on a loopback port, then Streamlit; restarts the one, ends both together.

The model server's socket is opened here and handed down. So a request that comes while a new server is being started
waits for it instead of being refused, and no other program can take the port.

Streamlit's own settings (loopback, allowed hosts, no tracebacks) are in `dashboard/.streamlit/config.toml`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dashboard.chat import revival
from dashboard.errors import DashboardError, PortInUse
from results import LIFELINE, Workspace, system

APP = Path(__file__).with_name("app_server.py")
GRACE_SECONDS = 8.0
PORTS = range(20_000, 32_000)
"""Where a free port is looked for: below those that systems give to outgoing connections (Linux: from 32,768 on)."""
VAIN_STARTS = 3
"""A model server that ends this often without having answered is not started again."""


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on, nor takes for an outgoing connection."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with contextlib.suppress(PortInUse):
            require_free(port)
            return port
    raise PortInUse(f"No free port was found between {PORTS[0]} and {PORTS[-1]}. Choose one: bakeoff dashboard --port")


def require_free(port: int) -> None:
    """Raises PortInUse with the way out."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortInUse(
                f"Port {port} is in use, perhaps by a dashboard that is open already: http://127.0.0.1:{port}. "
                f"Choose another: bakeoff dashboard --port {port + 1}"
            ) from error


class Processes:
    """The server and the pages, started and ended together. The server is started again when it ends by itself."""

    def __init__(
        self,
        workspace: Workspace,
        port: int,
        *,
        serve: bool,
        headless: bool,
        say: Callable[[str], Any] = bool,
    ) -> None:
        """Start both. `say` is told in a sentence when the model server ends. Raises PortInUse."""
        if system() == "Windows":
            raise DashboardError(
                "The dashboard hands sockets to its processes, which Windows does not: open it in WSL, or in a "
                "container (docs/docker.md). The command line works here"
            )
        require_free(port)
        self.workspace = workspace.path
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.server: ModelServer | None = None
        self._lifeline, self._held = os.pipe()  # the held end closes with this process, even if it is killed
        environment = dict(os.environ, BAKEOFF_WORKSPACE=str(self.workspace), **{LIFELINE: str(self._lifeline)})
        try:
            if serve:
                self.server = ModelServer(self.workspace, environment, self._lifeline, say)
                environment |= {"BAKEOFF_SERVE_URL": self.server.url, "BAKEOFF_SERVE_KEY": self.server.key}
                environment |= {revival.VARIABLE: str(self.server.bell)}
            command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", str(port)]
            command += ["--server.headless", "true" if headless else "false"]
            secret = self.workspace / ".streamlit" / "secrets.toml"
            if secret.exists():
                command += ["--secrets.files", str(secret)]
            # One thread a matrix: visitors have threads of their own, and two that wait for each other spin (a ranking
            # of 294 models took forty times as long on two cores).
            environment.setdefault("OPENBLAS_NUM_THREADS", "1")
            bells = [self.server.bell] if self.server else []
            self.pages = _started(command, environment, self._lifeline, *bells)
        except BaseException:
            if self.server:
                self.server.stop()
            raise

    def wait_until_answering(self, timeout_seconds: float = 180.0) -> None:
        """Raises DashboardError when the pages do not come up."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if self.pages.poll() is not None:
                raise DashboardError(f"Streamlit ended with status {self.pages.returncode}; its words are above")
            if _answers(self.port, "/_stcore/health"):
                return
            time.sleep(0.1)
        raise DashboardError(f"The dashboard did not answer at {self.address} within {timeout_seconds:.0f} s")

    def wait(self) -> int:
        """Wait until the pages end; their exit status. A model server that cannot run leaves them up: they say so."""
        return self.pages.wait()

    def stop(self) -> None:
        """End both, the pages first: politely, then not."""
        _signal(self.pages, signal.SIGTERM)
        if self.server:
            self.server.stop()
        _ended(self.pages)
        for end in (self._lifeline, self._held):
            with contextlib.suppress(OSError):
                os.close(end)


class ModelServer:
    """`bakeoff serve` behind a socket that outlives it: one that ends is followed by the next."""

    def __init__(self, workspace: Path, environment: dict[str, str], lifeline: int, say: Callable[[str], Any]) -> None:
        self._say = say
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.key = secrets.token_urlsafe(24)
        self._command = [sys.executable, "-m", "bakeoff", "serve", "--workspace", str(workspace)]
        self._environment = environment | {"BAKEOFF_API_KEY": self.key}
        self._lifeline = lifeline
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._given_up = self._up = False
        self._heard, self.bell = os.pipe()
        """The bell's end is handed to the pages: whoever rings it has the server started anew."""
        self.process = self._start()
        self._keeper = self._keeping()
        threading.Thread(target=self._listen, name="model server's bell", daemon=True).start()

    @property
    def keeping(self) -> bool:
        """Whether one that ends is still followed by another."""
        return self._keeper.is_alive()

    def again(self) -> None:
        """Start it anew: in the place of one that hangs, or after it was given up, at the same address."""
        with self._lock:
            if self._stopping.is_set():
                return
            if not self._given_up:
                if self._up:  # else it is being started already
                    _signal(self.process, signal.SIGKILL)  # its keeper starts the next
                return
            try:
                self._listener = socket.create_server(("127.0.0.1", self._port))
            except OSError as error:
                self._say(f"The model server cannot listen at {self.url} any more ({error}): start the dashboard anew")
                return
            self._given_up = False
            self.process = self._start()
            self._keeper = self._keeping()

    def _listen(self) -> None:
        """Wait for the pages to ring, until `stop` does."""
        while os.read(self._heard, 4096) and not self._stopping.is_set():
            self.again()
        os.close(self._heard)

    def _start(self) -> subprocess.Popen[bytes]:
        listener = self._listener.fileno()
        command = [*self._command, "--descriptor", str(listener)]
        return _started(command, self._environment, self._lifeline, listener)

    def _keeping(self) -> threading.Thread:
        keeper = threading.Thread(target=self._keep, name="model server", daemon=True)
        keeper.start()
        return keeper

    def _keep(self) -> None:
        """Start it again whenever it ends, unless it ends again and again without ever having answered."""
        vain = 0
        while True:
            answered = self._up = self._answered(self.process)
            status = self.process.wait()
            self._up = False
            vain = 0 if answered else vain + 1
            with self._lock:
                if self._stopping.is_set():
                    return
                ended = f"The model server ended with {_ending(status)}"
                if vain >= VAIN_STARTS:
                    self._say(f"{ended}, {vain} times in a row; the pages stay without it")
                    self._listener.close()  # who waits for an answer is refused
                    self._given_up = True
                    return
                self._say(f"{ended}; it is started again")
                self.process = self._start()

    def _answered(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until this server answers or ends. Whether it answered."""
        while process.poll() is None:
            # The question waits in the socket until somebody takes it: an answer is of a server that is up.
            if _answers(self._port, "/health") and process.poll() is None:
                return True
            if self._stopping.wait(0.2):
                return False
        return False

    def stop(self) -> None:
        """End it for good."""
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
            _signal(self.process, signal.SIGTERM)
        _ended(self.process)
        self._listener.close()
        with contextlib.suppress(OSError):
            os.write(self.bell, b".")  # so that nobody waits for it any more
        os.close(self.bell)


def _started(command: list[str], environment: dict[str, str], *handed: int) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this process alone, which then ends the children in order.
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=handed)


def _answers(port: int, path: str) -> bool:
    # An answer, not a connection: a port takes connections a moment before there is somebody to answer.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _ended(child: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a child that was asked for it; after a while it is killed."""
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(child, signal.SIGKILL)
        child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
