"""A Ray cluster on this machine, made as people make one (`ray start`), whose nodes can be lost like machines."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

ENVIRONMENT = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
OBJECT_STORE_BYTES = 80 * 2**20
SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 8}
"""Ray notices within four seconds that a node is lost, not within fifteen."""
START_SECONDS = 120.0


class Nodes:
    """A head that runs no task, and nodes of one core each."""

    def __init__(self, count: int, log: Path) -> None:
        """log: what the nodes say."""
        self._log = log
        self._count = count
        self._head: subprocess.Popen[bytes] | None = None
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def start(self) -> None:
        """Start head and nodes; those of before are lost."""
        self.end()
        self.address = f"127.0.0.1:{_free_port()}"
        port = self.address.rpartition(":")[2]
        self._head = self._started("--head", "--port", port, "--num-cpus", "0", "--system-config", json.dumps(SOON))
        until = time.monotonic() + START_SECONDS
        while not _listens(self.address):
            assert self._head.poll() is None and time.monotonic() < until, self._log.read_text()[-2000:]
            time.sleep(0.1)
        for _ in range(self._count):
            self.add()

    def add(self) -> None:
        """Another node; it comes when it comes."""
        self.nodes.append(self._started("--address", self.address, "--num-cpus", "1"))

    def lose(self, node: subprocess.Popen[bytes]) -> None:
        """Kill a node's every process at once, as a machine that loses its power does."""
        self.nodes.remove(node)
        _kill_whole(node)

    def lose_head(self) -> None:
        """The same for the head."""
        assert self._head is not None
        _kill_whole(self._head)

    def end(self) -> None:
        """Lose all of it."""
        for one in [*self.nodes, *([self._head] if self._head else [])]:
            _kill_whole(one)
        self.nodes.clear()
        self._head = None

    def _started(self, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", *options, "--block",
                   "--node-ip-address", "127.0.0.1", "--object-store-memory", str(OBJECT_STORE_BYTES)]  # fmt: skip
        command += ["--include-dashboard", "false"] if "--head" in options else []
        with self._log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def settings() -> dict[str, str]:
    """What the environment of every node, and of the command, must have."""
    return {**ENVIRONMENT, "RAY_AUTH_TOKEN": secrets.token_hex(16)}


def processes_with(token: str) -> list[psutil.Process]:
    """The processes that have this token in their environment, whoever their parent is by now; not this one."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("RAY_AUTH_TOKEN") == token:
                found.append(process)
    return found


def _kill_whole(first: subprocess.Popen[bytes]) -> None:
    with suppress(psutil.Error):
        every = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]
        for process in every:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(every, timeout=30)
    first.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError):
        socket.create_connection((host, int(port)), 1.0).close()
        return True
    return False
