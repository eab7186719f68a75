"""A Dockerfile as stages of instructions: what tests look at, and what `.ci/image` runs where there is no Docker."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = frozenset(
    ("ARG", "FROM", "RUN", "ENV", "COPY", "USER", "WORKDIR", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD")
)  # fmt: skip


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name in capitals, and what follows."""

    name: str
    words: str

    @property
    def flags(self) -> dict[str, str]:
        """--name=value before the words."""
        return dict(re.findall(r"--([a-z-]+)=(\S+)", re.match(r"(?:--\S+\s+)*", self.words)[0]))  # type: ignore[index]

    @property
    def rest(self) -> str:
        """The words without the flags."""
        return re.sub(r"^(?:--\S+\s+)*", "", self.words)

    @property
    def command(self) -> list[str]:
        """CMD's words, or HEALTHCHECK's, in JSON form."""
        found: list[str] = json.loads(self.rest.removeprefix("CMD").strip())
        return found


@dataclass(frozen=True)
class Stage:
    """A FROM and what follows; without a name the last, or none that others use."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        """Its instructions of that name."""
        return [one for one in self.instructions if one.name == name]


def read(path: Path, arguments: dict[str, str] | None = None) -> list[Stage]:
    """The stages of a Dockerfile, `arguments` for its ARGs before FROM. Raises: ValueError for what is not known."""
    given, stages = dict(arguments or {}), []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        name, _, words = line.strip().partition(" ")
        if name not in KNOWN:
            raise ValueError(f"{path}: {name} is no instruction that is known here")
        if name == "FROM":
            base, _, alias = re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], words).partition(" AS ")
            stages.append(Stage(alias, base))
        elif stages:
            stages[-1].instructions.append(Instruction(name, words.strip()))
        else:
            argument, _, usual = words.partition("=")
            given.setdefault(argument, usual)
    return stages


def path_to_last(stages: list[Stage]) -> list[Stage]:
    """The stages that the last is built of, and it; those that nothing needs are left."""
    named = {stage.name: stage for stage in stages if stage.name}
    ordered: list[Stage] = []

    def take(stage: Stage) -> None:
        froms = [one.flags["from"] for one in stage.all("COPY") if "from" in one.flags]
        for before in (stage.base, *froms):
            if before in named:
                take(named[before])
        if stage not in ordered:
            ordered.append(stage)

    take(stages[-1])
    return ordered
