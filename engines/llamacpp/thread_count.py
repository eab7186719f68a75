"""How many threads llama.cpp should use on this machine right now, found by trying.

With as many threads as cores it is fastest alone and collapses beside another busy process, because waiting threads
spin (62 → 20 tokens/s measured on two cores). Threads that soon sleep cost 1 to 11 % alone and keep half the speed
under load. Fewer threads may beat both on a shared machine, so the choice is measured.

Speeds of one machine drift by the second, so nothing is judged by one trial: all candidates are tried in turn, those
that come near the best again in the opposite order and for longer, and the median counts. A large model is judged by
fewer tokens, since each takes longer than the drift that more of them would even out, and sooner.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from engines.gguf_format.header import read_header
from engines.interface import Sampling
from engines.llamacpp.engine import LlamaCppEngine
from engines.llamacpp.server_process import Threading
from results import digest, processors

PROMPT = "Count the stars: one, two, three,"
TOKENS = 12
"""Tokens of one timed answer of the first round: a tenth of a second for a small model."""
ANSWER_SECONDS = 0.5
"""What such an answer takes at most: slower models are timed over fewer tokens, at least `FEWEST`."""
FEWEST = 4
FILE_SECONDS = 20.0
"""After this much of trials for each file no further round begins: most of a large model's are spent on loading it."""
NEAR = (0.6, 0.8, 0.9)
"""Share of the best speed that a candidate must have reached after each round to be tried in the next one, in a process
of its own again: beside other work a single trial may be a third off."""

Opener = Callable[[Threading], LlamaCppEngine]


@dataclass(frozen=True)
class Trial:
    """One candidate and what it reached."""

    key: str
    """Which of the files."""
    choice: Threading
    tokens_per_second: float
    """Median of its trials."""


def candidates(cores: int) -> list[Threading]:
    """All cores spinning and patient, then half and a quarter of them."""
    counts = sorted({cores, max(1, cores // 2), max(1, cores // 4)} - {cores}, reverse=True)
    return [Threading(cores), Threading(cores, patient=True), *(Threading(count) for count in counts)]


def measured(openers: Mapping[str, Opener], tokens: int = TOKENS) -> list[Trial]:
    """Decoding speed of every file with every choice of threads, fastest first; one process at a time.

    The first was tried to the end; one that was dropped early may have a higher, chancier figure.
    """
    choices = candidates(processors())
    tried: dict[tuple[str, Threading], list[float]] = {(key, choice): [] for key in openers for choice in choices}
    left, began = list(tried), time.monotonic()
    for times, near in enumerate((*NEAR, 1.0), 1):
        for key, choice in left:
            tried[key, choice].append(_speed(openers[key], choice, tokens * times))
        best = max(statistics.median(tried[one]) for one in left)
        left = [one for one in reversed(left) if statistics.median(tried[one]) >= near * best]
        if len(left) == 1 or time.monotonic() - began > FILE_SECONDS * len(openers):
            break
    trials = [(one in left, statistics.median(speeds), *one) for one, speeds in tried.items()]
    trials.sort(key=lambda trial: trial[:2], reverse=True)
    return [Trial(key, choice, speed) for _, speed, key, choice in trials]


def calibrated(path: Path) -> Threading:
    """The fastest choice for this file now; remembered while this process lives.

    Files of equal tensors (a base and what is merged into it) are equally fast, and tried once for all of them.
    """
    tensors = read_header(path).tensors
    key = digest(sorted((tensor.name, tensor.shape, tensor.kind) for tensor in tensors))
    if key not in _calibrated:
        opener = {key: lambda choice: LlamaCppEngine.open(path, **trial_options(choice))}
        _calibrated[key] = measured(opener)[0].choice
    return _calibrated[key]


_calibrated: dict[str, Threading] = {}


class TrialOptions(TypedDict):
    """How an engine is opened to be timed."""

    context: int
    threading_choice: Threading
    reuse: bool


def trial_options(choice: Threading) -> TrialOptions:
    """A short context, and nothing of earlier answers reused."""
    return {"context": 256, "threading_choice": choice, "reuse": False}


def _speed(opener: Opener, choice: Threading, tokens: int) -> float:
    """Tokens per second of the faster of two answers in a new process, which a first short one warms up."""
    engine = opener(choice)
    try:
        fitting = int(decoding_speed(engine, FEWEST) * ANSWER_SECONDS * tokens / TOKENS)
        tokens = max(FEWEST, min(tokens, fitting))
        return max(decoding_speed(engine, tokens), decoding_speed(engine, tokens))
    finally:
        engine.close()


def decoding_speed(engine: LlamaCppEngine, tokens: int) -> float:
    """Tokens per second of one answer, its first token not counted."""
    stream = engine.stream_text(PROMPT, Sampling(max_tokens=tokens, ignore_end=True))
    for _ in stream:
        pass
    times = stream.token_seconds
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
