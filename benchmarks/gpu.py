"""Ten minutes on one real GPU: does everything work there, how fast is it, and does the plan foretell it?

One command, no network. Every part runs in a process of its own under a time of its own; one that fails, hangs or runs
out of memory is reported as that, and the next one begins. Results go to a JSON file after every part, and to a table.

First what must work, on miniatures: train, export, measure; memory given back; killed and resumed; answers of the
engine equal to transformers' own (`gpu_checks`). Then random weights in the shapes of Llama-3.2-1B, Qwen2.5-1.5B and
Llama-3.2-3B: seconds a step, memory and speed against the plan and against TRL's own trainer, tokens a second against
`generate` (`gpu_shapes`).

    python benchmarks/gpu.py                                  # ten minutes on the first GPU
    python benchmarks/gpu.py --minutes 3 --miniature          # the same with miniatures, on a CPU too
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

PATIENCE = 8
"""Times as long as on a GPU, where a miniature is only to come to its end: such a machine may be busy."""

MARK = "found: "
"""Before a finding: libraries print too."""

GRACE_SECONDS = 10
"""After SIGTERM, before a part that was out of time is killed."""


@dataclass(frozen=True)
class Part:
    """One thing to find out."""

    name: str
    """Module and function: checks.device is `gpu_checks.device`."""
    least: float
    """Seconds below which it is not begun."""
    most: float
    """Seconds after which it is ended, at the full size."""
    arguments: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the table calls it."""
        return " ".join((self.name.partition(".")[2].replace("_", " "), *self.arguments))


@dataclass
class Result:
    """What became of a part."""

    part: str
    outcome: str = "skipped"
    """ok, failed, out of time or skipped."""
    seconds: float = 0.0
    found: list[dict[str, Any]] = field(default_factory=list)
    """Findings in their order; what came before a failure is kept."""
    error: str = ""


PARTS = (
    Part("checks.device", 5, 60),
    Part("checks.engine_answers_as_transformers", 15, 60),
    Part("checks.pipeline", 30, 120),
    Part("checks.killed_and_resumed", 20, 90),
    Part("checks.memory_is_given_back", 15, 60),
    Part("shapes.train", 40, 120, ("llama-3.2-1b", "none")),
    Part("shapes.train_by_trl", 30, 80, ("llama-3.2-1b", "none")),
    Part("shapes.generate", 30, 90, ("llama-3.2-1b", "none")),
    Part("shapes.train", 40, 120, ("llama-3.2-3b", "nf4")),
    Part("shapes.train_by_trl", 30, 80, ("llama-3.2-3b", "nf4")),
    Part("shapes.generate", 30, 90, ("llama-3.2-3b", "none")),
    Part("shapes.train", 40, 120, ("qwen2.5-1.5b", "none")),
    Part("shapes.train_by_trl", 30, 80, ("qwen2.5-1.5b", "none")),
    Part("shapes.train", 40, 120, ("llama-3.2-1b", "nf4")),
    Part("shapes.generate", 30, 90, ("qwen2.5-1.5b", "none")),
)
"""What is most worth knowing first: where the time ends, the rest is skipped by name."""


