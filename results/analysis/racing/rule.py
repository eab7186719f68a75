"""Who goes on, who leaves and why, and when a race is decided. Pure: the same outcomes give the same race again.

Models are asked the same items in one order. After each block

    worse      a model leaves when it is shown that some other is better. Against "no other is better than it" bets are
               laid on the difference to whoever led before the block (`betting`); capital / (models not yet shown to be
               worse) is compared with 1 / ALPHA: step by step as by Holm, which bets that are looked at after every
               item allow (Vovk and Wang 2021, doi:10.1214/20-AOS2020). That any model leaves that no other is better
               than happens in at most one race of twenty, whatever their number.
    budget     with a stated number of answers the lowest leaves at the end of each phase: synchronized successive
               rejects (Lyu et al. 2026, arXiv 2606.07726, after Audibert, Bubeck and Munos 2010). With K models, phase
               k of K - 1 ends after s / (K + 1 - k)**1.35 items, s such that the budget is spent: sequential
               elimination that is not linear (Shahrampour, Noshad and Tarokh 2017), which leaves more for the last two.
               That shows nothing: the model that is left is a choice by budget.
    tie        the race ends when the leader and every other one that is in are shown to differ by less than the
               margin: no confidence sequence, each at ALPHA / models, reaches it.

Not covered: asking (`evaluator.racing`), the verdict on what was measured (`results.analysis.deciding`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from results.analysis.confidence import Floats, interval
from results.analysis.findings import ALPHA
from results.analysis.racing.betting import SHARES, Bets, log_capital, shares
from results.analysis.racing.entry import Why
from results.analysis.racing.standing import Departure, End, RaceStanding, RaceTerms

FIRST_BLOCK = 16
"""Items of the first block: of fewer no gap below some 40 points can be shown."""

GROWTH = 1.06
"""A block ends after so many times as many items as the one before, and at least FIRST_BLOCK more."""

STEEPNESS = 1.35
"""How fast a budget's phases grow. Simulated over 8 to 24 siblings, 1.25 to 1.5 lose least; 1 is successive rejects."""


def looks(terms: RaceTerms, models: int) -> tuple[int, ...]:
    """After how many items the race is looked at, ascending: the ends of blocks, and of phases of a budget."""
    ends, last = set[int](), 0
    while last < terms.most:
        last = min(terms.most, max(last + FIRST_BLOCK, math.ceil(last * GROWTH)))
        ends.add(last)
    phases = phase_ends(terms, models)
    if phases:  # a look that saves next to nothing costs a batch of its own
        apart = FIRST_BLOCK // 2
        ends = {end for end in ends if end < phases[-1] and min(abs(end - phase) for phase in phases) >= apart}
    return tuple(sorted(ends | set(phases)))


def phase_ends(terms: RaceTerms, models: int) -> tuple[int, ...]:
    """(models - 1,) items after which the lowest leaves; empty without a budget.

    Raises: ValueError for a budget that does not ask each model one item.
    """
    if terms.budget is None or models < 2:
        return ()
    if terms.budget < 2 * models:
        raise ValueError(
            f"a budget of {terms.budget} answers is too little for {models} models: 2 answers each, at least"
        )
    weights = np.array([(models + 1 - phase) ** -STEEPNESS for phase in range(1, models)])

    def ends(scale: float) -> Floats:
        return np.clip(np.floor(scale * weights), 1, terms.most)

    def spent(scale: float) -> float:
        """Answers: each phase's of the one that leaves, the last of two."""
        return float(ends(scale).sum() + ends(scale)[-1])

    enough, too_many = 0.0, terms.budget / weights[-1] + terms.most / weights[0]
    for _ in range(60):
        middle = (enough + too_many) / 2
        enough, too_many = (middle, too_many) if spent(middle) <= terms.budget else (enough, middle)
    return tuple(int(end) for end in ends(enough))


def stand(names: Sequence[str], scores: Floats, terms: RaceTerms, at: Sequence[int] | None = None) -> RaceStanding:
    """The race so far, looked at after each of `at` items (default: `looks`) that all who are in have.

    names (models,), distinct; scores (models, items) in [0, 1] in the order that they are asked. NaN: not asked, or an
    error of ours, which counts for nobody. Equal scores are told apart by name where one must leave, never to show
    anything. Raises: ValueError for a budget that is too little (`phase_ends`).
    """
    race = _Race(names, scores, terms)
    for look in looks(terms, len(names)) if at is None else at:
        if look > scores.shape[1] or race.end != "still open":
            break
        race.advance(look)
    return race.standing()


