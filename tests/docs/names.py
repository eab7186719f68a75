"""Whether what a document names is there: files, names of the code, settings of the experiment file, commands."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pydantic
import typer

ROOT = Path(__file__).parents[2]
ROOMS = ("bakeoff", "trainer", "evaluator", "engines", "results", "dashboard")
CODE = ("*.py", "*.pyi", "*.toml", "*.yaml", "Makefile")
QUOTED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
PATH = re.compile(r"[\w.*-]*/[\w./*-]*|[\w-]+\.(?:md|py|pyi|toml|yaml|txt)")
DOTTED = re.compile(rf"(?:{'|'.join(ROOMS)})(?:\.\w+)+")


def document(name: str) -> str:
    """A document by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def quoted(text: str) -> list[str]:
    """What stands between single backticks, each once."""
    return list(dict.fromkeys(QUOTED.findall(text)))


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    body = next(part for part in section if part.startswith(f"{heading}\n"))
    lines = [line.strip("|").split("|") for line in body.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines[1:]]


def absent(token: str) -> bool:
    """Whether nothing of that name is there. Words between backticks that name nothing are not looked for."""
    if token.startswith("bakeoff "):
        return not is_command(token)
    if token.startswith("git log "):
        return not logged(token)
    if PATH.fullmatch(token) and not token.startswith("/"):
        places = [ROOT] if "/" in token else [ROOT, *(ROOT / room for room in ROOMS)]
        return not any(found for place in places for found in place.glob(token.rstrip("/")))
    if DOTTED.fullmatch(token):
        return not is_name(token)
    names = re.findall(r"[A-Za-z_]\w*", token)
    return not is_setting(token) and not set(names) <= words()


def is_name(token: str) -> bool:
    """Whether a dotted name is a module, what a module has, or a field of what it has."""
    parts = token.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name) and name not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, name, None)
        return True
    return False


def is_setting(token: str) -> bool:
    """Whether it is a key of the experiment file."""
    from trainer.experiment.schema import Experiment

    model: object = Experiment
    for name in token.split("."):
        fields = model.model_fields if isinstance(model, type) and issubclass(model, pydantic.BaseModel) else {}
        if name not in fields:
            return False
        annotation = fields[name].annotation
        inner = [one for one in typing.get_args(annotation) if isinstance(one, type)]
        model = annotation if isinstance(annotation, type) else (inner or [None])[0]
    return True


def logged(command: str) -> bool:
    """Whether the history answers this `git log`. True where the history is not whole or there is none."""
    shallow = subprocess.run(["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True)
    if shallow.stdout.strip() != "false":
        return True
    arguments = [*shlex.split(command), "--oneline", "--max-count=1"]
    if "--" in arguments:
        at = arguments.index("--")
        arguments = [*arguments[:at], "--oneline", "--max-count=1", *arguments[at:-2]]
    return bool(subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True).stdout)


def is_command(token: str) -> bool:
    """Whether the verb is there, with every option that is named."""
    from bakeoff.main import app

    command: typing.Any = typer.main.get_command(app)
    _, *given = token.split()
    for word in given:
        if word in getattr(command, "commands", {}):
            command = command.commands[word]
        elif word.startswith("--"):
            if word not in {option for one in command.params for option in one.opts}:
                return False
        elif hasattr(command, "commands"):
            return False
    return True


@cache
def words() -> frozenset[str]:
    """Every word of the repository's code and settings, tests included."""
    return frozenset(word for path in code() for word in re.findall(r"[A-Za-z_]\w*", path.read_text("utf-8")))


def code() -> Iterator[Path]:
    """The files that are ours."""
    for folder in (*ROOMS, "tests", "benchmarks", "experiments"):
        for pattern in CODE:
            yield from (path for path in (ROOT / folder).rglob(pattern) if path.parent != Path(__file__).parent)
    yield from (ROOT / name for name in ("pyproject.toml", "Makefile"))


def trees(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """The Python files below, parsed."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))
