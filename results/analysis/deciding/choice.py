"""Three verdicts from differences: ship one, a tie that ships the cheaper, or not enough data. Pure.

    ship              the best is better than each of the others
    tie               no other is better by the margin than the one that is shipped: the cheapest of which that is shown
    not enough data   neither can be shown; the highest score is a guess and no choice

"Not told apart" is not "as good". With few items nothing can be told apart, so whoever ships the cheapest of what
cannot be told apart ships the worst: of two models 10 points apart in 99 of 100 worlds with 16 tasks.

What is promised, at 95 %: a model is called better than each other by mistake in at most one world of twenty, and a
model that is worse than another by more than the margin is shipped as tied in at most one of twenty.

- Better than each other is an intersection of hypotheses (Berger 1982): each comparison at ALPHA, none adjusted. A
  model that fails everything is beaten by whoever beats anybody, so adding it changes nothing.
- Tied is shown by non-inferiority to *every* other, one-sided at ALPHA / 2, so that the two-sided interval that is
  printed ends within the margin. It is asked of the best at that level; of the cheaper ones one is taken after looking
  at all: Bonferroni over them, without those that are shown to be worse than the margin.
- Behind the best is judged step by step: the one with the smallest p against all pairs of models, then without it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scipy import special

from results.analysis.findings import ALPHA, Kind

POWER = 0.8
"""The chance that the items said to be needed show what they are meant to show."""

CHEAPER = 0.95
"""A cost is lower if it is at most this share of the other: files and seconds that differ by less are equal."""


class Lead(Protocol):
    """How far a is ahead of b, in goodness: positive where a is better."""

    @property
    def value(self) -> float:
        """The estimate."""

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference."""

    @property
    def items(self) -> int:
        """Items that it rests on."""

    @property
    def too_few(self) -> str:
        """Why no number of items like these could show anything; empty where they could."""

    def interval(self, level: float) -> tuple[float, float]:
        """(low, high), two-sided, by the test that `p_value` is of."""

    def lies_above(self, shift: float, tail: float) -> bool:
        """Whether the interval that leaves out `tail` on either side lies above `shift`."""

    def p_at_most(self, shift: float) -> float:
        """One-sided p of "a is ahead by `shift` at most"."""


@dataclass(frozen=True)
class Cost:
    """What a model costs to run; None: not known."""

    bytes: float | None = None
    seconds: float | None = None

    def below(self, other: Cost) -> bool:
        """Whether it is known to be lower: fewer bytes; where those are equal, fewer seconds."""
        if self.bytes is None or other.bytes is None:
            return False
        if self.bytes <= CHEAPER * other.bytes or other.bytes <= CHEAPER * self.bytes:
            return self.bytes < other.bytes
        return self.seconds is not None and other.seconds is not None and self.seconds <= CHEAPER * other.seconds


@dataclass(frozen=True)
class Place:
    """How one model stands to the best."""

    behind: bool = False
    """Shown to be worse than the best."""
    p_adjusted: float = 1.0
    """The p-value of no difference from the best, adjusted for all that were looked at."""
    within: bool = False
    """Shown that no other model is better than it by the margin."""
    behind_at_most: float | None = None
    """The most that any other may be ahead of it, one-sided, adjusted; None where it was not asked."""


@dataclass(frozen=True)
class Choice:
    """The verdict and how each model stands."""

    kind: Kind
    best: str
    """The highest score."""
    chosen: str | None
    """What is shipped; None where the data do not suffice: then the best is a guess."""
    margin: float
    """The margin in the measure's unit: a share of 1 for passes, bits for bits per byte."""
    places: Mapping[str, Place] = field(default_factory=dict)
    family: int = 1
    """Cheaper models of which the tie was asked: their bounds are adjusted over them."""
    items_needed: int | None = None
    """Items in all after which a tie with the best could be shown with chance POWER; None where none is open."""


