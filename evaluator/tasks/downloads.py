"""Published benchmarks fetched by name: over HTTPS, of a fixed commit, whole or not at all, known by their SHA-256.

Only where a person asks for it by a word (`--download`): nothing else here goes to the network.
Try: bakeoff score SAMPLES.jsonl --benchmark humaneval+ --download
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from engines import cache_folder
from evaluator.errors import BenchmarkUnreadable
from evaluator.tasks.published import file_here

MOST_BYTES = 64 << 20
"""A larger answer is none of these files; the largest has a megabyte."""

SECONDS = 60
"""Wait for an answer, or for its next piece."""


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

    Raises: BenchmarkUnreadable for a benchmark that is not fetched by name, an address that cannot be reached, an
    answer too large, or a file that is another than the one that was published.
    """
    if name not in releases:
        raise BenchmarkUnreadable(f"--download fetches {', '.join(releases)} by name, not {name}")
    if (there := file_here(name)) is not None:
        return f"{name}: {there} is there already, nothing is fetched"
    release = releases[name]
    path = cache_folder() / "benchmarks" / release.file
    path.parent.mkdir(exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            found = _fetched(release.address, file)
        if release.sha256 not in ("", found):
            raise BenchmarkUnreadable(
                f"{release.address} is not the file that was published: its SHA-256 is {found}, not {release.sha256}. "
                f"Get {release.file} elsewhere and put it into {path.parent}"
            )
        size = Path(part).stat().st_size
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)
    known = "as published" if release.sha256 else "nothing to compare it with is known"
    return f"{name}: {size / 1e6:.1f} MB from {release.address} in {path}; SHA-256 {found}, {known}"


def _fetched(address: str, file: IO[bytes]) -> str:
    """Write what is at an address into a file; its SHA-256. Raises: BenchmarkUnreadable."""
    sha, size = hashlib.sha256(), 0
    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=SECONDS) as answer:
            answer.raise_for_status()
            for piece in answer.iter_raw():
                size += len(piece)
                if size > MOST_BYTES:
                    raise BenchmarkUnreadable(f"{address} answers with more than {MOST_BYTES >> 20} MB: not fetched")
                sha.update(piece)
                file.write(piece)
    except httpx.HTTPStatusError as error:
        raise BenchmarkUnreadable(f"Cannot fetch {address}: it answers {error.response.status_code}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        raise BenchmarkUnreadable(
            f"Cannot fetch {address}: {why}. Go online, or get the file elsewhere: --benchmark PATH"
        ) from error
    return sha.hexdigest()
