"""docs/reference/command_line.md from the command line itself: every verb with its words, arguments and options.

Write it anew: make docs
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from typing import Any

import typer.main

from bakeoff.main import VERBS, app

HEAD = """# The command line

Every verb of `bakeoff`, as `bakeoff VERB --help` has it. Written from the code by `make docs`.

What goes wrong because of what was asked is one line on stderr and exit status 2; Ctrl-C ends with 130, and the same
command goes on where it stopped. Results go to stdout, progress to stderr; `--json` prints results as JSON.
"""


def page() -> str:
    """The whole document."""
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = [HEAD]
    for heading, (_, names) in VERBS.items():
        lines.append(f"## {heading}\n")
        for name in names:
            command = verbs[name.rstrip("_")]
            lines += _verb(f"bakeoff {name.rstrip('_')}", command)
            for below, inner in getattr(command, "commands", {}).items():
                lines += _verb(f"bakeoff {name} {below}", inner)
    return "\n".join(lines)


def _verb(words: str, command: Any) -> Iterator[str]:
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    given = [one for one in shown if one.opts[0][:1] != "-"]
    asked = " ".join(_argument(one) for one in given)
    yield f"### `{' '.join(filter(None, (words, asked, '[OPTIONS]' if len(shown) > len(given) else '')))}`\n"
    yield _text(command.help or "") + "\n"
    if shown:
        yield "| | | default | |\n|---|---|---|---|"
        yield from (_row(one) for one in (*given, *(one for one in shown if one not in given)))
        yield ""


def _argument(parameter: Any) -> str:
    word = (parameter.metavar or parameter.name.upper().rstrip("_")) + (" …" if parameter.nargs == -1 else "")
    return word if parameter.required else f"[{word}]"


def _row(parameter: Any) -> str:
    option = parameter.opts[0][:1] == "-"
    name = ", ".join((*parameter.opts, *parameter.secondary_opts)) if option else _argument(parameter)
    default = "" if parameter.required or parameter.default in (None, False, "", ()) else f"`{parameter.default}`"
    what = "" if getattr(parameter, "is_flag", False) or not option else _type(parameter.type_descriptor.annotation)
    several = " Several times." if parameter.multiple and option else ""
    return f"| `{name}` | {what} | {default} | {_cell(parameter.help or '')}{several} |"


def _type(annotation: Any) -> str:
    """A type in one word a reader knows."""
    inner = [one for one in typing.get_args(annotation) if one is not type(None)]
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(str(one) for one in inner)
    if inner:
        return _type(inner[0])
    return {"str": "text", "int": "whole number", "float": "number", "Path": "path", "bool": ""}.get(
        annotation.__name__, annotation.__name__
    )


def _text(words: str) -> str:
    """Help as Markdown: examples become a block of code, one a line."""
    paragraphs = [" ".join(part.split()) for part in words.replace("\b", "").split("\n\n")]
    return "\n\n".join(
        _block(part) if re.match(r"Examples?: |([A-Z_]+=\S+ )?bakeoff ", part) else part for part in paragraphs
    )


def _block(examples: str) -> str:
    return "\n".join(f"    {line}" for line in re.sub(r"^Examples?: ", "", examples).split(" · "))


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")
