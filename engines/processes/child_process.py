"""An engine in its own child process: a crash, a hostile file or a template bomb ends the child and nothing else.

The child is `python -m engines.<module>`; it reads one JSON line (its task) from stdin, answers one JSON line (its
address on loopback, or an error) on stdout, and serves HTTP under a random key until stdin closes. So it never
outlives its parent, not even one that was killed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from engines.errors import EngineCrashed, EngineError
from results import KILLED

ROOT = Path(__file__).resolve().parents[2]

GONE_SECONDS = 5.0
"""A process whose connection broke and which still listens after this long lives: it ends all its sockets at once."""


class ChildProcess:
    """One running engine child. Thread-safe."""

    def __init__(
        self, module: str, task: Mapping[str, Any], load_seconds: float, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the child and wait until it serves.

        Raises: EngineError if it says that it cannot, or is not ready within `load_seconds`; EngineCrashed if it dies.
        """
        self.module = module
        self.key = secrets.token_hex(16)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the process
        self._last_words = ""
        self._stopping = threading.Lock()
        self._oom_kills = _oom_kills()
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            process_group=0,  # Ctrl-C is for the parent, which decides when its engines end
        )
        try:
            answer = self._hand_over({**task, "key": self.key}, load_seconds)
        except BaseException:
            self.stop()
            raise
        self.address: str = answer["address"]
        """host:port on loopback."""
        self.details: dict[str, Any] = answer
        self.start_seconds = time.perf_counter() - began
        """Seconds from the fork to the model being ready."""

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs. One that was killed may do so for a while: see `gone`."""
        return self._process.poll() is None

    def gone(self, patience_seconds: float = GONE_SECONDS) -> bool:
        """Whether it has ended, or ends: to be asked after a connection broke, which a dying process does first.

        Waits for its end as long as it still listens, at most `patience_seconds`.
        """
        deadline = time.monotonic() + patience_seconds
        while self.alive and self._listens():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _listens(self) -> bool:
        host, port = self.address.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
        except ConnectionRefusedError:
            return False
        except OSError:  # too busy to take one more is not gone
            return True
        return True

    def memory_bytes(self, peak: bool = False) -> int:
        """Resident memory now, or the highest so far; 0 where the system does not say."""
        field = "VmHWM:" if peak else "VmRSS:"
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith(field):
                    return int(line.split()[1]) * 1024
        return 0

    def cpu_seconds(self) -> float:
        """CPU time that it has used; infinite once it has ended."""
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return math.inf
        return float(times.user + times.system)

    def reason(self) -> str:
        """Why it ended, in one sentence."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)  # the connection breaks a moment before the process is gone
        status = self._process.poll()
        if status is None:
            return "it closed the connection but still runs"
        ended = f"signal {-status}" if status < 0 else f"exit status {status}"
        if status == KILLED and _oom_kills() > self._oom_kills:
            ended += ": the system ended it because memory ran out"
        elif status == KILLED:
            ended += ": somebody killed it, or the system did because memory ran out"
        lines = (self._last_words or self._tail()).strip().splitlines()
        return f"it ended with {ended}" + (f" ({lines[-1][:200]})" if lines else "")

    def stop(self) -> None:
        """End it: politely by closing its stdin, then by force. Idempotent; `reason` is known afterwards too.

        One thread at a time: every request that a dying process breaks off ends it, and a file closed by two at once is
        an error.
        """
        with self._stopping:
            with contextlib.suppress(OSError):
                if self._process.stdin:
                    self._process.stdin.close()
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            with contextlib.suppress(OSError):
                if self._process.stdout:
                    self._process.stdout.close()
            self._last_words = self._last_words or self._tail()
            self._log.close()

    def _hand_over(self, task: Mapping[str, Any], load_seconds: float) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        name = Path(str(task.get("path", self.module))).name
        try:
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise EngineCrashed(f"The engine process for {name} did not start: {self.reason()}.") from None
        found: list[bytes] = []
        hear = self._process.stdout.readline
        listener = threading.Thread(target=lambda: found.append(hear()), daemon=True, name="engine's first word")
        listener.start()  # not select, which on Windows knows sockets alone
        listener.join(load_seconds)
        if not found:
            raise EngineError(f"{name} was not loaded within {load_seconds:.0f} s; its engine process was ended.")
        (line,) = found
        if not line:
            raise EngineCrashed(f"The engine process failed while it loaded {name}: {self.reason()}.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineError(f"{name} cannot be loaded: {answer['error']}")
        return answer

    def _tail(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - 2000))
            return self._log.read().decode("utf-8", "replace")
        return ""


def _oom_kills() -> int:
    """How many processes the kernel has ended for want of memory since it started; 0 where it does not say."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
