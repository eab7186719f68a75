"""Where a source lies, which of its files are read, which split a name means: what is known before one is opened.

A source is built in, a file or folder here, a file at a URL, or a data set of the Hub.
"""

from __future__ import annotations

import re
from pathlib import Path

from trainer.experiment.schema import Source

BUILT_IN = ("python-stdlib",)

READABLE = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
ARROW = ".arrow"
"""Read where `save_to_disk` says so (`trainer.sources.folders`): elsewhere such files are caches."""

SPLITS = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation")

KINDS = {
    **dict.fromkeys(("training",), "train"),
    **dict.fromkeys(("testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("valid", "val", "dev"), "validation"),
}
"""Other names of the three splits, as the Hub has them."""


def is_local(source: Source) -> bool:
    """Whether the source is a file or folder, there or not, rather than a built-in or a Hub id."""
    path = Path(source.name).expanduser()
    if "://" in source.name:
        return False
    local = path.exists() or path.suffix.lower() in READABLE or source.name.startswith((".", "/", "~"))
    return source.name not in BUILT_IN and local


def same_split(one: str, other: str) -> bool:
    """Whether two names mean one split: val, valid, dev and validation do."""
    return KINDS.get(one.lower(), one.lower()) == KINDS.get(other.lower(), other.lower())


def split_of(path: Path) -> str:
    """The split that a path names: the file's own word first, then those of the folders above it; empty without one."""
    if shard := re.match(r"(\w+)-\d{5}-of-\d{5}", path.stem):
        return shard.group(1)
    for part in reversed((*path.parts[:-1], path.stem)):
        words = [word for word in re.split(r"[^a-z]+", part.lower()) if word in SPLITS]
        if words:
            return words[0]
    return ""
