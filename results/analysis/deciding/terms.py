"""What a decision's measure, margin and models are called in sentences, with units."""

from __future__ import annotations

from results.analysis.findings import MARGIN, Candidate, Decision
from results.analysis.wording import NAMES

SIZES = {"humaneval": 164, "humaneval+": 164, "mbpp": 974, "mbpp+": 378}
"""Tasks that a benchmark has: more cannot be measured."""

METRICS = {"mean_share": "mean score"}
"""Metrics as they are called, where that is not their own name."""


def name(decision: Decision) -> str:
    """The deciding measure as it is called in sentences."""
    return NAMES.get(decision.benchmark, f"{decision.benchmark} {METRICS.get(decision.metric, decision.metric)}")


def measure(decision: Decision) -> str:
    """The deciding test."""
    return NAMES.get(decision.benchmark, decision.benchmark).removesuffix(" pass@1")


def unit(benchmark: str) -> str:
    """What a benchmark's items are called."""
    return "rows" if benchmark == "heldout" else "tasks" if benchmark in SIZES else "items"


def top(decision: Decision) -> str:
    """What the best has: of bits per byte, less is better."""
    return "fewest bits per byte" if decision.metric == "bits_per_byte" else "highest score"


def other(decision: Decision) -> str:
    """Whom "no other" is about: those who are out may be better, and are not asked."""
    return "other" if all(one.qualifies for one in decision.candidates) else "other that meets the limits"


def level(decision: Decision) -> list[Candidate]:
    """Models that might be shipped and have the best's score, the best first; alone, where none has."""
    best = decision.candidate(decision.best or "")
    equal = [one for one in decision.candidates if one.qualifies and one.quality and not _gone(one)]
    return [one for one in equal if best.quality and one.quality and one.quality.value == best.quality.value] or [best]


def _gone(one: Candidate) -> bool:
    """Whether it left a race: its score is of fewer items."""
    return one.raced is not None and one.raced.left is not None


def margin_text(decision: Decision) -> str:
    """The margin as it is used, e.g. "3 points" or "3 % of the bits per byte"."""
    stated = asked_margin(decision)
    if decision.metric == "bits_per_byte":
        return f"{100 * stated:.3g} % of the best's bits per byte"
    used = stated if none_right(decision) else decision.margin or stated
    if used < stated:
        return f"{100 * used:.3g} points (a quarter of the best's own score)"
    return f"{100 * used:.3g} points"


def asked_margin(decision: Decision) -> float:
    """The margin as it was stated, a share of 1."""
    return MARGIN if decision.question.margin is None else decision.question.margin


def share(decision: Decision, margin: float) -> str:
    """A margin as it would be stated."""
    return f"{100 * margin:.3g} " + ("%" if decision.metric == "bits_per_byte" else "points")


def none_right(decision: Decision) -> bool:
    """Whether the best has nothing right, so that nobody has."""
    best = next((one.quality for one in decision.candidates if one.model_id == decision.best), None)
    return decision.metric != "bits_per_byte" and best is not None and best.value == 0


def all_right(decision: Decision) -> bool:
    """Whether each that is compared has everything right."""
    compared = [one.quality for one in decision.candidates if one.qualifies and one.quality is not None]
    return decision.metric != "bits_per_byte" and bool(compared) and all(one.value == 1 for one in compared)
