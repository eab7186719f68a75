"""When the lowest of a race leaves, so that a stated number of answers is enough: the sooner the further it is behind.

By synchronized successive rejects (Lyu et al. 2026, arXiv 2606.07726, after Audibert, Bubeck and Munos 2010) the
lowest leaves at the end of each phase. With k models in, the phase of j models ends after s / j**STEEPNESS items, j
from k down to 2, s such that the budget is spent: sequential elimination that is not linear (Shahrampour, Noshad and
Tarokh 2017), which leaves more for the last two. Here such an end E is the middle of when the lowest may leave, after

    2 E / (1 + z / sqrt(ln k))

items, z standard errors behind the first. By luck alone the lowest of k is about as many behind as sqrt(ln k) grows:
one that is that far behind leaves at E, one that ties at twice E, one far behind at once. Phases are drawn up anew
after each departure, so that what one saves is for those who are in (Wang, Tzeng and Proutiere 2023 do so too).

None of this shows that anybody is worse; that is `rule`'s. Not covered: the last two, who go on while answers last.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from results.analysis.confidence import Floats

STEEPNESS = 1.35
"""How fast phases grow. Simulated over 8 to 24 siblings, 1.2 to 1.5 lose about as little; 1 is successive rejects."""

LATEST = 2.0
"""After how many times the items of its phase one leaves that ties."""


@lru_cache(maxsize=4096)
def phase_ends(answers: int, models: int, most: int) -> tuple[int, ...]:
    """(models - 1,) items after which the lowest would leave, if all were at their first; empty for one model.

    answers: of all models together; most: items there are. Raises: ValueError for less than 2 answers a model.
    """
    if models < 2:
        return ()
    if answers < 2 * models:
        raise ValueError(f"a budget of {answers} answers is too little for {models} models: 2 answers each, at least")
    weights = np.arange(models, 1, -1) ** -STEEPNESS

    def ends(scale: float) -> Floats:
        return np.asarray(np.clip(np.floor(scale * weights), 1, most))

    def spent(scale: float) -> float:
        """Answers: each phase's of the one that leaves, the last of two."""
        return float(ends(scale).sum() + ends(scale)[-1])

    enough, too_many = 0.0, answers / weights[-1] + most / weights[0]
    for _ in range(60):
        middle = (enough + too_many) / 2
        enough, too_many = (middle, too_many) if spent(middle) <= answers else (enough, middle)
    return tuple(int(end) for end in ends(enough))


def leaves_after(phase: int, models: int, ahead: Floats) -> float:
    """After how many items the lowest of `models` > 2 leaves whose phase ends after `phase`.

    ahead (items,): how far the first is ahead of it, item by item.
    """
    behind = max(0.0, float(ahead.sum())) / math.sqrt(max(1.0, float(ahead @ ahead)))
    return LATEST * phase / (1 + behind / math.sqrt(math.log(models)))
