"""Models of the Hugging Face Hub: an adapter, a whole model, or a file of a GGUF repository, at a commit that is kept.

    find("hub:user/repo")                   # adapter or whole model; of several models it lists them
    find("hub:user/repo@v1")                # a branch, tag or commit
    find("hub:user/repo:Q8_0")              # a GGUF file by its quantization, or by its name: hub:user/repo/model.gguf

Only what is needed is downloaded, into the Hub's own cache, and never a pickle. HF_TOKEN, HF_ENDPOINT, HF_HOME and
HF_HUB_OFFLINE mean what they mean for `hf`; without a network, what the cache has is taken.
"""

from __future__ import annotations

import dataclasses
import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from engines.adding.folders import look
from engines.adding.found import Found
from engines.adding.names import SPLIT, suggested
from engines.errors import FileRefused

WRITTEN = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<path>[^:]+))?(?::(?P<quantization>[\w.-]+))?")
"""user/repo, with a path inside it or a quantization."""

TEXTS = (".json", ".jinja", ".model", ".txt", ".yaml", ".yml", ".md", ".jsonl")
"""Endings of what is taken beside the weights: settings, tokenizer, template, what training left."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
SECONDS = 30.0
"""How long the Hub may take to say what a repository holds."""

CONVERSION = (
    "python -c \"import torch, safetensors.torch as s; s.save_file(torch.load('{0}.bin', weights_only=True), "
    "'{0}.safetensors')\""
)
"""A pickle's tensors as safetensors, in a copy that one trusts."""


@dataclass(frozen=True)
class Wanted:
    """What a source names."""

    repository: str
    path: str = ""
    """A file or folder of the repository."""
    quantization: str = ""
    revision: str = ""
    """Empty: the newest."""


@dataclass(frozen=True)
class Listing:
    """A repository's files at a commit."""

    commit: str
    files: Mapping[str, int | None]
    """Path → bytes, where known."""
    cached: Path | None = None
    """The snapshot in the cache, where the Hub was out of reach."""


@dataclass(frozen=True)
class Choice:
    """One model of a repository."""

    what: str
    """How it is chosen, behind the repository's name: "", "/folder" or "/file.gguf"."""
    files: tuple[str, ...]
    bytes: int
    place: str
    """The folder, or the first file, inside the repository."""


def find(source: str) -> list[Found]:
    """The model that `hub:…` names, downloaded. Raises: FileRefused in one line with the remedy."""
    wanted = parsed(source)
    listing = listed(wanted)
    choice, notes = chosen(wanted, listing)
    folder = listing.cached or _downloaded(wanted, listing.commit, choice.files)
    written = f"hub:{wanted.repository}{choice.what}@{listing.commit}"
    (name,) = suggested([Path(wanted.repository) / choice.place])
    details = {"repository": wanted.repository, "revision": listing.commit}
    return [
        dataclasses.replace(
            one,
            name=name,
            source=written,
            notes=(*notes, *one.notes),
            details={**one.details, **details},
        )
        for one in look(folder / choice.place if choice.place else folder)
    ]


def to_fetch(source: str) -> str:
    """What `find` would download for a source, with its size, in words; "" for nothing.

    Raises: FileRefused, as `find` does.
    """
    from huggingface_hub import try_to_load_from_cache

    if not source.lower().startswith("hub:"):
        return ""
    wanted = parsed(source)
    listing = listed(wanted)
    if listing.cached:
        return ""
    choice, _ = chosen(wanted, listing)
    name, commit = wanted.repository, listing.commit
    cached = {file: try_to_load_from_cache(name, file, revision=commit) for file in choice.files}
    lacking = [file for file, place in cached.items() if not isinstance(place, str)]
    if not lacking:
        return ""
    return f"hub:{name}{choice.what} at {commit[:12]}:{_size(_sum(listing.files, lacking))} to fetch"


def parsed(source: str) -> Wanted:
    """What `hub:user/repo[/path][:quantization][@revision]` names. Raises: FileRefused."""
    text = re.sub(r"^(//)?(https?://)?(huggingface\.co/|hf\.co/)?", "", source.partition(":")[2].strip())
    text, _, revision = text.partition("@")
    match = WRITTEN.fullmatch(text.rstrip("/"))
    if match is None:
        raise FileRefused(f"{source} names no repository: write hub:user/repo, hub:user/repo@revision or …/file.gguf")
    quantization = match["quantization"] or ""
    if not quantization and ":" in revision:
        revision, _, quantization = revision.partition(":")
    return Wanted(match["repository"], (match["path"] or "").strip("/"), quantization, revision)