def choose(
    order: Sequence[str],
    lead: Callable[[str, str], Lead],
    costs: Mapping[str, Cost],
    margin: float,
    any_cost: bool = False,
    beaten: Mapping[str, float] | None = None,
) -> Choice:
    """The verdict over models in `order`, best score first; `lead(a, b)` tells how far a is ahead of b.

    `margin` is in the unit of the leads. any_cost: a tie is asked of dearer models too, because something other than
    cost will choose among those that tie. beaten: who a race has shown not to be the best, last in `order`, and the
    adjusted p-value: they are behind, and need no more comparing.
    Raises: ValueError without models or for a margin that is not positive.
    """
    if not order or not margin > 0:
        raise ValueError(f"a choice needs models and a margin above 0: {list(order)}, {margin}")
    lost = {one: Place(True, p_value) for one, p_value in (beaten or {}).items() if one in order[1:]}
    everyone, order = len(order), [one for one in order if one not in lost]
    best, others = order[0], list(order[1:])
    if not others:
        kind: Kind = "ship" if lost else "only one"
        return Choice(kind, best, best, margin, {best: Place(within=True), **lost})
    to_best = {one: lead(best, one) for one in others}
    cheaper = [
        one for one, found in to_best.items()
        if (any_cost or costs[one].below(costs[best])) and not found.lies_above(margin, ALPHA / 2)
    ]  # fmt: skip
    family = max(1, len(cheaper))
    tails = {best: ALPHA / 2, **dict.fromkeys(cheaper, ALPHA / 2 / family)}
    within = [one for one, tail in tails.items() if _within(one, order, lead, margin, tail)]
    places = {best: Place(), **_places(to_best, everyone), **lost}
    for one in within:
        bound, _ = _behind_at_most(one, order, lead, tails[one])
        places[one] = dataclasses.replace(places[one], within=True, behind_at_most=bound)
    if all(places[one].behind for one in others):
        return Choice("ship", best, best, margin, places, family)
    if within:
        return Choice("tie", best, _cheapest(within, costs), margin, places, family)
    bound, hardest = _behind_at_most(best, order, lead, tails[best])
    places[best] = Place(behind_at_most=bound)
    needed = _needed(to_best[hardest], margin, tails[best]) if hardest else 0
    return Choice("not enough data", best, None, margin, places, family, needed or None)


def _within(one: str, order: Sequence[str], lead: Callable[[str, str], Lead], margin: float, tail: float) -> bool:
    """Whether no other model is better than this one by the margin: each interval of that tail ends before it.

    An exact test passes at twice the tail wherever such an interval does (`PairedDifference.p_at_most`), so a model
    that is worse by the margin passes in at most that share of worlds.
    """
    return all(lead(one, rival).lies_above(-margin, tail) for rival in order if rival != one)


def _behind_at_most(one: str, order: Sequence[str], lead: Callable[[str, str], Lead], tail: float) -> tuple[float, str]:
    """The most that any other model may be ahead of this one, each at the one-sided level `tail`; and which that is."""
    bound, hardest = 0.0, ""
    for rival in order:
        if rival != one and not lead(one, rival).lies_above(-bound, tail):
            bound, hardest = max((bound, hardest), (-lead(one, rival).interval(1 - 2 * tail)[0], rival))
    return bound, hardest


def _places(to_best: Mapping[str, Lead], models: int) -> dict[str, Place]:
    """Who is behind the best of so many models.

    All are if each comparison alone says so. Else step by step: the smallest p times the number of pairs of models,
    then without that model: the best was picked after looking at all, which amounts to comparing all with all.
    """
    if all(_ahead(found) and found.p_value <= ALPHA for found in to_best.values()):
        return {one: Place(True, found.p_value) for one, found in to_best.items()}
    places: dict[str, Place] = {}
    left, running, shown = models, 0.0, True
    for one in sorted(to_best, key=lambda name: to_best[name].p_value):
        found = to_best[one]
        running = max(running, min(1.0, found.p_value * left * (left - 1) / 2))
        shown = shown and running <= ALPHA and _ahead(found)
        places[one] = Place(shown, running)
        left -= 1
    return places


def _ahead(found: Lead) -> bool:
    """Whether the best is ahead on enough items for a test to mean anything."""
    return found.value > 0 and not found.too_few


def _cheapest(within: Sequence[str], costs: Mapping[str, Cost]) -> str:
    """The first of `within`, best first, that no other is cheaper than."""
    chosen = within[0]
    for one in within[1:]:
        if costs[one].below(costs[chosen]):
            chosen = one
    return chosen


def _needed(found: Lead, margin: float, tail: float) -> int:
    """Items in all after which the leader is shown not to be worse than this rival by the margin, with chance POWER.

    Assumes that new items behave as these did: the same mean difference, the same spread. Normal approximation with the
    spread that the present interval implies.
    """
    if found.items < 2:
        return 0
    low, high = found.interval(0.95)
    if not math.isfinite(high - low):
        return 0
    error = (high - low) / 2 / float(special.ndtri(0.975))
    wanted = float(special.ndtri(1 - tail) + special.ndtri(POWER))
    return max(found.items + 1, math.ceil(found.items * (wanted * error / (margin + max(0.0, found.value))) ** 2))
