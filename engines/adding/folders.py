"""What lies in a folder: adapters, transformers folders and GGUF files, however deep the training tool put them.

Nothing is loaded: files are told by their names, settings and headers. Links are followed to files, not to folders
(the Hub's cache keeps its files as links).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.adding.found import Found, Kind
from engines.adding.names import SPLIT, suggested
from engines.adding.settings import read_settings
from engines.errors import FileRefused
from engines.gguf_format.header import read_header

DEEPEST = 6
"""Folders below the source that are looked into: outputs/project/run/checkpoint-500 has four."""

MOST_FOLDERS = 20_000
"""A source with more is no folder of models."""

PROJECTOR = re.compile("mmproj", re.IGNORECASE)
"""What the name of a projector for images has in it; text alone is measured."""

CHECKPOINT = re.compile(r"checkpoint-(\d+)")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "consolidated*.pth", "*.pt")
"""What makes a folder with a config.json one with weights; which of them are read is the checklist's to say."""


@dataclass(frozen=True)
class Place:
    """Where one model lies."""

    kind: Kind
    path: Path
    notes: tuple[str, ...] = ()


def look(source: Path) -> list[Found]:
    """The models in a folder, or the one that a file is. Raises: FileRefused where there is none, saying what is."""
    source = source.expanduser().absolute()
    if source.is_file():
        places = [_of_file(source)]
    elif not source.is_dir():
        raise FileRefused(f"There is nothing at {source}. Give a folder, a .gguf file, hub:user/repo or a URL.")
    else:
        places = list(_in_folder(source))
    if not places:
        raise FileRefused(f"{source} holds no model: {_holds(source)}")
    names = suggested([place.path for place in places])
    return [_found(place, name, source) for place, name in zip(places, names, strict=True)]


def model_kind(folder: Path) -> Kind | None:
    """What the files at the top of a folder make it: peft, transformers, or neither."""
    if (folder / "adapter_config.json").is_file():
        return "peft"
    weights = (file for pattern in WEIGHTS for file in folder.glob(pattern))
    return "transformers" if (folder / "config.json").is_file() and next(weights, None) else None


def _in_folder(source: Path) -> Iterator[Place]:
    """The models at or below a folder; of what lies inside a model's own folder a note speaks."""
    kind = model_kind(source)
    if kind:
        yield Place(kind, source, _inside(source))
        return
    families: dict[Path, list[Path]] = {}
    for path in _below(source):
        together = path.parent if CHECKPOINT.fullmatch(path.name) and path.is_dir() else path
        families.setdefault(together, []).append(path)
    for paths in families.values():
        if len(paths) > 1:
            yield _latest(paths)
        elif paths[0].is_file():
            yield _of_file(paths[0])
        else:
            yield Place(model_kind(paths[0]) or "peft", paths[0], _inside(paths[0]))


def _below(source: Path) -> Iterator[Path]:
    """Folders of models and GGUF files below a folder, none inside another's; no projectors of images."""
    seen = 0
    for place, folders, files in os.walk(source):
        here = Path(place)
        seen += 1
        if seen > MOST_FOLDERS:
            raise FileRefused(f"{source} has more than {MOST_FOLDERS:,} folders. Name the one that holds the models.")
        if here != source and model_kind(here):
            folders.clear()
            yield here
            continue
        deep = len(here.relative_to(source).parts) >= DEEPEST
        folders[:] = [] if deep else sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            part = SPLIT.search(name.removesuffix(".gguf"))
            if name.endswith(".gguf") and not (part and int(part[1]) > 1) and not PROJECTOR.search(name):
                yield here / name


def _of_file(file: Path) -> Place:
    if file.suffix != ".gguf":
        inside = " Give the folder it lies in." if file.suffix in (".safetensors", ".json", ".jinja") else ""
        raise FileRefused(f"{file} is no GGUF file.{inside or ' A model is a folder, a .gguf file or a URL.'}")
    part = SPLIT.search(file.stem)
    if part and int(part[1]) > 1:
        file = file.with_name(f"{SPLIT.sub('', file.stem)}-00001-of-{part[2]}.gguf")
    header = read_header(file)
    if header.architecture == "clip" or PROJECTOR.search(file.name):
        raise FileRefused(f"{file} is a projector for images and no language model. Give the model's file beside it.")
    images = sorted(one.name for one in file.parent.glob("*.gguf") if PROJECTOR.search(one.name))
    notes = (f"Left out beside it, a projector for images: {', '.join(images)}.",) if images else ()
    return Place("lora-gguf" if header.metadata.get("general.type") == "adapter" else "gguf", file, notes)


def _latest(checkpoints: Sequence[Path]) -> Place:
    """The best of a training's checkpoints where its trainer kept one, else the last; no model lies above them."""
    ordered = sorted(checkpoints, key=_step)
    best = str(read_settings(ordered[-1] / "trainer_state.json").get("best_model_checkpoint") or "")
    chosen = next((one for one in ordered if one.name == Path(best).name), ordered[-1])
    why = "the one of the best loss by its trainer_state.json" if chosen.name == Path(best).name else "the last"
    others = ", ".join(one.name for one in ordered if one != chosen)
    note = f"{chosen.name} of {len(ordered)} checkpoints: {why}. Name another's folder to add that ({others})."
    return Place(model_kind(chosen) or "peft", chosen, (note,))


def _step(folder: Path) -> int:
    match = CHECKPOINT.fullmatch(folder.name)
    return int(match[1]) if match else 0


def _inside(source: Path) -> tuple[str, ...]:
    """What else is a model inside a model's folder: checkpoints, a merged copy, GGUF files beside the weights."""
    others = [path.relative_to(source).as_posix() for path in _below(source)]
    if not others:
        return ()
    listed = ", ".join(others[:6]) + (f" and {len(others) - 6} more" if len(others) > 6 else "")
    return (f"Also inside, and not added unless named: {listed}.",)


def _found(place: Place, name: str, source: Path) -> Found:
    base = ""
    if place.kind == "peft":
        base = str(read_settings(place.path / "adapter_config.json").get("base_model_name_or_path") or "")
    elif place.kind == "lora-gguf":
        metadata = read_header(place.path).metadata
        base = str(metadata.get("general.base_model.0.repo_url") or metadata.get("general.base_model.0.name") or "")
        base = base.removeprefix("https://huggingface.co/")
    return Found(place.kind, place.path, name, str(source), base=base, notes=place.notes)


def _holds(source: Path) -> str:
    """What a folder without a model has instead, and what to do."""
    files = [file for file in sorted(source.iterdir()) if file.is_file()]
    if any(file.name == "config.json" for file in files):
        return "a config.json and no weights beside it. Its .safetensors files were not saved or not downloaded."
    if any(file.suffix in (".bin", ".pt", ".pth", ".safetensors") for file in files):
        return (
            "weights and neither an adapter_config.json nor a config.json beside them. "
            "Save it again with save_pretrained."
        )
    return "no adapter_config.json, config.json or .gguf file in it or in the folders below."