def listed(wanted: Wanted) -> Listing:
    """The repository's files; without a network those in the cache. Raises: FileRefused."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        info = HfApi().model_info(
            wanted.repository, revision=wanted.revision or None, files_metadata=True, timeout=SECONDS
        )
    except (OfflineModeIsEnabled, httpx2.TransportError) as error:
        return _in_cache(wanted, error)
    except (HfHubHTTPError, HFValidationError) as error:
        raise FileRefused(_remedy(wanted, error)) from error
    files = {one.rfilename: one.size for one in info.siblings or ()}
    return Listing(str(info.sha), files)


def chosen(wanted: Wanted, listing: Listing) -> tuple[Choice, list[str]]:
    """(the model, what to say of the others). Raises: FileRefused where there is none, or several to choose from."""
    files = {name: size for name, size in listing.files.items() if _inside(name, wanted.path)}
    if wanted.path and not files:
        raise FileRefused(f"{wanted.repository} has no {wanted.path}; it has {_some(sorted(listing.files))}")
    folders, ggufs, images = _folders(files, wanted.path), _gguf_files(files), _images(files)
    notes = [f"Left out, a projector for images: {', '.join(images)}."] if images else []
    if wanted.quantization:
        ggufs = [one for one in ggufs if _is_of(one.place, wanted.quantization)]
        folders = []
        if not ggufs:
            there = _some([one.place for one in _gguf_files(files)]) if _gguf_files(files) else "no GGUF file"
            raise FileRefused(f"{wanted.repository} has no GGUF file of {wanted.quantization}; it has {there}")
    top = [one for one in folders if one.place == wanted.path]
    if top and ggufs and not wanted.quantization:
        quantizations = _some([f"hub:{wanted.repository}{one.what}" for one in ggufs])
        notes.append(f"It has GGUF files too, which are not added unless named: {quantizations}.")
    choices = top or folders or ggufs
    if not choices:
        raise FileRefused(_nothing(wanted, files))
    if len(choices) > 1:
        named = [f"hub:{wanted.repository}{one.what}{_size(one.bytes)}" for one in choices]
        raise FileRefused(f"{wanted.repository} has {len(named)} models. Name one: {_some(named, 30)}")
    return choices[0], notes


def _folders(files: Mapping[str, int | None], top: str) -> list[Choice]:
    """Adapters and whole models, each a folder of the repository; of a training's checkpoints none beside the result.

    Raises: FileRefused for one whose weights are a pickle.
    """
    found = []
    by_folder: dict[str, list[str]] = {}
    for name in files:
        parent = PurePosixPath(name).parent.as_posix()
        by_folder.setdefault("" if parent == "." else parent, []).append(name)
    for folder, names in sorted(by_folder.items()):
        base = {PurePosixPath(name).name for name in names}
        weights = [name for name in names if name.endswith(".safetensors") and "consolidated" not in name]
        adapter = "adapter_config.json" in base
        if not adapter and "config.json" not in base:
            continue
        if not weights:
            pickled = [name for name in names if name.endswith(PICKLES) and "training_args" not in name]
            if pickled and folder == top:
                raise FileRefused(_pickled(pickled[0]))
            continue
        if adapter:
            weights = [name for name in weights if PurePosixPath(name).name.startswith("adapter")] or weights
        kept = [*weights, *(name for name in names if name.endswith(TEXTS))]
        what = f"/{folder}" if folder else ""
        found.append(Choice(what, tuple(kept), _sum(files, weights), folder))
    return found


def _gguf_files(files: Mapping[str, int | None]) -> list[Choice]:
    """GGUF files; the parts of a split one together, by its first."""
    whole: dict[str, list[str]] = {}
    for name in sorted(files):
        if name.endswith(".gguf") and name not in _images(files):
            whole.setdefault(SPLIT.sub("", name.removesuffix(".gguf")), []).append(name)
    card = [name for name in files if name == "README.md"]
    return [Choice(f"/{parts[0]}", (*parts, *card), _sum(files, parts), parts[0]) for parts in whole.values()]


def _images(files: Mapping[str, int | None]) -> list[str]:
    return [name for name in files if name.endswith(".gguf") and "mmproj" in PurePosixPath(name).name.lower()]


def _is_of(file: str, quantization: str) -> bool:
    """Whether a GGUF file's name says that it is of a quantization: model-Q8_0.gguf, model.q8_0-00001-of-00002.gguf."""
    stem = SPLIT.sub("", PurePosixPath(file).name.removesuffix(".gguf"))
    return re.search(rf"(^|[-_.]){re.escape(quantization)}$", stem, re.IGNORECASE) is not None


