"""What an imported model or run is called: by its file's name, and where that says nothing, by the folders above it.

Tools call their files alike (`samples.jsonl`, `ggml-model-q4_0.gguf`, `out/`), so such a name tells nothing apart; the
folder that somebody named does. A name is never empty, and the absolute place belongs to the identity: two files of
one name in two places are two models.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

LONGEST = 160
"""Characters of a name that is taken from a file; ids and store keys have room for it in any alphabet."""

DIGEST = re.compile(r"[0-9a-f]{16,64}")

_WORDS = """
    adapter answer answers bench benchmark bigcode checkpoints completion completions data default download
    downloads eval evals evalplus evaluation evaluations export exports file files final generation generations ggml
    gguf history human humaneval humaneval+ humanevalplus import imports jsonl llama lm local log logging logs lora
    mbpp mbpp+ mbppplus merged metrics mlruns model models none null out output outputs plus pred prediction
    predictions raw response responses result results run runs sample samples sanitized scalars score scored scores
    tensorboard test tests tmp train trainer training unknown wandb
"""
USUAL = frozenset(_WORDS.split())
"""Words that tools name by themselves or that say only what a file is; "llama-bench" and "lm_eval" are two."""

QUANTIZED = re.compile(r"[-_.]?(q\d(_\w+)*|iq\d(_\w+)*|[bf]?f?16|f32|fp16|bf16)$", re.IGNORECASE)
"""The quantization at the end of a GGUF file's name, which tells no two models apart."""

DATED = re.compile(r"[-_.T ]*\d{4}-\d\d-\d\d([T_ -]\d\d[-:.]\d\d([-:.]\d\d)?([.-]\d+)?)?Z?|[-_.]*\d{8,14}$")
"""A date at the end of a file's name."""


@dataclass(frozen=True)
class Called:
    """Names for one thing, the shortest first, and the place that makes it itself."""

    names: tuple[str, ...]
    """Never empty, none of them empty; longer ones are for when a shorter is taken."""
    place: str
    """Absolute folder and what is left of the file's name; empty where a file itself names the thing."""
    by_place: bool = False
    """Whether the name is that of a folder, for want of a name in the file."""


def called_after(path: Path, stem: str = "") -> Called:
    """Names of what a file holds: its own name without tools' words (`stem`), else the folder that tells it apart."""
    place = absolute(path).parent
    stem = stem.strip()
    folders = [one for one in (place, *place.parents) if one.name]
    if stem and not is_usual(stem):
        return Called(_longer(stem, [one.name for one in folders]), f"{place}{os.sep}{stem}")
    telling = next((number for number, one in enumerate(folders) if not is_usual(one.name)), None)
    if telling is None:
        name = folders[0].name if folders else stem or "imported"
        return Called(_longer(name, [one.name for one in folders[1:]]), f"{place}{os.sep}{stem}", True)
    # a folder that is a number or a date (a seed, a step, a day) names nothing by itself, and tells two places apart
    own = next(number for number, one in enumerate(folders) if not is_words(one.name))
    above = [one.name for one in folders[telling + 1 :]]
    parts = [one.name for one in reversed(folders[own : telling + 1]) if not is_words(one.name)]
    names = _longer("/".join(parts), above)
    # two files of one model in one folder (answers, and their results) share its name; others get theirs as well
    apart = tuple(f"{one}/{stem}" for one in names[:2]) if stem else ()
    return Called((*names[:2], *apart, *names[2:]), f"{folders[own]}{os.sep}{stem}", True)


def called_as_folder(folder: Path) -> Called:
    """Names of a run that fills a folder, whatever it is called: that is what people gave to the trainer."""
    folder = absolute(folder)
    return Called(_longer(folder.name, [one.name for one in folder.parents if one.name]), str(folder))


def called(names: Iterable[object], place: str = "") -> Called | None:
    """Names that a file itself gives, the first that says something first; None if there is none."""
    found = tuple(dict.fromkeys(short(str(one)) for one in names if one is not None and not is_usual(str(one))))
    return Called(found, place) if found else None


def source_of(path: Path) -> str:
    """The file with its folder, which tells one `trainer_state.json` from the next.

    Without the folder where that is called by a digest, as those are in which dropped files are kept: nobody knows it.
    """
    return path.name if DIGEST.fullmatch(path.parent.name) else f"{path.parent.name}/{path.name}"


def is_usual(name: str) -> bool:
    """Whether a name tells nothing apart: empty, a tool's default, a date or a number."""
    bare = QUANTIZED.sub("", DATED.sub("", name.strip().lower().removesuffix(".gguf")))
    return bare.strip(" ._-").isdigit() or is_words(bare)


def is_words(name: str) -> bool:
    """Whether a name is made of tools' own words alone."""
    return all(word in USUAL for word in re.split(r"[ ._/\\-]+", name.strip().lower()) if word)


def absolute(path: Path | str) -> Path:
    """The path without `.` and `..`, whatever the present folder is; links are not followed."""
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 (Path.absolute keeps "..")


def short(name: str) -> str:
    """A name in one line of at most LONGEST characters; "imported" for nothing."""
    line = " ".join(name.split())
    return line if 0 < len(line) <= LONGEST else f"{line[: LONGEST - 1]}…" if line else "imported"


def path_names(text: str) -> tuple[str, ...]:
    """Names of a model's file or folder as another machine wrote it: its own, with one folder, with two, …"""
    pure = PurePath(text.replace("\\", "/"))
    parts = [one for one in pure.parts if one.strip("/.")]
    parts = [*parts[:-1], parts[-1].removesuffix(".gguf")] if parts else ["imported"]
    telling = next((n for n, one in enumerate(reversed(parts), 1) if not is_usual(one)), 1)
    return tuple(short("/".join(parts[-count:])) for count in range(telling, len(parts) + 1))


def _longer(name: str, above: list[str]) -> tuple[str, ...]:
    """The name, then with the folder above it, with two, …"""
    found = [short(name)]
    for count in range(1, min(4, len(above)) + 1):
        found.append(short("/".join([*reversed(above[:count]), name])))
    return tuple(dict.fromkeys(found))
