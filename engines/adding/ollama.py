"""Models of a local Ollama store: a manifest names the files, which lie under their digests and stay where they are.

    find("ollama:my-model:latest")

Not covered: models that Ollama runs elsewhere (its cloud), and those that it keeps as safetensors. Its template is Go's
and is never run (`go_templates`). Source of the layout: ollama/ollama on GitHub, `types/model` and `manifest`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.adding import go_templates
from engines.adding.found import Found
from engines.adding.settings import read_settings
from engines.errors import FileRefused
from engines.gguf_format.header import is_gguf, read_header
from engines.identity import file_sha256
from results import FileUnreadable, read_bytes, settings_words

HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"
"""What a name leaves out."""

STORES = ("~/.ollama/models", "/usr/share/ollama/.ollama/models")
"""Where Ollama keeps models: started by a user, and as a service on Linux."""

LAYER = "application/vnd.ollama.image."
"""How the media type of a layer begins; then model, adapter, projector, template, system, params, license, …"""

LARGEST_TEXT = 1 << 20
"""Bytes of a template, system prompt or parameters."""

NAMES = {"num_predict": "max_tokens"}
"""Ollama's parameters under their OpenAI names, where they differ."""


@dataclass(frozen=True)
class Manifest:
    """One model of a store: its files by what they are."""

    name: str
    """The name that `ollama list` shows, with its tag."""
    layers: Mapping[str, Sequence[Path]]
    """model, adapter, template, … → files, in the manifest's order."""


def find(source: str) -> list[Found]:
    """The model that `ollama:NAME` names.

    Raises: FileRefused where there is no store, no such model, a file is missing or is not what its name says.
    """
    name = source.partition(":")[2].removeprefix("//").strip()
    return [found(source, name, store())]


def store() -> Path:
    """The local store's folder. Raises: FileRefused where there is none."""
    named = os.environ.get("OLLAMA_MODELS")
    places = [Path(place).expanduser() for place in ([named] if named else STORES)]
    for place in places:
        if (place / "manifests").is_dir():
            return place
    looked = " and ".join(map(str, places))
    raise FileRefused(f"No Ollama store at {looked}. Say where it is: OLLAMA_MODELS=FOLDER")


def found(source: str, name: str, place: Path) -> Found:
    """One model of the store at `place`. Raises: FileRefused."""
    manifest = read_manifest(name, place)
    models, adapters = manifest.layers.get("model", ()), manifest.layers.get("adapter", ())
    if "tensor" in manifest.layers:
        raise FileRefused(f"Ollama keeps {manifest.name} as safetensors, not as GGUF. Add the folder it was made from.")
    if len(models) != 1 or len(adapters) > 1:
        counted = f"{len(models)} model files and {len(adapters)} adapters"
        raise FileRefused(f"{manifest.name} has {counted}; one model with one adapter at most is read. Merge them.")
    for file in (*models, *adapters):
        _check(file, manifest.name)
    go = _text(manifest, "template")
    notes, template = _template(go, models[0], manifest.name)
    parameters, said = _parameters(manifest)
    notes += said
    if manifest.layers.get("projector"):
        notes.append("Its projector for images is left out: text alone is measured.")
    if manifest.layers.get("messages"):
        notes.append("The example conversation that Ollama puts before every chat (MESSAGE) is not used.")
    slug = re.sub(r"[^\w.]+", "-", manifest.name.removesuffix(f":{TAG}").rpartition("/")[2]).strip("-.")
    license_ = _text(manifest, "license").strip().split("\n", 1)[0][:200]
    return Found(
        kind="lora-gguf" if adapters else "gguf",
        path=(adapters or models)[0],
        name=slug or "model",
        source=source,
        base=_base(models[0], manifest.name) if adapters else "",
        base_path=models[0] if adapters else None,
        template=template,
        parameters=parameters,
        notes=tuple(notes),
        details={"ollama": manifest.name, **({"license": license_} if license_ else {})},
    )


