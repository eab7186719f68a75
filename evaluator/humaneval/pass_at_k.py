"""Verdicts become pass@k with intervals.

An `error` is our own failure: it is in no numerator and in no denominator, and a task with nothing else counts nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from results import Outcome, Score
from results.analysis.statistics import pass_at_k, share_interval, wilson_interval


def scores_of(outcomes: Sequence[Outcome], ks: Sequence[int], clean: Collection[str] | None = None) -> list[Score]:
    """`pass@k` for each k that the samples allow, `pass@k_clean` over the clean tasks where these are known, and
    `pass@k_base` by the benchmark's own tests where the verdicts are by EvalPlus's additional ones too."""
    own = [
        replace(one, verdict=None if one.verdict == "error" else one.details["base_verdict"])
        for one in outcomes
        if one.details.get("base_verdict")
    ]
    scores = []
    for suffix, chosen in (("", None), ("_clean", clean), ("_base", None)):
        if (suffix == "_clean" and chosen is None) or (suffix == "_base" and not own):
            continue
        counts = _counts(own if suffix == "_base" else outcomes, chosen)
        for k in ks:
            usable = [(n, c) for n, c in counts.values() if n >= k]
            if usable:
                scores.append(_score(f"pass@{k}{suffix}", usable, k))
    return scores


def _counts(outcomes: Sequence[Outcome], items: Collection[str] | None) -> dict[str, tuple[int, int]]:
    """Task → (samples with a verdict, samples that passed)."""
    counts: dict[str, tuple[int, int]] = {}
    for outcome in outcomes:
        if outcome.verdict in (None, "error") or (items is not None and outcome.item not in items):
            continue
        n, c = counts.get(outcome.item, (0, 0))
        counts[outcome.item] = (n + 1, c + (outcome.verdict == "passed"))
    return counts


def _score(metric: str, counts: Sequence[tuple[int, int]], k: int) -> Score:
    """Wilson's interval for one sample a task; else that of the mean over tasks, whose samples are not independent."""
    if all(n == 1 for n, _ in counts):
        passed = sum(c for _, c in counts)
        return Score(metric, passed / len(counts), *wilson_interval(passed, len(counts)), len(counts))
    mean = share_interval([pass_at_k(n, c, k) for n, c in counts])
    return Score(metric, mean.value, mean.low, mean.high, len(counts))
