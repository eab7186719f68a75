"""Which model a file is: SHA-256 over its bytes, remembered while the file does not change; and that it still is.

A figure belongs to the weights it was measured on. Files that were changed since would give their answers under the
old name, so whoever opens a model has them compared first (`prove`): read once a process, again only when changed.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import Path

from engines.errors import FileRefused
from results import Model, Workspace
from results.records import digest

_known: dict[tuple[int, ...], str] = {}
"""SHA-256 by device, inode, size and both times of change, one of which nobody can set: in a folder that was renamed a
file is still known, a changed one is read again."""


def file_sha256(path: Path) -> str:
    """SHA-256 (64 hex digits) of a file's bytes."""
    key = _key(path)
    if key not in _known:
        with path.open("rb") as file:
            _known[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _known[key]


def remember_sha256(path: Path, sha256: str) -> None:
    """Keep the digest of a file that was taken while it was written, so that nobody reads it again for that."""
    _known[_key(path)] = sha256


def _key(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def folder_sha256(folder: Path) -> str:
    """SHA-256 over the names and bytes of a folder's files, nothing hidden."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return digest({file.relative_to(folder).as_posix(): file_sha256(file) for file in files})


BASE_FILES = ("*.safetensors", "*.gguf", "config.json", "tokenizer*", "*.model", "*.jinja", "vocab*", "merges.txt")
"""What a base's folder answers by."""


def base_sha256(path: Path) -> str:
    """SHA-256 of a GGUF file, or over a folder's weights, configuration and tokenizer files by their names."""
    if path.is_file():
        return file_sha256(path)
    files = sorted({file for pattern in BASE_FILES for file in path.glob(pattern) if file.is_file()})
    return digest({file.name: file_sha256(file) for file in files})


def adapter_sha256(path: Path) -> str:
    """SHA-256 of a LoRA-GGUF, or over a PEFT folder's two files."""
    if path.is_file():
        return file_sha256(path)
    return digest({file: file_sha256(path / file) for file in ("adapter_config.json", "adapter_model.safetensors")})


def model_id(name: str, identity: str) -> str:
    """A slug of the name and the first 8 hex digits of the identity."""
    slug = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.") or "model"
    return f"{slug[:80]}-{identity[:8]}"


class FileChanged(FileRefused):
    """A model's file is not the one that was registered, or is gone."""


def prove(model: Model, workspace: Workspace) -> None:
    """Compare a model's files with its record; what has no digest there (endpoints, imported scores) is not compared.

    Raises: FileChanged naming the file, both digests, and what to do.
    """
    if model.form == "remote":
        return
    require_files(model)
    path = workspace.resolve(model.path)
    if model.form in ("adapter", "lora-gguf"):
        _compare(model, workspace.resolve(model.base_path), model.weights_sha256, "base")
        _compare(model, path, model.adapter_sha256, "adapter")
    else:
        _compare(model, path, model.weights_sha256, "base" if model.form == "base" else "whole")


def changed_files(model: Model, workspace: Workspace, moment: datetime) -> str:
    """That a model's files are others than were registered, and what to do; "" where they are the same, or not here.

    moment: when they were proved last. Files without a later change, of which the file system alone keeps the time, are
    not read for it.
    """
    places = [workspace.resolve(place) for place in (model.path, model.base_path) if place]
    if model.form == "remote" or not model.path or not all(place.exists() for place in places):
        return ""
    files = (file for place in places for file in (place, *place.rglob("*")) if file.exists())
    if all(file.stat().st_ctime <= moment.timestamp() for file in files):
        return ""
    try:
        prove(model, workspace)
    except FileChanged as error:
        return str(error)
    return ""


def require_files(model: Model) -> None:
    """Raises: FileChanged for a model that is known from imported results alone."""
    if not model.path:
        raise FileChanged(known_from_results(model))


def missing_files(model: Model, workspace: Workspace) -> str:
    """That a model's files are not here, and what to do; "" where they are, or an endpoint has them."""
    if not model.path:
        return known_from_results(model)
    path = workspace.resolve(model.path)
    if model.form == "remote" or path.exists():
        return ""
    return gone(path, f"the {model.form} of {model.name}")


def gone(path: Path, what: str) -> str:
    """That a model's file is no longer there, and what to do. what: the part that it is of which model."""
    return (
        f"{path}, {what}, is gone. Put it back, or run its experiment again: that rebuilds what its checkpoint holds."
    )


def known_from_results(model: Model) -> str:
    """That a model has no weights here, and what to do."""
    return f"{model.name} is known from imported results; its weights are not here. Add them: bakeoff add PATH"


def _compare(model: Model, path: Path, recorded: str, part: str) -> None:
    if not recorded:
        return
    if not path.exists():
        raise FileChanged(gone(path, _named(model, part)))
    digests = {"base": base_sha256, "adapter": adapter_sha256, "whole": folder_sha256 if path.is_dir() else base_sha256}
    try:
        # A folder made elsewhere answers by its weights alone: what else lies there may change, and is not read.
        found = base_sha256(path) if part == "whole" else ""
        found = found if found == recorded else digests[part](path)
    except OSError as error:
        raise FileChanged(f"{error.filename or path}, of {model.name}, cannot be read: {error.strerror}.") from error
    if found != recorded:
        raise FileChanged(
            f"{path}, {_named(model, part)}, is not what was registered: SHA-256 {found[:12]}…, then {recorded[:12]}…. "
            "Put the old files back, or remove these and run its experiment again, which rebuilds them. New ones are "
            "another model: bakeoff add PATH --name NEW"
        )


def _named(model: Model, part: str) -> str:
    return (
        f"the base of {model.name}" if part == "base" and model.form != "base" else f"the {model.form} of {model.name}"
    )
