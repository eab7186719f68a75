"""lm-evaluation-harness's samples: one document a line, with its answer, its target and its metrics.

    {"doc_id": 0, "doc": {…}, "target": "…", "resps": […], "filtered_resps": […], "filter": "none",
     "metrics": ["acc"], "doc_hash": "…", "acc": 1.0}

With several filters each document has a line for each. Before 0.4.2 the file is one JSON array and names no metrics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results.importers.parcels import canonical
from results.importers.reading import number, read_lines
from results.importers.refusals import refused
from results.importers.scores.answers import answer_details, benchmark_task
from results.records import Outcome, Score, digest

_EVERY = "doc_id doc target arguments resps filtered_resps filter metrics doc_hash prompt_hash target_hash"
FIELDS = frozenset(_EVERY.split())
"""What every line has; with no list of metrics, other numbers are metrics."""

LONGEST_TARGET = 2000
"""Characters of a target that are stored."""


@dataclass(frozen=True)
class Samples:
    """A task's documents."""

    outcomes: tuple[Outcome, ...]
    scores: tuple[Score, ...]
    """Means of the metrics."""
    digest: str
    """The digest of everything that the lines say."""


def is_sample(row: Any) -> bool:
    """Whether a row is a document's."""
    return isinstance(row, Mapping) and "doc_id" in row and ("resps" in row or "filtered_resps" in row)


def read_samples(
    path: Path, rows: Sequence[tuple[int, Any]] | None, preferred: Sequence[str], programs: bool
) -> Samples:
    """The documents of one file. preferred: metrics in order, of which the first decides; programs: they are code.

    Raises: ImportRefused naming the file and the line.
    """
    given = list(read_lines(path)) if rows is None else rows
    documents: dict[tuple[str, int], dict[str, Any]] = {}
    metrics: dict[tuple[str, int], dict[str, float]] = {}
    seen: dict[tuple[str, str], int] = {}
    for line, row in given:
        if not is_sample(row):
            raise refused(path, f"line {line} is no document's: no doc_id with resps")
        item, filtered = _item(row, programs), str(row.get("filter") or "")
        sample = seen.get((item, filtered), 0)
        seen[item, filtered] = sample + 1
        documents.setdefault((item, sample), dict(row))
        metrics.setdefault((item, sample), {}).update(_metrics(row, filtered))
    labels = list(dict.fromkeys(label for one in metrics.values() for label in one))
    if not labels:
        raise refused(path, "no line has a metric that is one number")
    first = next((one for one in preferred if one in labels), labels[0])
    decided = all(one.get(first) in (0, 1) for one in metrics.values())
    outcomes = []
    for key, document in documents.items():
        value = metrics[key].get(first)
        verdict = None if not decided or value is None else "passed" if value else "wrong"
        details = {**_details(document, programs), "metric": first, "metrics": metrics[key]}
        outcomes.append(Outcome(key[0], key[1], verdict, value, canonical(details)))  # type: ignore[arg-type]
    scores = tuple(_mean(label, [one[label] for one in metrics.values() if label in one]) for label in labels)
    return Samples(tuple(outcomes), scores, digest(canonical([row for _, row in given])))


def _item(row: Mapping[str, Any], programs: bool) -> str:
    """A document's name in every model's file: its number and a digest of what it says."""
    document = row.get("doc")
    if programs and isinstance(document, Mapping) and isinstance(document.get("task_id"), str):
        return benchmark_task(document["task_id"])
    told = row.get("doc_hash")
    said = told if isinstance(told, str) and told else digest(canonical(document))
    return f"{str(row['doc_id'])[:100]} {said[:8]}"


def label_of(metric: str, filtered: str) -> str:
    """A metric with the filter that it was taken behind, where there are several."""
    return metric if filtered in ("", "none", "create_test") else f"{metric} ({filtered})"


def _metrics(row: Mapping[str, Any], filtered: str) -> dict[str, float]:
    names = row.get("metrics")
    known = names if isinstance(names, list) else [key for key in row if key not in FIELDS]
    found = {}
    for name in known:
        value = row.get(str(name))
        value = float(value) if isinstance(value, bool) else number(value)
        if value is not None:
            found[label_of(str(name), filtered)] = value
    return found


def _details(row: Mapping[str, Any], programs: bool) -> dict[str, Any]:
    """The answer, as far as it is one text, and the target."""
    answer = row.get("filtered_resps") or row.get("resps")
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    details: dict[str, Any] = {"target": str(row.get("target", ""))[:LONGEST_TARGET]}
    if isinstance(answer, str):
        details |= answer_details(answer, "solution") if programs else {"answer": answer}
    return details


def _mean(label: str, values: Sequence[float]) -> Score:
    from results.analysis import statistics  # scipy: a second for those who import no scores

    if all(value in (0, 1) for value in values):
        return Score(
            label, sum(values) / len(values), *statistics.wilson_interval(int(sum(values)), len(values)), len(values)
        )
    spread = statistics.graded_interval(values)
    low, high = (end if math.isfinite(end) else None for end in (spread.low, spread.high))
    return Score(label, spread.value, low, high, len(values))
