"""What the store's benchmarks share: the machine they ran on, and MLflow in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from results import this_machine


def describe_machine() -> str:
    """One line: what the figures depend on."""
    machine = this_machine()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    ram = machine.ram_bytes / 2**30
    return f"{machine.cpu}, {machine.cores} cores, {ram:.0f} GiB, load {load}; ISA: {' '.join(machine.isa)}"


class MLflow:
    """`with MLflow(python, folder) as mlflow: mlflow.ask("log_metric", points=300)`; see mlflow_peer.py."""

    def __init__(self, python: str, folder: Path) -> None:
        command = [python, str(Path(__file__).with_name("mlflow_peer.py")), str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder
        )

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Send one request, wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(
                f"MLflow ended in {what}; is it installed there? pip install -r benchmarks/requirements.txt"
            )
        found: dict[str, Any] = json.loads(answer)
        return found

    def __enter__(self) -> MLflow:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