def main() -> int:
    """Run the parts, write the results, print the table. Exit 1 if a part that must work failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for everything")
    parser.add_argument("--out", type=Path, default=Path("gpu-results.json"))
    parser.add_argument("--miniature", action="store_true", help="tiny shapes: for a stand-in, or a CPU")
    parser.add_argument("--only", default="", help="parts whose name contains this")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        _work(arguments.part, arguments.folder, arguments.miniature)
        return 0
    deadline = time.monotonic() + 60 * arguments.minutes
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="bakeoff-gpu-") as folder:
        for part in (part for part in parts(arguments.miniature) if arguments.only in f"{part.name} {part.title}"):
            results.append(run(part, Path(folder), deadline - time.monotonic(), arguments.miniature))
            _write(arguments.out, results, arguments.miniature)
            print(_line(results[-1]), file=sys.stderr, flush=True)
    print(table(results))
    print(f"written to {arguments.out}", file=sys.stderr)
    return int(any(result.outcome in ("failed", "out of time") for result in results))


def parts(miniature: bool) -> Sequence[Part]:
    """All of them; of miniatures, which are one size whatever their shape is called, one of each kind."""
    kinds = {(part.name, part.arguments[1:]): part for part in reversed(PARTS)}
    return [part for part in PARTS if not miniature or kinds[part.name, part.arguments[1:]] is part]


def run(part: Part, folder: Path, left: float, miniature: bool) -> Result:
    """One part in a process of its own. Never raises for what goes wrong in there."""
    result = Result(part.title)
    if left < (part.least if not miniature else 1):
        result.error = f"{left:.0f} s are left, {part.least:.0f} are needed"
        return result
    command = [sys.executable, str(HERE / "gpu.py"), "--part", part.name, *part.arguments, "--folder", str(folder)]
    command += ["--miniature"] if miniature else []
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    environment |= {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    if part.name.startswith("shapes."):  # of one GPU: TRL by itself would refuse to see several
        environment["CUDA_VISIBLE_DEVICES"] = environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    began = time.monotonic()
    errors = folder / "errors.txt"
    with errors.open("w", encoding="utf-8") as told:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=told, text=True, env=environment, cwd=folder, start_new_session=True
        )
        in_time = _listen(process, result, began + min(left, part.most * (PATIENCE if miniature else 1)))
    result.seconds = time.monotonic() - began
    said = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if not in_time:
        result.outcome, result.error = "out of time", f"ended after {result.seconds:.0f} s"
    elif process.returncode:
        result.outcome, result.error = "failed", reason(said) or f"exit status {process.returncode}"
    else:
        result.outcome = "ok"
    if result.outcome != "ok":
        result.found.append({"last words": said[-20:]})
    return result


def reason(said: list[str]) -> str:
    """The exception that a traceback ends with, all its lines, or the last line of other words."""
    raised = [place for place, line in enumerate(said) if re.match(r"[A-Za-z_.]+(Error|Exception|Interrupt)\b", line)]
    return " ".join(said[raised[-1] if raised else -1 :])[:600]


def _listen(process: subprocess.Popen[str], result: Result, until: float) -> bool:
    """Take findings as they come, one JSON object a line; whether the process finished in time."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    in_time = True
    while True:
        try:
            line = lines.get(timeout=max(0.01, until - time.monotonic()))
        except queue.Empty:
            in_time = False
            break
        if line is None:
            break
        if line.startswith(MARK):
            result.found.append(json.loads(line.removeprefix(MARK)))
    _end(process, at_once=in_time)
    return in_time


def _end(process: subprocess.Popen[str], at_once: bool) -> None:
    """Wait for a part that has ended; end one that has not, and whatever it started, by their group."""
    with suppress(subprocess.TimeoutExpired, ProcessLookupError):
        if not at_once:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _work(words: list[str], folder: Path, miniature: bool) -> None:
    """The child's side: call the part's function, which tells its findings."""
    import importlib

    module, _, name = words[0].partition(".")
    getattr(importlib.import_module(f"gpu_{module}"), name)(folder, miniature, *words[1:])


def tell(**found: Any) -> None:
    """A part's finding: one line to the parent."""
    print(MARK + json.dumps(found), flush=True)


def _write(path: Path, results: list[Result], miniature: bool) -> None:
    content = {"miniature": miniature, "parts": [asdict(result) for result in results]}
    path.with_suffix(".tmp").write_text(json.dumps(content, indent=1), encoding="utf-8")
    path.with_suffix(".tmp").replace(path)


def _line(result: Result) -> str:
    return f"{result.outcome:<12} {result.seconds:6.1f} s  {result.part}  {result.error}"


def table(results: list[Result]) -> str:
    """Every part with what it found, in Markdown."""
    lines = ["| part | result | seconds | found |", "|---|---|---|---|"]
    for result in results:
        found = {key: value for one in result.found for key, value in one.items() if key != "last words"}
        told = "; ".join(f"{key.replace('_', ' ')} {_short(value)}" for key, value in found.items())
        lines.append(f"| {result.part} | {result.outcome} | {result.seconds:.1f} | {result.error or told} |")
    return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.modules["gpu"] = sys.modules["__main__"]  # parts import `tell` from here
    sys.exit(main())
