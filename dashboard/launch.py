"""Starts the dashboard: the model server on a free loopback port, then Streamlit, and ends both together.

Streamlit's own settings (loopback, allowed hosts, no tracebacks) are in `dashboard/.streamlit/config.toml`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from dashboard.errors import DashboardError, PortInUse
from results import Workspace

APP = Path(__file__).with_name("entrance.py")
GRACE_SECONDS = 8.0


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    """The server and the pages, started and ended together."""

    def __init__(self, workspace: Workspace, port: int, *, serve: bool, headless: bool) -> None:
        """Start both. Raises PortInUse."""
        require_free(port)
        self.workspace = workspace.path
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.children: list[subprocess.Popen[bytes]] = []
        environment = dict(os.environ, BAKEOFF_WORKSPACE=str(self.workspace))
        try:
            if serve:
                serve_port, key = free_port(), secrets.token_urlsafe(24)
                environment |= {"BAKEOFF_SERVE_URL": f"http://127.0.0.1:{serve_port}", "BAKEOFF_SERVE_KEY": key}
                self._start(
                    [
                        *(sys.executable, "-m", "bakeoff", "serve"),
                        *("--workspace", str(self.workspace), "--port", str(serve_port)),
                    ],
                    environment | {"BAKEOFF_API_KEY": key},
                )
            command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", str(port)]
            command += ["--server.headless", "true" if headless else "false"]
            secret = self.workspace / ".streamlit" / "secrets.toml"
            if secret.exists():
                command += ["--secrets.files", str(secret)]
            self._start(command, environment)
        except BaseException:
            self.stop()
            raise

    def _start(self, command: list[str], environment: dict[str, str]) -> None:
        # A session of its own: Ctrl-C reaches this process alone, which then ends the children in order.
        self.children.append(
            subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        )

    def wait_until_answering(self, timeout_seconds: float = 60.0) -> None:
        """Raises DashboardError when the pages do not come up."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if self.children[-1].poll() is not None:
                raise DashboardError(f"Streamlit ended with status {self.children[-1].returncode}; its words are above")
            if self._healthy():
                return
            time.sleep(0.1)
        raise DashboardError(f"The dashboard did not answer at {self.address} within {timeout_seconds:.0f} s")

    def _healthy(self) -> bool:
        # An answer, not a connection: the port takes connections a moment before there is somebody to answer.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2.0)
        try:
            connection.request("GET", "/_stcore/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait(self) -> int:
        """Until the pages end. Their exit status. A model server that ends leaves the pages up: they say so."""
        return self.children[-1].wait()

    def stop(self) -> None:
        """End all, the pages first: politely, then not."""
        for child in reversed(self.children):
            if child.poll() is None:
                _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for child in self.children:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(child, signal.SIGKILL)
                child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
