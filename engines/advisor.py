"""Which threads and which form answer fastest on this machine: for `bakeoff doctor --engines MODEL`.

Every candidate is really run for a moment; the advice is what was measured, with the figures it rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines.header import read_header
from engines.threads import TOKENS, measured


@dataclass(frozen=True)
class Advice:
    """One file with one choice of threads."""

    path: str
    bytes: int
    threads: int
    patient: bool
    """Waiting threads sleep: for machines with other work."""
    tokens_per_second: float
    best: bool


def advise(files: list[Path], tokens: int = TOKENS) -> list[Advice]:
    """All candidates for the files (forms of one model), fastest first; the first is `best`.

    Raises: FileRefused, EngineError.
    """
    rows = [(trial.tokens_per_second, file, trial.choice) for file in files for trial in measured(file, tokens)]
    rows.sort(key=lambda row: -row[0])
    return [
        Advice(str(file), read_header(file).weights_bytes, choice.threads, choice.patient, speed, place == 0)
        for place, (speed, file, choice) in enumerate(rows)
    ]
