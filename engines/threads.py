"""How many threads llama.cpp should use on this machine right now, found by trying.

With as many threads as cores it is fastest alone and collapses beside another busy process, because waiting threads
spin (62 → 20 tokens/s measured on two cores). Threads that soon sleep cost a few percent alone and keep half the speed
under load. Fewer threads may beat both on a shared machine, so the choice is measured: a second or so a candidate.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from engines.interface import Sampling
from engines.llamacpp import LlamaCppEngine
from engines.llamaserver import LlamaServer, Threading

PROMPT = "Count the stars: one, two, three,"
TOKENS = 12
"""Tokens of one timed trial: a tenth of a second for a small model, two for one of 3B on two cores."""


@dataclass(frozen=True)
class Trial:
    """One candidate and what it reached."""

    choice: Threading
    tokens_per_second: float


def candidates(cores: int) -> list[Threading]:
    """All cores spinning and patient, then half and a quarter of them."""
    counts = sorted({cores, max(1, cores // 2), max(1, cores // 4)}, reverse=True)
    return [Threading(cores), Threading(cores, patient=True), *(Threading(count) for count in counts[1:])]


def measured(path: Path, tokens: int = TOKENS) -> list[Trial]:
    """Every candidate's decoding speed on this file, fastest first."""
    trials = []
    for choice in candidates(len(os.sched_getaffinity(0))):
        server = LlamaServer(path, context=256, threading_choice=choice)
        engine = LlamaCppEngine(server, reuse=False)
        try:
            trials.append(Trial(choice, max(_speed(engine, tokens), _speed(engine, tokens))))
        finally:
            engine.close()
    return sorted(trials, key=lambda trial: -trial.tokens_per_second)


def calibrated(path: Path) -> Threading:
    """The fastest choice for this file now; remembered while this process lives."""
    stat = path.stat()
    return _calibrated(str(path.resolve()), stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _calibrated(path: str, changed_ns: int) -> Threading:
    del changed_ns  # only the memory's key: a changed file is tried again
    return measured(Path(path))[0].choice


def _speed(engine: LlamaCppEngine, tokens: int) -> float:
    stream = engine.stream_text(PROMPT, Sampling(max_tokens=tokens, ignore_end=True))
    for _ in stream:
        pass
    times = stream.token_seconds
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
