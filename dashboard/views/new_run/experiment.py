"""A new run's form as an experiment file, and what is wrong in it before anything is asked of the trainer. Pure.

The trainer checks the file as a whole (`bakeoff plan`); here is what a field can say the moment it is typed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from results import FileUnreadable, safe_yaml

BASES = (
    "smollm2-135m-instruct",
    "meta-llama/Llama-3.2-1B-Instruct",
    "meta-llama/Llama-3.2-3B-Instruct",
    "Qwen/Qwen2.5-0.5B-Instruct",
    "Qwen/Qwen2.5-1.5B-Instruct",
)
SOURCES = ("python-stdlib", "mlabonne/FineTome-100k")
BUILT_IN = "python-stdlib"
FORMS = ("adapter", "merged", "lora-gguf", "gguf-f16", "gguf-q8_0", "gguf-q4_0")
RATES = ("1e-5", "2e-5", "5e-5", "1e-4", "2e-4", "5e-4", "1e-3", "2e-3")
"""Learning rates to pick from: steps of 2 and 2.5 on a logarithmic scale. Any other can be typed."""
RANKS = ("4", "8", "16", "32", "64", "128")
MEASURES = {
    "heldout": "Held-out loss",
    "rows": "Held-out rows as questions",
    "latency": "Latency",
    "humaneval": "HumanEval",
    "stopping": "Stopping",
}
"""What can be measured, and what the page calls it."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
READABLE = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
WEIGHTS = (".gguf", ".safetensors", ".bin")


