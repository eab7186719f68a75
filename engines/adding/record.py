"""The store's record of a model from its files: what training leaves and what is added are written down alike.

What an export makes of a model has a record of its own making (`engines.exporting.export`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engines.adding.checking.base_names import short_name
from engines.errors import EngineError
from engines.identity import adapter_sha256, base_sha256, file_sha256, folder_sha256, model_id
from results import Form, Model, Workspace, digest, makers_settings

ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Files:
    """Where a model's files are."""

    form: Form
    path: Path
    """Folder or file; of an adapter its own."""
    base: str
    """What the base is called."""
    base_path: Path | None = None
    """The base's weights, for an adapter or lora-gguf."""
    base_sha256: str = ""
    """The base's digest where it is known already; computed where it is not."""
    foreign: bool = False
    """A folder that other tools write into too: only weights, configuration and tokenizer are its identity."""


def record(
    name: str,
    files: Files,
    template: str,
    workspace: Workspace,
    run_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Model:
    """The record of a model, not yet stored: the files' digests, their size, an identity of all that answers.

    template: the chat template that it is spoken to in; "" for none.
    """
    weights, adapter = _digests(files)
    template_sha256 = hashlib.sha256(template.encode()).hexdigest()
    answering = {"weights": weights, "adapter": adapter, "template": template_sha256, "form": files.form}
    if own := makers_settings(details or {}):  # served with them, it answers otherwise
        answering["makers_settings"] = digest(own)
    identity = digest(answering)
    size = size_bytes(files.path / ADAPTER_WEIGHTS if files.form == "adapter" else files.path)
    return Model(
        id=model_id(name, identity),
        name=short_name(name) if files.form == "base" else name,
        form=files.form,
        base=files.base,
        identity=identity,
        bytes=size + (size_bytes(files.base_path) if files.base_path else 0),
        path=workspace.relative(files.path),
        run_id=run_id,
        base_path=workspace.relative(files.base_path) if files.base_path else "",
        weights_sha256=weights,
        adapter_sha256=adapter,
        template_sha256=template_sha256,
        details=dict(details or {}),
    )


def _digests(files: Files) -> tuple[str, str]:
    """SHA-256 of the weights and of the adapter; "" for none."""
    if files.base_path is not None:
        return files.base_sha256 or base_sha256(files.base_path), adapter_sha256(files.path)
    if files.form == "base" or files.foreign:
        return files.base_sha256 or base_sha256(files.path), ""
    return (file_sha256(files.path) if files.path.is_file() else folder_sha256(files.path)), ""


def size_bytes(path: Path) -> int:
    """Count the bytes of a file, or of all files of a model folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def endpoint_record(url: str, model: str, name: str = "") -> Model:
    """The record of a model behind an OpenAI-compatible endpoint: its name there and its host.

    Raises: EngineError for what is no http address, or holds a password, which a store must not.
    """
    place = urlsplit(url.rstrip("/"))
    if place.scheme not in ("http", "https") or not place.hostname:
        raise EngineError(f"{url!r} is no address of an endpoint, such as http://127.0.0.1:8791/v1")
    if place.username or place.password:
        raise EngineError(
            f"The address of {place.hostname} holds a password, which would be stored. Put the key in OPENAI_API_KEY"
        )
    identity, full = digest([place.geturl(), model]), name or f"{model} ({place.netloc})"
    details = {"model": model}
    return Model(model_id(full, identity), full, "remote", model, identity, 0, place.geturl(), details=details)
