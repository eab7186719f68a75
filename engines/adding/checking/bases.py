"""The base of an adapter: from the name that the adapter has for it to weights on this machine.

Looked for, in this order: what the person names, what the source has itself, the path or name in the adapter, bases
of the store and of the models in it, the registry's own, the Hub's local cache. Nothing is downloaded unless the person
names it. A quantized copy's name stands for what it was made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.adding.checking.base_names import same_weights, short_name, sixteen_bit
from engines.adding.found import Found
from engines.adding.settings import read_settings
from engines.errors import FileRefused
from engines.gguf_format.header import read_header
from results import FileUnreadable, Model, Workspace, read_text

SIXTEEN = (0, 1, 30)
"""GGUF tensor types of 16 bits and more: F32, F16, BF16."""


LONGEST_REFERENCE = 1000
"""Bytes of a file that names a commit."""


@dataclass(frozen=True)
class Base:
    """A base on this machine."""

    path: Path
    """Folder or GGUF file."""
    name: str
    """What the record calls it: the Hub id where one is known, else the folder."""
    how: str
    """How it was found, in words."""
    named: str = ""
    """What the adapter calls it."""
    chat_template: str = ""
    """What its record in the store speaks to it in, where that is not its own."""

    @property
    def packed(self) -> str:
        """How its weights are quantized, in words; "" for 16 bits and more."""
        if self.path.is_file():
            kinds = {tensor.kind for tensor in read_header(self.path).tensors if len(tensor.shape) > 1}
            return "" if kinds <= set(SIXTEEN) else "a quantized GGUF"
        settings = read_settings(self.path / "config.json").get("quantization_config")
        return str(settings.get("quant_method", "quantized")) if isinstance(settings, dict) else ""


@dataclass(frozen=True)
class Registry:
    """What a list of known bases says of a name: the trainer's, which this room does not import."""

    fetched: Callable[[str], Path]
    """Where the base of a name is, downloaded when it has to be. Raises: BakeoffError with the remedy."""
    here: Callable[[str], tuple[str, Path] | None]
    """What a base that comes with Bakeoff is called, and where it is; None for any other name."""


@dataclass(frozen=True)
class Shelves:
    """Where bases are looked for."""

    models: tuple[Model, ...]
    """The store's."""
    workspace: Workspace
    registry: Registry | None = None


def locate(found: Found, given: str, shelves: Shelves) -> Base:
    """The base of what was found. given: the person's word for it, or "".

    Raises: FileRefused naming what was looked for and the remedy.
    """
    if given:
        return _given(given, found, shelves)
    if found.base_path is not None:
        return Base(found.base_path, found.base or short_name(str(found.base_path)), "beside it", found.base)
    if not found.base:
        raise FileRefused(f"{found.name} does not say over which base it was trained. Name it: --base NAME")
    candidates = list(_candidates(found, shelves))
    ready = [one for one in candidates if not one.packed]
    if ready or candidates:
        return (ready or candidates)[0]
    plain = sixteen_bit(found.base)
    name, stands = plain or found.base, f" (for the 4-bit copy {found.base})" if plain else ""
    raise FileRefused(
        f"The base {name}{stands} is neither in the store nor on this machine. "
        f"{_fetching(name)}ame a folder, GGUF file or model: --base NAME"
    )


def _given(given: str, found: Found, shelves: Shelves) -> Base:
    for model in _newest_first(shelves):
        if given in (model.name, model.id, model.base if model.form == "base" else model.name):
            return _of_model(model, shelves, "named with --base, in the store", found.base)
    path = Path(given).expanduser()
    if path.exists():
        return Base(path.absolute(), _name_of(path.absolute()), "named with --base", found.base)
    if given.startswith((".", "/", "~")) or given.endswith(".gguf"):
        raise FileRefused(f"There is no base at {path.absolute()}. Name a folder, GGUF file or model: --base NAME")
    if (cached := in_hub_cache(given)) is not None:
        return Base(cached, given, "named with --base, in the Hub's cache", found.base)
    if shelves.registry is None:
        raise FileRefused(f"There is no base {given!r} in the store or on this machine. Fetch it: hf download {given}")
    return Base(shelves.registry.fetched(given), given, "named with --base", found.base)