class _Race:
    """The replay: capital of the bets against "no other is better than it", model by model."""

    def __init__(self, names: Sequence[str], scores: Floats, terms: RaceTerms) -> None:
        self._names, self._scores, self._terms = tuple(names), scores, terms
        self._capital = np.zeros((len(names), SHARES))
        """(models, shares) logarithms."""
        self._in = list(range(len(names)))
        self._left: list[Departure] = []
        self._items = 0
        self._phases = list(phase_ends(terms, len(names)))
        self.end: End = "still open" if len(names) > 1 else "one left"

    def advance(self, look: int) -> None:
        """Take the items up to `look`, and judge."""
        self._bet(look)
        self._items = look
        self._worse()
        while self._phases and self._phases[0] <= look:
            self._phases.pop(0)
            if len(self._in) > len(self._phases) + 1:
                self._lowest()
        self.end = self._ended()

    def _bet(self, look: int) -> None:
        """Each model that is in against the mean of the best others before these items; all, where none is ahead."""
        block, means = self._scores[:, self._items : look], self._means(self._scores[:, : self._items])
        inside = np.array(self._in)
        best = inside[means[inside] >= means[inside].max() - 1e-12]
        others = inside[~np.isin(inside, best)]
        rivals = np.broadcast_to(block[best].mean(axis=0), (len(inside), block.shape[1])).copy()
        if len(best) > 1:  # each of the best against the rest of them
            own = np.isin(inside, best)
            rivals[own] = (block[best].sum(axis=0) - block[best]) / (len(best) - 1)
        elif len(others):
            second = others[means[others] >= means[others].max() - 1e-12]
            rivals[inside == best[0]] = block[second].mean(axis=0)
        ahead = np.nan_to_num(rivals - block[inside])
        staked = shares(self._terms.most)[:, None]
        self._capital[inside] += np.log1p(staked * ahead[:, None, :]).sum(axis=2)

    def _means(self, asked: Floats) -> Floats:
        """(models,) mean scores; 0 of no items."""
        counts = (~np.isnan(asked)).sum(axis=1)
        return np.asarray(np.nansum(asked, axis=1) / np.maximum(counts, 1))

    def _p_values(self) -> Floats:
        """(models,) p-values of "no other is better than it", adjusted over those not shown to be worse."""
        open_ = len(self._names) - sum(one.why == "worse" for one in self._left)
        return np.asarray(np.minimum(1.0, open_ * np.exp(-np.minimum(700.0, log_capital(self._capital)))))

    def _worse(self) -> None:
        while len(self._in) > 1:
            found = self._p_values()
            model = min(self._in, key=lambda one: (found[one], self._names[one]))
            if found[model] > ALPHA:
                return
            self._leave(model, "worse")

    def _lowest(self) -> None:
        means, found = self._means(self._scores[:, : self._items]), self._p_values()
        self._leave(min(self._in, key=lambda one: (means[one], found[one], self._names[one])), "budget")

    def _leave(self, model: int, why: Why) -> None:
        self._left.append(Departure(self._names[model], self._items, why, float(self._p_values()[model])))
        self._in.remove(model)

    def _ended(self) -> End:
        if len(self._in) == 1:
            return "one left" if all(one.why == "worse" for one in self._left) else "budget"
        if self._within_margin():
            return "tie"
        return "no more items" if self._items >= self._terms.most else "still open"

    def _within_margin(self) -> bool:
        """Whether each that is in is shown to differ from the leader by less than the margin."""
        asked, tail = self._scores[:, : self._items], ALPHA / len(self._names)
        means, (leader, *others) = self._means(asked), self._ranked()
        if means[leader] - means[others[-1]] >= self._terms.margin:  # an interval holds its own middle
            return False
        for other in reversed(others):
            bets = self._bets(asked, leader, other)
            if bets.above(self._terms.margin) > tail or bets.below(-self._terms.margin) > tail:
                return False
        return True

    def _ranked(self) -> list[int]:
        means = self._means(self._scores[:, : self._items])
        return sorted(self._in, key=lambda one: (-means[one], self._names[one]))

    def _bets(self, asked: Floats, a: int, b: int) -> Bets:
        ahead = asked[a] - asked[b]
        return Bets.of(ahead[~np.isnan(ahead)], self._terms.most)

    def standing(self) -> RaceStanding:
        """What there is to say."""
        ranked, asked = self._ranked(), self._scores[:, : self._items]
        lead = None
        if len(ranked) > 1 and self._items:
            bets = self._bets(asked, ranked[0], ranked[1])
            means = self._means(asked)
            lead = (float(means[ranked[0]] - means[ranked[1]]), *interval(bets, 0.95))
        own = {one.model: one.items for one in self._left}
        scores = {
            name: float(self._means(self._scores[place : place + 1, : own.get(name, self._items)])[0])
            for place, name in enumerate(self._names)
        }
        inside = tuple(self._names[one] for one in ranked)
        return RaceStanding(inside, tuple(self._left), self._items, scores, self.end, lead)
