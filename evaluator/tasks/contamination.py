"""Which tasks a model's training data held, so that a score can be given on all tasks and on clean ones.

The overlap itself is found where the data is prepared and stored as the report "contamination" of a run; a merged or
exported model has its run's. A model without a run (a base) has none: what its makers trained on is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from results import Model, Store


def clean_tasks(
    model: Model, benchmark: str, tasks: Sequence[str], store: Store
) -> tuple[frozenset[str] | None, dict[str, Any]]:
    """(clean tasks, what the evaluation's details say of the others); (None, {}) where nothing was checked.

    The report holds `benchmark`, `items` (contaminated tasks) and `tasks` (each one's overlap and rows), and the same
    of further benchmarks under `others`. HumanEval+ has HumanEval's tasks.
    """
    report = store.reports.get(model.run_id, "contamination") if model.run_id else None
    entries = [report.payload, *(report.payload.get("others") or ())] if report is not None else []
    entry = next((entry for entry in entries if entry.get("benchmark") == benchmark.removesuffix("+")), None)
    if entry is None:
        return None, {}
    dirty = frozenset(tasks) & frozenset(entry.get("items") or ())
    found: Mapping[str, Any] = entry.get("tasks") or {}
    details = {
        "benchmark": benchmark,
        "items": sorted(dirty),
        "tasks": {task: found.get(task) for task in sorted(dirty)},
    }
    return frozenset(tasks) - dirty, details