def _candidates(found: Found, shelves: Shelves) -> Iterator[Base]:
    """Bases that the adapter's name for its base may mean and that are here, the likeliest first."""
    for name in dict.fromkeys((sixteen_bit(found.base), found.base)):
        if not name:
            continue
        stands = f"for {found.base}" if name != found.base else "by its name"
        for place in _folders(name, found):
            yield Base(place, _name_of(place), f"a folder of this machine, {stands}", found.base)
        yield from (one for one in _stored(name, stands, found, shelves) if one.path.exists())
        if (cached := in_hub_cache(name)) is not None:
            yield Base(cached, name, f"in the Hub's cache, {stands}", found.base)
        for repository in _cached_repositories():
            if same_weights(repository, name) and (cached := in_hub_cache(repository)) is not None:
                yield Base(cached, repository, f"in the Hub's cache, {stands}", found.base)
        if shelves.registry is not None and (own := shelves.registry.here(name)) is not None:
            yield Base(own[1], own[0], f"the one that comes with Bakeoff, {stands}", found.base)


def _stored(name: str, stands: str, found: Found, shelves: Shelves) -> Iterator[Base]:
    """Bases of a name among the store's models, then those that its adapters stand on."""
    for model in _newest_first(shelves):
        called = model.base if model.form == "base" else model.name
        if model.form in ("base", "merged") and same_weights(called, name):
            yield _of_model(model, shelves, f"in the store, {stands}", found.base)
    for model in reversed(shelves.models):
        if model.base_path and same_weights(model.base, name):
            place = shelves.workspace.resolve(model.base_path)
            yield Base(place, model.base, f"the base of {model.name} in the store, {stands}", found.base)


def _folders(name: str, found: Found) -> Iterator[Path]:
    """Where a name is a path: from here, or from the adapter's own folder."""
    path = Path(name).expanduser()
    for place in (path, *((found.path / path,) if found.path and not path.is_absolute() else ())):
        if (place / "config.json").is_file() or (place.suffix == ".gguf" and place.is_file()):
            yield place.resolve()


def _newest_first(shelves: Shelves) -> list[Model]:
    return [model for model in reversed(shelves.models) if model.form not in ("adapter", "lora-gguf", "remote", "ggml")]


def _of_model(model: Model, shelves: Shelves, how: str, named: str) -> Base:
    name = model.base if model.form == "base" else model.name
    template = str(model.details.get("chat_template") or "")
    return Base(shelves.workspace.resolve(model.path), name, how, named, template)


def in_hub_cache(repository: str) -> Path | None:
    """A snapshot of a repository in the Hub's local cache, with its weights; None where none is whole there.

    The one that `main` means here, else the newest.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        return None
    place = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    snapshots = sorted(place.glob("snapshots/*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    try:
        main = read_text(place / "refs" / "main", LONGEST_REFERENCE).strip()
    except FileUnreadable:
        main = ""
    return next((one for one in sorted(snapshots, key=lambda one: one.name != main) if _whole(one)), None)


def _whole(folder: Path) -> bool:
    """Whether a folder has a configuration and all the weights that its index names."""
    index = read_settings(folder / "model.safetensors.index.json").get("weight_map")
    shards = {str(name) for name in index.values()} if isinstance(index, dict) else set()
    present = {file.name for file in folder.glob("*.safetensors") if file.is_file()}
    return (folder / "config.json").is_file() and bool(present) and shards <= present


def _cached_repositories() -> list[str]:
    from huggingface_hub.constants import HF_HUB_CACHE

    folders = sorted(Path(HF_HUB_CACHE).glob("models--*--*"))
    return [folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders]


def _fetching(name: str) -> str:
    """How a base of this name may be had, before the words that are left: a Hub id, a name of the registry, a path."""
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return f"Fetch it (hf download {name}) or n"
    if "/" in name or "\\" in name:
        return "N"
    return f"Have Bakeoff look for it (--base {name}) or n"


def _name_of(path: Path) -> str:
    """The Hub id of a folder in the Hub's cache, else the folder or file itself."""
    for part in path.parts:
        if part.startswith("models--") and part.count("--") == 2:
            return part.removeprefix("models--").replace("--", "/")
    return str(path)