def read_manifest(name: str, place: Path) -> Manifest:
    """A model's manifest, with its files. Raises: FileRefused for a name that the store lacks, saying which it has."""
    bare, colon, tag = name.rpartition(":")
    bare, tag = (bare, tag) if colon and "/" not in tag else (name, TAG)
    parts = bare.strip("/").split("/")
    if not all(re.fullmatch(r"[\w.-]+", part) and part not in (".", "..") for part in (*parts, tag)) or len(parts) > 3:
        raise FileRefused(f"{name!r} is no name of an Ollama model: it should be like qwen3:1.7b or user/model:tag")
    whole = [HOST, NAMESPACE][: 3 - len(parts)] + parts
    path = place.joinpath("manifests", *whole, tag)
    if not path.is_file():
        there = ", ".join(names(place)[:8]) or "none"
        raise FileRefused(f"Ollama's store at {place} has no {bare}:{tag}; it has {there}. See: ollama list")
    layers: dict[str, list[Path]] = {}
    for layer in read_settings(path).get("layers") or ():
        kind, digest = str(layer.get("mediaType", "")), str(layer.get("digest", ""))
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise FileRefused(f"{path} names a file by {digest[:80]!r}, which is no digest. Pull it again: {name}")
        layers.setdefault(kind.removeprefix(LAYER), []).append(_blob(place, digest))
    return Manifest(f"{bare}:{tag}", layers)


def names(place: Path) -> list[str]:
    """The models of a store, as `ollama list` calls them."""
    root = place / "manifests"
    found = []
    for file in sorted(root.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            *parts, tag = file.relative_to(root).parts
            short = parts[2:] if parts[:2] == [HOST, NAMESPACE] else parts[1:] if parts[:1] == [HOST] else parts
            found.append(f"{'/'.join(short)}:{tag}")
    return found


def _blob(place: Path, digest: str) -> Path:
    """The file of a digest; stores of before 2024 write it with a colon."""
    new, old = place / "blobs" / digest.replace(":", "-"), place / "blobs" / digest
    return old if old.is_file() and not new.is_file() else new


def _check(file: Path, name: str) -> None:
    """Compare a file with the digest that it is called by. Raises: FileRefused."""
    if not file.is_file():
        raise FileRefused(f"{file}, a file of {name}, is missing. Pull it again: ollama pull {name}")
    read, called = file_sha256(file), file.name[-64:]
    if read != called:
        raise FileRefused(
            f"{file}, a file of {name}, is not what its name says: SHA-256 {read[:12]}…, not {called[:12]}…. "
            f"Pull it again: ollama pull {name}"
        )
    if not is_gguf(file):
        raise FileRefused(f"{file}, a file of {name}, is no GGUF file. Add the folder that the model was made from.")


def _template(go: str, model: Path, name: str) -> tuple[list[str], str]:
    """(notes, Jinja template where the GGUF file has none of its own)."""
    own = str(read_header(model).metadata.get("tokenizer.chat_template") or "")
    if own:
        how = go_templates.difference(go, own) if go else ""
        if how:
            return [f"Template: the GGUF file's own is used. Ollama's own for {name} differs: {how}."], ""
        return (["Template: the GGUF file's own, with the turn marks of Ollama's."] if go else []), ""
    family = go_templates.family(go)
    if family:
        marked = f"recognised as {family.name} by its turn marks; the plain {family.name} template is used"
        return [f"Template: the GGUF file has none. Ollama's is Go's and is not run: {marked}."], family.jinja
    if go.strip() and go.strip() != "{{ .Prompt }}":
        return ["Template: the GGUF file has none, and Ollama's is of no known family. Give one: --template FILE"], ""
    return [], ""


def _parameters(manifest: Manifest) -> tuple[dict[str, Any], list[str]]:
    """(parameters by their OpenAI names, notes)."""
    text = _text(manifest, "params")
    try:
        read = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise FileRefused(f"The parameters of {manifest.name} are no JSON: {error}. Pull it again.") from error
    found: dict[str, Any] = dict(read) if isinstance(read, dict) else {}
    found = {NAMES.get(key, key): value for key, value in found.items()}
    if system := _text(manifest, "system").strip():
        found["system"] = system
    if not found:
        return {}, []
    listed = settings_words(found)
    return found, [f"Ollama runs it with {listed}: used by chat and serve where they can, not where it is measured."]


def _base(model: Path, name: str) -> str:
    """What the adapter's base is called: the GGUF file's own name for itself."""
    return str(read_header(model).metadata.get("general.name") or f"{name} without its adapter")


def _text(manifest: Manifest, kind: str) -> str:
    """The text of a layer; "" without one. Raises: FileRefused for one that is missing or too large."""
    texts = []
    for file in manifest.layers.get(kind, ())[:1]:
        try:
            data = read_bytes(file, LARGEST_TEXT)
        except FileUnreadable as error:
            raise FileRefused(f"{file}, the {kind} of {manifest.name}: {error.reason}. Pull it again.") from error
        if file_sha256(file) != file.name[-64:]:
            raise FileRefused(f"{file}, the {kind} of {manifest.name}, is not what its name says. Pull it again.")
        texts.append(data.decode("utf-8", "replace"))
    return "".join(texts)
