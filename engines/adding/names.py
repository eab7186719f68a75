"""Names for what was found: the folder's, with as many of those above it as tell several apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engines.adding.found import Found

SPEECHLESS = re.compile(
    r"(checkpoint-?\d+|final(_checkpoint)?|last|best|lora[_-]?(model|out)?|adapter([_-]?model)?|merged([_-]model)?|"
    r"(fp16|16bit)[_-]merged|models?|outputs?|out|gguf|snapshots|[0-9a-f]{40}|epoch[_-]?\d+|sft|dpo|saves?|"
    r"ggml-model.*|unsloth\..*|model-\d+.*)",
    re.IGNORECASE,
)
"""Names that training tools give to every fine-tune alike: they say something only behind the folder above."""

SPLIT = re.compile(r"-(\d{5})-of-(\d{5})$")
"""What the stem of one part of a split GGUF ends in: its number and how many there are."""

HUB_CACHE = re.compile(r"models--(?:.+--)?(.+)")
"""A repository's folder in the Hub's cache."""


def suggested(paths: Sequence[Path]) -> list[str]:
    """A name for each path, in their order, no two alike and none empty."""
    parts = [_parts(path) for path in paths]
    taken = [_enough(one) for one in parts]
    names = [_joined(one, count) for one, count in zip(parts, taken, strict=True)]
    while len(set(names)) < len(names):
        alike = [place for place, name in enumerate(names) if names.count(name) > 1]
        longer = [place for place in alike if taken[place] < len(parts[place])]
        if not longer:  # nothing above tells them apart: `a.b` and `a b` are one name
            for number, place in enumerate(alike[1:], 2):
                names[place] = f"{names[place]}-{number}"
            continue
        for place in longer:
            taken[place] += 1
            names[place] = _joined(parts[place], taken[place])
    return names


def told_apart(found: Sequence[Found]) -> list[Found]:
    """The same with names no two of which are alike: several sources may each have a `bot`."""
    names = [one.name for one in found]
    alike = [place for place, name in enumerate(names) if names.count(name) > 1 and found[place].path]
    paths = [path for place in alike if (path := found[place].path)]
    for place, name in zip(alike, suggested(paths), strict=True):
        names[place] = name
    return [one if one.name == name else replace(one, name=name) for one, name in zip(found, names, strict=True)]


def _parts(path: Path) -> list[str]:
    """The path's names, the last first; a file loses its ending, a Hub cache its own folders."""
    last = SPLIT.sub("", path.name.removesuffix(".gguf"))
    names = [last, *(part for part in reversed(path.parent.parts) if part not in ("/", "snapshots"))]
    plain = [match[1] if (match := HUB_CACHE.fullmatch(name)) else name for name in names]
    return [name for name in plain if not re.fullmatch(r"[0-9a-f]{40}", name)] or ["model"]


def _enough(parts: Sequence[str]) -> int:
    """How many names say something: the last, and those above for as long as they could be anything's."""
    for count, name in enumerate(parts, 1):
        if not SPEECHLESS.fullmatch(name):
            return count
    return len(parts)


def _joined(parts: Sequence[str], count: int) -> str:
    words = "-".join(reversed(parts[:count]))
    return re.sub(r"[^\w.]+", "-", words).strip("-.") or "model"