@dataclass(frozen=True)
class Draft:
    """The form as it stands."""

    name: str = ""
    bases: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Paths, Hub ids, built-in sources."""
    columns: tuple[str, str] = ("", "")
    """Templates over column names, of the prompt and of the answer; both empty where the format names its columns."""
    split: str = "train"
    limit: int | None = None
    """Rows a source at most."""
    steps: int = 100
    rate: str = "2e-4"
    """Peak learning rate, as it was typed."""
    ranks: tuple[str, ...] = ("16",)
    """LoRA ranks as they were typed; one run a rank."""
    seeds: int = 1
    forms: tuple[str, ...] = ("lora-gguf",)
    measures: tuple[str, ...] = ("heldout", "latency")
    tests: tuple[str, ...] = ()
    """Own tests: files of questions, published tests by name."""


def problems(draft: Draft) -> dict[str, str]:
    """What is wrong, by field: the value, and what would be right."""
    found: dict[str, str] = {}
    if not NAME.fullmatch(draft.name):
        found["name"] = (
            f"“{draft.name}” cannot name folders and models: letters, digits, dot, dash and underscore, at most 80, "
            f"a letter or digit first. Try {slug(draft.name)}"
        )
    if not draft.bases:
        found["bases"] = "No base is chosen. Small enough for a laptop: smollm2-135m-instruct"
    for base in draft.bases:
        if is_path(base, WEIGHTS) and not Path(base).expanduser().exists():
            found["bases"] = missing(base)
    if not draft.sources:
        found["sources"] = "No data is chosen: drop a file above, or name a file, a Hub data set or python-stdlib"
    for field, names in (("sources", draft.sources), ("tests", draft.tests)):
        for name in names:
            if is_path(name, READABLE) and not Path(name).expanduser().exists():
                found[field] = missing(name)
    if bool(draft.columns[0]) != bool(draft.columns[1]):
        found["columns"] = "Both templates are needed, for example {question} and {answer}"
    if (rate := number(draft.rate)) is None or not 0 < rate < 1:
        found["rate"] = f"“{draft.rate}” is no learning rate: a number between 0 and 1, for example 2e-4"
    wrong = [rank for rank in draft.ranks if not (rank.isascii() and rank.isdigit() and 0 < int(rank) <= 1024)]
    if wrong or not draft.ranks:
        said = f"“{wrong[0]}” is no rank" if wrong else "No rank is chosen"
        found["ranks"] = f"{said}: whole numbers from 1 to 1,024, for example 16"
    if not draft.forms:
        found["forms"] = "No format is chosen: what you ship is what is measured, for example lora-gguf"
    return found


def remarks(draft: Draft, runs: Mapping[str, int]) -> dict[str, str]:
    """What is not wrong and still to be known, by field. runs: how many there are of each experiment."""
    found: dict[str, str] = {}
    if count := runs.get(draft.name):
        free = next(name for name in (f"{draft.name}-{at}" for at in range(2, len(runs) + 3)) if name not in runs)
        found["name"] = (
            f"{draft.name} is taken by {count} run{'s' if count != 1 else ''}. The same settings go on with them; with "
            f"others, a new model archives the old one of its name. Free: {free}"
        )
    rate = number(draft.rate)
    if rate is not None and not 1e-6 <= rate <= 2e-3:
        found["rate"] = f"{draft.rate} is far from what LoRA is trained with (1e-5 to 1e-3)"
    return found


def text(draft: Draft) -> str:
    """The experiment file (YAML); files on this machine by their whole path, since a job reads it elsewhere."""
    return str(yaml.safe_dump(_made(draft), sort_keys=False, allow_unicode=True))


def _made(draft: Draft) -> dict[str, Any]:
    kept: dict[str, Any] = {"limit": draft.limit} if draft.limit else {}
    if draft.split not in ("", "train"):
        kept["split"] = draft.split
    if all(draft.columns):
        kept["columns"] = {"prompt": draft.columns[0], "answer": draft.columns[1]}
    ranks = sorted({int(rank) for rank in draft.ranks if rank.isdigit()})
    grid: dict[str, Any] = {"lora.rank": ranks} if len(ranks) > 1 else {}
    if draft.seeds > 1:
        grid["training.seed"] = list(range(draft.seeds))
    rate = number(draft.rate)
    made: dict[str, Any] = {
        "name": draft.name,
        "bases": [whole(name, WEIGHTS) for name in draft.bases],
        "data": {"sources": [{"name": whole(name, READABLE), **kept} for name in draft.sources]},
        "training": {"max_steps": draft.steps, "learning_rate": draft.rate if rate is None else rate},
    }
    if "humaneval" in draft.measures:
        made["data"] |= {"decontaminate": ["humaneval"], "remove_contaminated": True}
    if len(ranks) == 1:
        made["lora"] = {"rank": ranks[0]}
    if grid:
        made["sweep"] = {"grid": grid}
    measured: dict[str, Any] = {name: {} for name in draft.measures if name != "rows"}
    if "heldout" not in measured:
        measured["heldout"] = None
    tests: list[Any] = [whole(name, READABLE) for name in draft.tests]
    if "rows" in draft.measures:
        tests.append({"from": "validation", "check": "exact"})
    made["evaluate"] = {**measured, **({"tests": tests} if tests else {}), "forms": list(draft.forms)}
    return made


def looked_at(draft: Draft) -> str:
    """The least of an experiment file that says which rows are read and how a base reads them: for `bakeoff data`."""
    made = _made(draft)
    least = {"name": "look", "bases": made["bases"][:1], "data": {"sources": made["data"]["sources"]}}
    return str(yaml.safe_dump(least, sort_keys=False, allow_unicode=True))


def stamps(draft: Draft) -> dict[str, str]:
    """When local files and folders of the data were last written: what changed is looked at anew."""
    found = {}
    for source in draft.sources:
        path = Path(whole(source, READABLE))
        if path.is_absolute() and path.exists():
            status = path.stat()
            found[str(path)] = f"{status.st_mtime_ns}.{status.st_size}"
    return found


def name(text: str) -> str:
    """The experiment's name, or `experiment` where the file is not readable."""
    try:
        found = safe_yaml(text, Path("the experiment file"))
    except FileUnreadable:
        return "experiment"
    return str(found.get("name", "experiment")) if isinstance(found, dict) else "experiment"


def slug(name: str) -> str:
    """A name that can be a folder's, as near to what was typed as may be."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:80] or "my-experiment"


def is_path(name: str, suffixes: Sequence[str]) -> bool:
    """Whether a name means something on this machine: it says so, or it is there."""
    said = name.startswith((".", "/", "~")) or name.lower().endswith(tuple(suffixes))
    return "://" not in name and name != BUILT_IN and (said or Path(name).exists())


def missing(name: str) -> str:
    """What to say of a path that leads nowhere."""
    path = Path(name).expanduser()
    seen = "" if path.is_absolute() else f" (looked for at {path.absolute()})"
    return f"There is no file or folder {name}{seen}"


def whole(name: str, suffixes: Sequence[str]) -> str:
    """A path from the root; a Hub id or built-in name as it is."""
    return str(Path(name).expanduser().absolute()) if is_path(name, suffixes) else name


def number(typed: str) -> float | None:
    """A number as typed; None where it is none."""
    try:
        return float(typed)
    except ValueError:
        return None
