"""Published benchmarks fetched by name: over HTTPS, of a fixed commit, whole or not at all, known by their SHA-256.

Only where a person asks for it by a word (`--download`): nothing else here goes to the network.
Try: bakeoff score SAMPLES.jsonl --benchmark humaneval+ --download
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engines import cache_folder
from evaluator.errors import BenchmarkUnreadable
from evaluator.tasks.benchmarks import load_benchmark
from evaluator.tasks.published import file_here
from evaluator.tasks.transfers import fetch


@dataclass(frozen=True)
class Release:
    """One file of a benchmark as it was published."""

    address: str
    file: str
    """Its name in the cache."""
    sha256: str = ""
    """The digest of the file; empty where it is not known before."""


_GITHUB = "https://raw.githubusercontent.com"
RELEASES: Mapping[str, Release] = {
    "humaneval+": Release(
        f"{_GITHUB}/evalplus/humanevalplus_release/200defce9e3429d28ca215b6dd061c0f7f31c18b/HumanEvalPlus.jsonl.gz",
        "HumanEvalPlus-v0.1.10.jsonl.gz",
        "272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101",
    ),
    "mbpp": Release(
        f"{_GITHUB}/google-research/google-research/2251e8c67a7fe7d6348714967ee101080b28e956/mbpp/mbpp.jsonl",
        "mbpp.jsonl",
    ),
    "mbpp+": Release(
        f"{_GITHUB}/evalplus/mbppplus_release/64fc4195b858a17cdfdb3324f0baf37939144e14/MbppPlus.jsonl.gz",
        "MbppPlus-v0.2.0.jsonl.gz",
        "af43697e8791c4c149bdfd6b489d8b5412507551ac20e28a439f650b8225db63",
    ),
}
"""EvalPlus's releases v0.1.10 and v0.2.0, and MBPP as Google keeps it."""


def download(name: str, releases: Mapping[str, Release] = RELEASES) -> str:
    """Fetch a benchmark's file into the cache, unless one is on this machine; returns a line that says what happened.

    What breaks off is gone on with by the next call (`evaluator.tasks.transfers`).
    Raises: BenchmarkUnreadable for a benchmark that is not fetched by name, an address that cannot be reached, an
    answer too large, or a file that is another than the one that was published, or no benchmark at all.
    """
    if name not in releases:
        raise BenchmarkUnreadable(f"--download fetches {', '.join(releases)} by name, not {name}")
    if (there := file_here(name)) is not None:
        return f"{name}: {there} is there already, nothing is fetched"
    release = releases[name]
    path = cache_folder() / "benchmarks" / release.file
    found = fetch(release.address, path, release.sha256, lambda part: _check(part, release.address))
    known = "as published" if release.sha256 else "nothing to compare it with is known"
    resumed = f", {found.resumed_bytes / 1e6:.1f} MB of it fetched earlier," if found.resumed_bytes else ""
    return (
        f"{name}: {found.bytes / 1e6:.1f} MB from {release.address}{resumed} in {path}; SHA-256 {found.sha256}, {known}"
    )


def _check(part: Path, address: str) -> None:
    """Raise BenchmarkUnreadable for a file that holds no tasks: the page of a network that wants a password first."""
    try:
        load_benchmark(part)
    except BenchmarkUnreadable as error:
        said = str(error).replace(str(part), "it")
        raise BenchmarkUnreadable(f"What {address} answers is no benchmark: {said}") from error
