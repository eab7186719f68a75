"""The part of a published page in which a model answers in the visitor's browser: what it needs, what it refuses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dashboard.chat.prompts import STARTING
from dashboard.errors import PageRefused
from dashboard.publishing import wllama
from dashboard.publishing.bases import PublicBase
from dashboard.publishing.leaks import Leak, PrivateWords, leaks
from results import Model, file_start, open_plain

MOST_BYTES = 2_000_000_000
"""A browser holds no larger file."""
CONTEXT_TOKENS = 2_048
HEADER_BYTES = 1 << 16
"""So much of a GGUF file is looked at for what its maker wrote of his machine: its first keys."""
POLICY = {
    "script-src": "blob: 'wasm-unsafe-eval'",
    "connect-src": "'self' blob:",
    "worker-src": "blob:",
}
"""What the chat needs beyond the page: its library, loaded as a blob, WebAssembly, a worker, the file of the model.

A blob is made by a script that runs already: no address that slipped into the page is one.
"""


@dataclass(frozen=True)
class Chat:
    """A model to chat with on the page."""

    model: Model
    file: Path
    """Its GGUF file, proven to be the recorded one by whoever made this."""
    base: PublicBase
    prompts: tuple[str, ...] = ()
    """Examples to click on; empty: Bakeoff's own."""
    cache: Path = Path()
    """Where wllama's package is kept."""


@dataclass(frozen=True)
class ChatPart:
    """What the page says of the chat, and the files that go with it."""

    model: str
    megabytes: str
    base: str
    licence: str
    prompts: tuple[str, ...]
    files: Mapping[str, bytes | Path]
    model_file: str
    script: str
    """wllama's own, which loads the rest."""
    wasm: str
    licence_file: str
    version: str = wllama.VERSION
    template: str = "chat.html"
    code: str = "chat.js"
    """The page's own script, which follows `talk.js`."""
    policy: Mapping[str, str] = field(default_factory=lambda: POLICY, init=False)

    @property
    def told(self) -> dict[str, object]:
        """What the page's script is told."""
        return {"model": self.model_file, "script": self.script, "wasm": self.wasm, "context": CONTEXT_TOKENS}

    @property
    def handed_on(self) -> tuple[str, ...]:
        """Whose weights go with the page, a line each."""
        return (handed_on(self.model, self.base, self.licence),)


def chat_part(chat: Chat) -> ChatPart:
    """The files and words of a chat.

    Raises: PageRefused for a model that no browser can load or nobody may hand on, with the reason and the remedy.
    """
    model = chat.model
    refuse_chat(model, chat.base)
    size = chat.file.stat().st_size
    if size > MOST_BYTES:
        raise PageRefused(
            f"{model.name} is {size / 1e9:.2f} GB, and a browser loads at most {MOST_BYTES / 1e9:g} GB. Publish a "
            f"smaller format (bakeoff export {model.fine_tune or model.name} --form gguf-q4_0), or no --chat"
        )
    package = wllama.wllama(chat.cache)
    script, wasm, licence = (package[name] for name in (wllama.LIBRARY, wllama.WASM, wllama.LICENCE))
    named = {
        "script": f"wllama-{_digest(script)}.js", "wasm": f"wllama-{_digest(wasm)}.wasm",
        "licence_file": f"wllama-{_digest(licence)}.txt",
        "model_file": f"model-{re.sub(r'[^A-Za-z0-9_.@-]+', '-', model.name)}-{_file_digest(chat.file)}.gguf",
    }  # fmt: skip
    files: dict[str, bytes | Path] = {
        named["script"]: script, named["wasm"]: wasm, named["licence_file"]: licence, named["model_file"]: chat.file,
    }  # fmt: skip
    prompts = chat.prompts or STARTING[:6]
    return ChatPart(model.name, f"{size / 1e6:,.0f}", chat.base.name, licence_of(chat), tuple(prompts), files, **named)


def licence_of(chat: Chat) -> str:
    """The licence under which a model is handed on: its own, else its base's."""
    return str(chat.model.details.get("license") or chat.base.licence or "not recorded")


def handed_on(name: str, base: str, licence: str) -> str:
    """A line on a model whose weights go with a page."""
    made = f"made from {base}, " if base not in ("", name) else ""
    return f"{name}: {made}licence {licence}"


def refuse_chat(model: Model, base: PublicBase) -> None:
    """Raises: PageRefused for a model whose weights must not be, or cannot be, handed on as one GGUF file."""
    if base.gated:
        raise PageRefused(
            f"{model.name} is made from {base.name}, whose licence must be accepted before its weights are fetched: "
            "a page that hands them to everybody would pass that by. Publish without it"
        )
    if model.form == "remote":
        raise PageRefused(f"{model.name} is an endpoint: there is no file that could be handed on")
    whole = model.form.startswith("gguf-") or (model.form == "base" and PurePosixPath(model.path).suffix == ".gguf")
    if not whole or re.search(r"-\d{5}-of-\d{5}\.gguf$", model.path):
        name = model.fine_tune or model.name
        raise PageRefused(
            f"{model.name} is {model.form}, and what is handed on is one whole GGUF file. Make one: bakeoff export "
            f"{name} --form gguf-q8_0"
        )


def leaks_of_file(chat: Chat, own: PrivateWords) -> list[Leak]:
    """What the first keys of a model's file give away of the machine that made it."""
    header = file_start(chat.file, HEADER_BYTES).decode("latin-1")
    words = re.findall(r"[ -~]{6,}", header)
    said = [*chat.prompts, chat.model.name, chat.base.name, str(chat.model.details.get("license") or "")]
    return leaks([*words, *said], own, f"the file, the name or the examples of {chat.model.name}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _file_digest(path: Path) -> str:
    found = hashlib.sha256()
    with open_plain(path) as file:
        while piece := file.read(1 << 22):
            found.update(piece)
    return found.hexdigest()[:12]