def _downloaded(wanted: Wanted, commit: str, files: Sequence[str]) -> Path:
    """The snapshot with these files, what was there before reused; progress is the Hub's own. Raises: FileRefused."""
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = [glob.escape(name) for name in files]
    try:
        return Path(snapshot_download(wanted.repository, revision=commit, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise FileRefused(_remedy(wanted, error)) from error
    except httpx2.TransportError as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileRefused(
            f"The download of {wanted.repository} broke off ({said}). The same command goes on where it was."
        ) from error


def _in_cache(wanted: Wanted, error: Exception) -> Listing:
    """What the cache has of a repository: the revision that is named, else the one that `main` was last."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        repositories = frozenset()
    revisions = [
        one
        for repository in repositories
        if repository.repo_id == wanted.repository and repository.repo_type == "model"
        for one in repository.revisions
    ]
    name = wanted.revision or "main"
    match = next((one for one in revisions if name in one.refs or one.commit_hash.startswith(name)), None)
    if match is None and not wanted.revision and len(revisions) == 1:
        match = revisions[0]  # a commit that was asked for by its digits leaves no name behind
    if match is None:
        there = f", which has {_some([one.commit_hash[:12] for one in revisions])}" if revisions else ""
        raise FileRefused(
            f"The Hub cannot be reached ({_reason(error)}), and {wanted.repository} at {name} is not in its cache"
            f"{there}. Go online once, or fetch it elsewhere: hf download {wanted.repository}"
        ) from error
    folder = Path(match.snapshot_path)
    files = {file.file_path.relative_to(folder).as_posix(): file.size_on_disk for file in match.files}
    return Listing(match.commit_hash, files, folder)


def _remedy(wanted: Wanted, error: Exception) -> str:
    """What to do about a repository that does not come, by the kind of the Hub client's error."""
    from huggingface_hub.errors import (
        DisabledRepoError,
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = wanted.repository
    if isinstance(error, GatedRepoError):
        page = f"https://huggingface.co/{name}"
        return f"{name} is gated: accept its licence at {page}, then set HF_TOKEN to a token that may read it"
    if isinstance(error, RevisionNotFoundError):
        return f"{name} has no revision {wanted.revision!r}: give a branch, a tag or a commit that its page lists"
    if isinstance(error, DisabledRepoError):
        return f"{name} was disabled by the Hub"
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)):
        return f"There is no model {name} on the Hub, or it is private and HF_TOKEN may not see it"
    status = getattr(getattr(error, "response", None), "status_code", None)
    said = f"it answered {status}" if status else _reason(error)
    return f"{name} cannot be fetched from the Hub: {said}. Try again later; what was downloaded is kept"


def _reason(error: Exception) -> str:
    """Why there is no network, in a few words."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    return " ".join(str(error).split())[:120] or type(error).__name__


def _pickled(file: str) -> str:
    stem = PurePosixPath(file).stem
    return (
        f"{file} is a pickle, which can run code, and is never downloaded. Where you trust it, fetch the repository "
        f"with hf download, convert it there and add the folder: {CONVERSION.format(stem)}"
    )


def _nothing(wanted: Wanted, files: Mapping[str, Any]) -> str:
    pickled = [name for name in files if name.endswith(PICKLES)]
    if pickled and any(name.endswith("config.json") for name in files):
        return _pickled(pickled[0])
    return (
        f"{wanted.repository} holds no model: no adapter_config.json, no config.json with .safetensors, no .gguf file. "
        f"It has {_some(sorted(files)) or 'nothing'}"
    )


def _inside(name: str, path: str) -> bool:
    """Whether a file is the one that is named (a part of it, if it is split), or below the folder that is."""
    if not path or name == path or name.startswith(f"{path}/"):
        return True
    return path.endswith(".gguf") and SPLIT.sub("", name.removesuffix(".gguf")) == SPLIT.sub(
        "", path.removesuffix(".gguf")
    )


def _sum(files: Mapping[str, int | None], names: Sequence[str]) -> int:
    return sum(files[name] or 0 for name in names)


def _size(count: int) -> str:
    return f" ({count / 1e9:.2f} GB)" if count >= 10**7 else f" ({count / 1e6:.2f} MB)" if count else ""


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
