"""A decision as a Docker Space: the page, its models behind it, and all that an image needs to answer.

    space/Dockerfile · README.md · constraints.txt · dist/bakeoff-….whl · models/NAME.gguf · page/index.html

The Dockerfile is the one that the repository itself is built with. The folder is a Space of the Hub as it stands, and
`docker build --build-arg KIND=space` takes it anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dashboard.chat.prompts import STARTING
from dashboard.errors import PageRefused
from dashboard.publishing.chat import Chat, handed_on, licence_of, refuse_chat
from dashboard.publishing.folder import put_beside
from dashboard.publishing.wheel import pins, wheel

PORT = 7860
"""Where the Hub looks for a Space."""
MOST_BYTES = 10_000_000_000
"""All models together are no larger: a CPU Space has 16 GB of memory for them and their contexts."""
MOST_MODELS = 8
A_MINUTE = 10
"""Answers that a visitor gets in a minute (`engines.server.public`)."""
POLICY = {"connect-src": "'self'"}
"""What this chat needs beyond the page: its own server."""
KIND = "ARG KIND=dashboard"
"""The line of the Dockerfile that says which of its images is built."""
README = "README.md"
MOST_TITLE = 80
EXPLAINED = """Made by `bakeoff publish --space`: a decision, and its models to chat with, read-only. Elsewhere:
`docker build --tag space . && docker run --publish 127.0.0.1:7860:7860 space`.

The models that it hands on, with their bases and licences:"""
MODELS, PAGE = "models", "page"


@dataclass(frozen=True)
class SpaceModel:
    """A model of the chat, as the page names it."""

    id: str
    """What the server calls it: letters, digits, dots, dashes and underscores."""
    name: str
    megabytes: str
    base: str
    licence: str


@dataclass(frozen=True)
class SpacePart:
    """What the page says of the chat with its server."""

    models: tuple[SpaceModel, ...]
    prompts: tuple[str, ...]
    a_minute: int = A_MINUTE
    template: str = "space.html"
    code: str = "space.js"
    policy: Mapping[str, str] = field(default_factory=lambda: POLICY)
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    """Nothing goes beside the page: the models are not sent to anybody."""

    @property
    def told(self) -> dict[str, object]:
        """What the page's script is told: nothing, the choice stands on the page."""
        return {}

    @property
    def handed_on(self) -> tuple[str, ...]:
        """Whose weights are in the Space, a line each."""
        return tuple(handed_on(one.name, one.base, one.licence) for one in self.models)


def space_part(chats: Sequence[Chat]) -> SpacePart:
    """What the page says of its models.

    Raises: PageRefused for models that llama.cpp cannot load from one file or nobody may hand on, too many, too large.
    """
    if len(chats) > MOST_MODELS:
        raise PageRefused(f"A Space takes at most {MOST_MODELS} models, and these are {len(chats)}: name fewer")
    models: dict[str, SpaceModel] = {}
    for chat in chats:
        refuse_chat(chat.model, chat.base)
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", chat.model.name).strip(".-") or "model"
        if name in models:
            raise PageRefused(f"{models[name].name} and {chat.model.name} would both be called {name}: rename one")
        size = f"{chat.file.stat().st_size / 1e6:,.0f}"
        models[name] = SpaceModel(name, chat.model.name, size, chat.base.name, licence_of(chat))
    if (total := sum(chat.file.stat().st_size for chat in chats)) > MOST_BYTES:
        raise PageRefused(
            f"These models are {total / 1e9:.1f} GB, and a Space takes {MOST_BYTES / 1e9:g} GB: name fewer, or smaller "
            "formats (bakeoff export NAME --form gguf-q4_0)"
        )
    return SpacePart(tuple(models.values()), chats[0].prompts or STARTING[:6])


def put_space(folder: Path, part: SpacePart, chats: Sequence[Chat], title: str) -> dict[str, int]:
    """Write what an image needs beside the page, which lies in the folder's `page` already; bytes by name.

    Raises: PageRefused where the folder has a Dockerfile of somebody else's, or cannot be written.
    """
    name, content = wheel()
    files: dict[str, bytes | Path] = {f"dist/{name}": content, "constraints.txt": pins().encode()}
    for one, chat in zip(part.models, chats, strict=True):
        files[f"{MODELS}/{one.id}.gguf"] = chat.file
        if template := str(chat.model.details.get("chat_template") or ""):
            files[f"{MODELS}/{one.id}.jinja"] = template.encode()
    files |= {README: readme(title, part).encode(), "Dockerfile": dockerfile()}
    return put_beside(folder, files, owned=(MODELS, "dist"))


def readme(title: str, part: SpacePart) -> str:
    """README.md: what the Hub reads of a Space, and what it hands on."""
    header = {"title": " ".join(title.split())[:MOST_TITLE], "sdk": "docker", "app_port": PORT, "tags": ["bakeoff"]}
    lines = "".join(f"\n- {line}" for line in part.handed_on)
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n\n{EXPLAINED}\n{lines}\n"


def dockerfile() -> bytes:
    """The repository's own, which builds the Space unless it is told otherwise."""
    text = Path(__file__).with_name("Dockerfile").read_text(encoding="utf-8")
    assert KIND in text, "a test holds that the line is there"
    return text.replace(KIND, "ARG KIND=space").encode()
