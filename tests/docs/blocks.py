"""What stands in the documents as code: commands, experiment files, settings of other programs, and plain text.

An indented block is a command or a setting. What is neither is fenced as `text`, so that a misspelt command is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from tests.docs.names import ROOT, document
from trainer.experiment.schema import Experiment

DOCUMENTS = [
    "README.md", "CONTRIBUTING.md", "SECURITY.md",
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))),
]  # fmt: skip
"""All documents for people, by their paths from the root."""


@dataclass(frozen=True)
class Block:
    """One block of code in a document."""

    place: str
    """Document and line of its first line."""
    kind: str
    """Language of its fence. Of an indented one: yaml for an experiment file or a part of one, toml, else bash."""
    text: str


def blocks(name: str) -> list[Block]:
    """A document's blocks of code in their order."""
    return list(_blocks(name, document(name).splitlines()))


def _blocks(name: str, lines: list[str]) -> Iterator[Block]:
    at, before = 0, ""
    while at < len(lines):
        line = lines[at]
        if fence := re.match(r"( *)(```+)(\w*)$", line):
            end = next(one for one in range(at + 1, len(lines)) if lines[one].strip() == fence[2])
            body = [one.removeprefix(fence[1]) for one in lines[at + 1 : end]]
            yield Block(f"{name}:{at + 2}", fence[3], "\n".join(body))
            at, before = end + 1, ""
        elif line.startswith("    ") and not before.strip():
            end = next((one for one in range(at, len(lines)) if not lines[one].startswith("    ")), len(lines))
            text = "\n".join(one[4:] for one in lines[at:end])
            yield Block(f"{name}:{at + 1}", _kind(text), text)
            at, before = end, "    "
        else:
            at, before = at + 1, line


def _kind(text: str) -> str:
    if text.startswith("["):
        return "toml"
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError:
        return "bash"
    return "yaml" if isinstance(read, dict) and set(read) <= set(Experiment.model_fields) else "bash"
