"""How long a measurement would take, judged by those that the store holds. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from results.records import Evaluation

LEAST_SECONDS = 5.0
"""Loading a model takes so long whatever is asked of it."""


def duration(seconds: float) -> str:
    """`48 s`, `12 min` or `3.5 h`, whichever a person would say."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def seconds_to_measure(benchmark: str, before: Sequence[Evaluation], items: int | None = None) -> float | None:
    """Seconds that one model takes; None where nothing was measured by it here.

    before: the store's evaluations. items: how many, where not as many as the one that is gone by.
    A batch measures several models in one go: the time of each is its share of those that ran beside it.
    """
    done = [one for one in before if one.benchmark == benchmark and one.status == "finished" and _length(one) > 0]
    if not done:
        return None
    found: list[float] = []
    for one in done[-20:]:
        if batch := one.details.get("batch"):  # the time of asking alone, however often it was resumed
            share, count = batch["seconds"] / batch["models"], batch["answers"] / batch["models"]
        else:
            share = _length(one) / max(1, sum(_beside(one, other) for other in done))
            count = max((score.n for score in one.scores), default=0)
        found.append(share * (items / count if items and count else 1.0))
    return max(LEAST_SECONDS, statistics.median(found))


def _length(one: Evaluation) -> float:
    if one.started_at is None or one.finished_at is None:
        return 0.0
    return (one.finished_at - one.started_at).total_seconds()


def _beside(one: Evaluation, other: Evaluation) -> bool:
    """Whether two ran in one batch: the later began in the first tenth of the earlier, on the same machine."""
    if one.machine_id != other.machine_id or one.started_at is None or other.started_at is None:
        return False
    apart = abs((one.started_at - other.started_at).total_seconds())
    return apart <= 0.1 * min(_length(one), _length(other))
