"""Who goes on, who leaves and why, and when a race is decided. Pure: the same outcomes give the same race again.

Models are asked the same items in one order. After each block

    worse      a model leaves when it is shown that some other is better. Against "no other is better than it" bets are
               laid on the difference to whoever led before the block (`betting`); capital / (models not yet shown to be
               worse) is compared with 1 / ALPHA: step by step as by Holm, which bets that are looked at after every
               item allow (Vovk and Wang 2021, doi:10.1214/20-AOS2020). That any model leaves that no other is better
               than happens in at most one race of twenty, whatever their number.
    budget     with a stated number of answers the lowest leaves, the sooner the further behind it is (`budget`). That
               shows nothing: the model that is left is a choice by budget.
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
from results.analysis.racing.budget import LATEST, leaves_after, phase_ends
from results.analysis.racing.entry import Why
from results.analysis.racing.standing import Departure, End, RaceStanding, RaceTerms

FIRST_BLOCK = 16
"""Items of the first block: of fewer no gap below some 40 points can be shown."""

GROWTH = 1.06
"""A block ends after so many times as many items as the one before, and at least FIRST_BLOCK more."""


def block_end(items: int, most: int) -> int:
    """After how many items a block ends that begins after `items`, of `most`."""
    return min(most, max(items + FIRST_BLOCK, math.ceil(items * GROWTH)))


def stand(names: Sequence[str], scores: Floats, terms: RaceTerms, at: Sequence[int] | None = None) -> RaceStanding:
    """The race so far, looked at after each of `at` items (default: after each block) that all who are in have.

    names (models,), distinct; scores (models, items so far) in [0, 1] in the order that they are asked. NaN: not asked,
    or an error of ours, which counts for nobody. Equal scores are told apart by name where one must leave, never to
    show anything. Raises: ValueError for a budget that is too little (`phase_ends`).
    """
    race, planned = _Race(names, scores, terms), None if at is None else iter(at)
    while race.end == "still open":
        look = race.next_look() if planned is None else next(planned, None)
        if look is None or look > scores.shape[1]:
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
        if terms.budget is not None:
            phase_ends(terms.budget, len(names), terms.most)  # refuses one that is too little
        self.end: End = "still open" if len(names) > 1 else "one left"

    def advance(self, look: int) -> None:
        """Take the items up to `look`, and judge."""
        self._bet(look)
        self._items = look
        self._worse()
        while self._terms.budget is not None and len(self._in) > 1 and self._too_dear(self._terms.budget):
            self._leave(self._lowest(), "budget")
        self.end = self._ended()

    def next_look(self) -> int:
        """After how many items it is looked at again: the block's end, or where the budget or a phase ends before."""
        look = block_end(self._items, self._terms.most)
        if self._terms.budget is None or len(self._in) < 2:
            return look
        left = self._answers_left(self._terms.budget)
        latest = math.floor(LATEST * self._phase(left)) if len(self._in) > 2 else look
        return max(self._items + 1, min(look, left // len(self._in), latest))

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

    def _answers_left(self, budget: int) -> int:
        """Answers that those who are in may have in all, from their first: the budget without what others took."""
        return budget - sum(one.items for one in self._left)

    def _phase(self, left: int) -> int:
        """After how many items the lowest would leave by successive rejects, of those who are in."""
        return phase_ends(left, len(self._in), self._terms.most)[0]

    def _too_dear(self, budget: int) -> bool:
        """Whether the lowest must leave now, so that there are answers enough for the others."""
        left, models = self._answers_left(budget), len(self._in)
        if self._items >= self._terms.most or left // models <= self._items:
            return True
        if models == 2:
            return False
        ahead = self._scores[self._ranked()[0], : self._items] - self._scores[self._lowest(), : self._items]
        return self._items >= leaves_after(self._phase(left), models, ahead[~np.isnan(ahead)])

    def _lowest(self) -> int:
        means, found = self._means(self._scores[:, : self._items]), self._p_values()
        return min(self._in, key=lambda one: (means[one], found[one], self._names[one]))

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
        next_look = None if self.end != "still open" else self.next_look()
        return RaceStanding(inside, tuple(self._left), self._items, scores, self.end, lead, next_look)
