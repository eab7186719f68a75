"""Races in words, made of their fields alone: while one runs, and in a decision whose outcomes come from one."""

from __future__ import annotations

from collections.abc import Mapping

from results.analysis.findings import Candidate, Decision, Tie
from results.analysis.racing.standing import Departure, RaceStanding, RaceTerms
from results.analysis.wording import listed, p_text, points, spread


def gone(one: Candidate) -> bool:
    """Whether a model left a race before the end: its score is one of fewer items."""
    return one.raced is not None and one.raced.left is not None


def shown_worse(one: Candidate) -> bool:
    """Whether a race showed that some other is better."""
    return one.raced is not None and one.raced.left == "worse"


def race_text(decision: Decision) -> list[str]:
    """That the items were raced over, and who left; nothing where none were."""
    raced = [one for one in decision.candidates if one.raced is not None and one.quality is not None]
    if not raced:
        return []
    most = max(one.raced.most for one in raced if one.raced)
    said = [
        f"Measured until decided: {decision.items:,} of {most:,} items, in an order that was drawn before; all "
        "intervals and p-values hold at every look."
    ]
    worse = [f"{one.model} after {one.raced.items:,}" for one in raced if one.raced and one.raced.left == "worse"]
    if worse:
        said.append(f"Shown to be worse than another and asked no more: {listed(worse)}.")
    cut = [f"{one.model} after {one.raced.items:,}" for one in raced if one.raced and one.raced.left == "budget"]
    if cut:
        said.append(f"The lowest when a share of the budget was spent, which shows nothing: {listed(cut)}.")
    return said


def raced_standing(decision: Decision, tie: Tie, best: Candidate) -> str | None:
    """How a model that left a race stands, in one sentence; None for one that did not."""
    one = decision.candidate(tie.model_id)
    if one.raced is None or one.raced.left is None:
        return None
    low, high = sorted((-tie.contrast.low, -tie.contrast.high))
    gap = f"{points(tie.contrast, -tie.contrast.difference)} against {best.model}"
    ends = spread(tie.contrast, low, high)
    on = f"on the {tie.contrast.items:,} items that both were asked {gap}, 95 % interval {ends}"
    after = f"{one.model} left the race after {one.raced.items:,} of {one.raced.most:,} items"
    if one.raced.left == "budget":
        return f"{after}, the lowest when a share of the budget was spent; {on}."
    models = f"over its {one.raced.models} models"
    return f"{after}: some other is shown to be better ({p_text(one.raced.p_value)}, adjusted {models}); {on}."


def least_certain(decision: Decision) -> str | None:
    """What "better than each other" rests on where a race showed all others to be worse; None where it did not."""
    others = [decision.candidate(tie.model_id) for tie in decision.ties]
    if not others or not all(shown_worse(one) for one in others):
        return None
    last = max(others, key=lambda one: one.raced.p_value if one.raced else 0.0)
    assert last.raced is not None
    return f"of each other a race showed that it is not the best, at {p_text(last.raced.p_value)} at most, adjusted"


def departure_text(gone: Departure, names: Mapping[str, str], models: int) -> str:
    """Who left, when and why."""
    said = f"{names[gone.model]} leaves after {gone.items:,} items: "
    if gone.why == "worse":
        return f"{said}some other is shown to be better ({p_text(gone.p_value)}, adjusted over {models} models)"
    return f"{said}the lowest when a share of the budget was spent, which shows nothing ({p_text(gone.p_value)})"


def standing_text(standing: RaceStanding, names: Mapping[str, str], terms: RaceTerms) -> str:
    """Who is in, who leads by how much, and how many items that rests on."""
    inside = [names[one] for one in standing.inside]
    said = f"{standing.items:,} of at most {terms.most:,} items: {len(inside)} in"
    if standing.lead is None:
        return f"{said}, {listed(inside)}"
    value, low, high = (100 * one for one in standing.lead)
    ends = f"(95 % interval {low:+.1f} to {high:+.1f})"
    behind = f"{inside[0]} leads {inside[1]} by {value:.1f} points {ends}"
    if value == 0:
        behind = f"{inside[0]} and {inside[1]} are equal {ends}"
    rest = f"; then {listed(inside[2:])}" if inside[2:] else ""
    return f"{said}, {behind}{rest}"


def end_text(standing: RaceStanding, names: Mapping[str, str], terms: RaceTerms) -> str:
    """How a race ended, in one sentence."""
    inside = [names[one] for one in standing.inside]
    after = f"after {standing.items:,} of {terms.most:,} items"
    margin = f"{100 * terms.margin:.3g} points"
    said = {
        "one left": f"decided {after}: {inside[0]} is left, and of each other it is shown that some model is better",
        "tie": f"decided {after}: {listed(inside)} differ by less than {margin}",
        "budget": f"the budget is spent {after}: {inside[0]} is left, which is a choice and shows nothing",
        "no more items": f"all {standing.items:,} items are asked, and it is open between {listed(inside)}: neither is "
        f"one shown to be worse than another, nor that they differ by less than {margin}",
        "still open": f"still open {after} between {listed(inside)}",
    }
    return said[standing.end]
