"""Whether commands in documents would be taken: `bakeoff` by its own parser, others by the files that they name.

Nothing is run here. `tests/docs/test_tutorial.py` runs the tutorial's.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any, get_args

import typer.main
from typer._click.exceptions import ClickException

from bakeoff.main import app
from results.records import Form
from tests.docs.names import ROOMS, ROOT

HEREDOC = re.compile(r"<<'?(\w+)'?")
PARTS = ("&&", "||", ";", "|", "&", "(", ")")
OF_OTHERS = frozenset(
    ("cat", "cd", "curl", "docker", "export", "git", "head", "kill", "mkdir", "nohup", "npx", "ollama", "ray", "sbatch")
)
"""Programs that are not ours, whose options nobody looks at."""
FORMS = get_args(Form)


def commands(text: str) -> Iterator[list[str]]:
    """Each command of a block as its words, without comments, redirections and the files that are written in it."""
    lines = iter(text.splitlines())
    for line in lines:
        while line.endswith("\\"):
            line = line[:-1] + next(lines)
        if heredoc := HEREDOC.search(line):
            while next(lines) != heredoc[1]:
                pass
            line = line.replace(heredoc[0], "")
        if not line.lstrip().startswith("#"):
            yield from _commands(line)


def _commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(re.sub(r"\s#\s.*$", "", line), posix=True, punctuation_chars="&|;()<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    tokens = iter(lexer)
    for token in tokens:
        if token in PARTS:
            yield from [words] if words else []
            words = []
        elif set(token) <= set("<>&") or (re.fullmatch(r"\d", token) and not words):
            next(tokens)
        elif words or not re.match(r"[A-Z_]+=", token):
            words.append(token)
    if words:
        yield words


def fault(words: list[str]) -> str:
    """Why a command would not be taken; empty where it would."""
    program, *given = words
    program = program.removeprefix(".venv/bin/")
    if program in OF_OTHERS:
        return ""
    if program in ("pip", "pipx", "uv"):
        return _of_installer(given)
    known: dict[str, Callable[[list[str]], str]] = {
        "bakeoff": of_bakeoff, "make": _of_make, "python": _of_python, "pytest": _missing,
    }  # fmt: skip
    if program.startswith(("benchmarks/", ".ci/")):
        return _missing([program])
    return known[program](given) if program in known else f"{program} is no program that a document may name"


def of_bakeoff(given: list[str]) -> str:
    """What `bakeoff` itself says of its arguments before it does anything; empty where it takes them."""
    command: Any = typer.main.get_command(app)
    try:
        context = command.make_context("bakeoff", list(given))
        while hasattr(command, "resolve_command"):
            _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            context = command.make_context(command.name, list(rest), parent=context)
    except typer.Exit:  # --help and --version
        return ""
    except ClickException as error:
        return error.format_message()
    named = [one for key in ("form", "forms", "over") for one in _several(context.params.get(key))]
    unknown = [one for one in named if one not in FORMS]
    return f"no format {unknown[0]}" if unknown else ""


def _several(value: object) -> list[str]:
    return [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []


def _of_make(given: list[str]) -> str:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return "".join(f"no target {one} in the Makefile; " for one in given if "=" not in one and one not in targets)


def _of_installer(given: list[str]) -> str:
    """Files after -r and -c are there, and so are the extras of what is named."""
    files = [after for flag, after in pairwise(given) if flag in ("-r", "-c")]
    extras = [
        one
        for word in given
        if (named := re.search(r"(?:\.|bakeoff)\[([\w,-]+)\]", word))
        for one in named[1].split(",")
    ]
    return _missing(files) + "".join(f"no extra {one}; " for one in extras if one not in _extras())


@cache
def _extras() -> frozenset[str]:
    """The package's extras, as setup.py finds them."""
    text = (ROOT / "requirements.txt").read_text() + (ROOT / "setup.py").read_text()
    return frozenset({*re.findall(r"the extra `([a-z0-9-]+)`", text), *re.findall(r'"(lm-eval|all)":', text)})


def _of_python(given: list[str]) -> str:
    if given[:2] == ["-m", "bakeoff"]:
        return of_bakeoff(given[2:])
    if given[:1] == ["-m"]:
        ours = given[1].split(".")[0] in ("tests", "benchmarks", *ROOMS)
        return _missing([f"{given[1].replace('.', '/')}.py"]) if ours else ""
    return _missing(given[:1]) if given[:1] not in ([], ["-"], ["-c"]) else ""


def _missing(words: list[str]) -> str:
    """Which files of the repository among the words are not there."""
    files = [word for word in words if re.fullmatch(r"[\w./-]+\.(?:py|txt|yaml|toml)", word)]
    return "".join(f"no file {word}; " for word in files if not (ROOT / word).exists())
