"""The commands that a page's buttons run, as lists of words: nothing goes through a shell.

Every word comes from a record of the store or from a form that a person filled in; nothing comes from the address.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from results import Evaluation, Workspace

OURS = (sys.executable, "-m", "bakeoff")
MEASURING = ("evaluate", "latency")
"""The verbs of advice that a button may run."""
DEMO = ["bakeoff", "demo", "--no-dashboard"]
EXPORTS = {
    "gguf-q4_0": "Q4_0", "gguf-q8_0": "Q8_0", "gguf-f16": "F16", "lora-gguf": "LoRA beside its base",
}  # fmt: skip
"""The formats that a button can write, in words."""


def held_out(names: Sequence[str], run: str) -> list[str]:
    """Measure models on the rows that a run held back."""
    return ["bakeoff", "evaluate", "--benchmark", "heldout", "--experiment", run, "--", *names]


def evaluate(names: Sequence[str], benchmark: str, like: Evaluation | None = None) -> list[str]:
    """Measure models by a benchmark. like: an evaluation by it, on whose items and under whose settings it shall be."""
    options: list[str] = []
    settings = like.settings if like is not None else {}
    for name in ("tasks", "samples", "temperature", "max_tokens"):
        value = settings.get(name)
        plain = {"samples": 1, "temperature": 0.0}.get(name)
        if value is not None and value != plain and isinstance(value, int | float):
            options += [f"--{name.replace('_', '-')}", f"{value:g}"]
    return ["bakeoff", "evaluate", "--benchmark", benchmark, *options, "--", *names]


def latency(names: Sequence[str]) -> list[str]:
    """Measure how fast models answer, side by side."""
    return ["bakeoff", "latency", *(word for name in names for word in ("--model", name))]


def export(name: str, form: str) -> list[str]:
    """Write a model in another format."""
    return ["bakeoff", "export", "--form", form, "--", name]


def imported(path: str) -> list[str]:
    """Take in another tool's runs or results."""
    return ["bakeoff", "import", "--", path]


def advised(said: str) -> list[str] | None:
    """The command that a decision or a comparison advises, if it measures something; None for any other."""
    words = shlex.split(said)
    runs = len(words) > 2 and words[0] == "bakeoff" and words[1] in MEASURING and "FILE" not in words
    return words if runs else None


def shown(command: Sequence[str]) -> str:
    """A command as a person would type it."""
    return shlex.join(command)


def started_with(command: Sequence[str], workspace: Workspace) -> list[str]:
    """The words of the process that runs a command over this workspace."""
    verb, *rest = command[1:]
    return [*OURS, verb, "--workspace", str(workspace.path), *rest]
