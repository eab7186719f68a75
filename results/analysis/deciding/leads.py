"""How far each model is ahead of each other by one measure, on the items that all share: what a choice is made of.

verdicts   one answer an item, right or wrong      `paired.paired_verdicts`
shares     several answers, or graded ones         `paired.paired_numbers`
nats       held-out rows                           `paired.paired_ratios`, turned round: fewer bits are ahead
totals     no outcomes of one of the two           `TotalsLead`, unpaired: conservative for shared items
raced      either may have stopped for what was seen  `racing.betting`, on the items that both were asked
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from results.analysis import statistics
from results.analysis.comparison import paired, shared_with_left
from results.analysis.deciding.choice import Lead
from results.analysis.groups import Places, places_of
from results.analysis.measurements import Quality, Shelf, groups_of
from results.analysis.racing.entry import RaceEntry
from results.analysis.snapshot import Reading


@dataclass(frozen=True)
class TotalsLead:
    """The difference of two pass rates of which only totals are known.

    Interval and p-values are one method's, Newcombe's hybrid of two Wilson intervals (1998, method 10). It takes the
    two for independent; fine-tunes of one base agree more often than that, so it is too wide for them, not too narrow.
    """

    passed_a: int
    n_a: int
    passed_b: int
    n_b: int

    @property
    def value(self) -> float:
        """Pass rate of a minus that of b."""
        return self.passed_a / self.n_a - self.passed_b / self.n_b

    @property
    def items(self) -> int:
        """Items of the one that has fewer."""
        return min(self.n_a, self.n_b)

    @property
    def too_few(self) -> str:
        """Empty: totals alone are as good at any number."""
        return ""

    @property
    def p_value(self) -> float:
        """Two-sided, of equal rates: 1 minus the level of the interval that ends at 0."""
        return statistics.newcombe_p_value(*self._counts)

    def interval(self, level: float) -> tuple[float, float]:
        """(low, high) of the difference, two-sided."""
        return statistics.newcombe_interval(*self._counts, level)

    def lies_above(self, shift: float, tail: float) -> bool:
        """Whether the interval that leaves out `tail` on either side lies above `shift`."""
        return self.p_at_most(shift) <= tail

    def p_at_most(self, shift: float) -> float:
        """One-sided p of a difference of `shift` at most."""
        return statistics.newcombe_p_at_most(*self._counts, shift)

    @property
    def _counts(self) -> tuple[int, int, int, int]:
        return self.passed_a, self.n_a, self.passed_b, self.n_b


def leads(shelf: Shelf) -> Callable[[str, str], Lead]:
    """The function that tells how far one model of the shelf is ahead of another, each pair computed once.

    a, b are ids of `shelf.found`. Common items are the shelf's, or, of one that left a race, those that the pair has; a
    pair without outcomes is judged by totals.
    """
    rows = {id_: _row(one, shelf.common) for id_, one in shelf.found.items() if one.items and not one.left}
    sizes = _sizes(shelf)
    known: dict[tuple[str, str], Lead] = {}
    placed: dict[tuple[int, int], Places | None] = {}

    def places(one: Quality, two: Quality) -> Places | None:
        pair = id(one.groups), id(two.groups)
        if pair not in placed:
            placed[pair] = places_of(shelf.common, groups_of(one, two))
        return placed[pair]

    def lead(a: str, b: str) -> Lead:
        if (a, b) not in known:
            one, two = shelf.found[a], shelf.found[b]
            row_a, row_b = rows.get(a), rows.get(b)
            known[a, b] = _of_own(one, two) or (
                _of_totals(one, two)
                if row_a is None or row_b is None
                else paired(two, one, row_b, row_a, sizes, places(one, two))  # fewer bits are ahead
                if sizes is not None
                else paired(one, two, row_a, row_b, None, places(one, two))
            )
        return known[a, b]

    return lead


def beaten(reading: Reading, shelf: Shelf) -> dict[str, float]:
    """Who is shown by a race not to be the best of `shelf`, and the adjusted p-value, by model id.

    A race shows that *some* other of it is better. It says so of the models asked about where it is over and they hold
    all of its models that it did not show to be worse.
    """
    entries = {id_: entry for id_, one in shelf.found.items() if (entry := one.entry)}
    worse = {id_: entry for id_, entry in entries.items() if entry.left == "worse"}
    if not worse:
        return {}
    races: dict[str, dict[str, RaceEntry]] = {}
    for evaluation in reading.evaluations(benchmark=shelf.benchmark):
        entry = RaceEntry.of(evaluation) if evaluation.status == "finished" else None
        if entry is not None:
            races.setdefault(entry.race, {})[evaluation.model_id] = entry
    settled = {
        race for race, of in races.items()
        if len(of) == next(iter(of.values())).models
        and all(id_ in shelf.found for id_, entry in of.items() if entry.left != "worse")
    }  # fmt: skip
    return {id_: entry.p_value for id_, entry in worse.items() if entry.race in settled}


def _of_own(a: Quality, b: Quality) -> Lead | None:
    """The lead where either left a race, on the items that both were asked; None for all other pairs."""
    shared = shared_with_left(a, b)
    return (
        None
        if shared is None
        else paired(a, b, _row(a, shared), _row(b, shared), None, places_of(shared, groups_of(a, b)))
    )


def _of_totals(a: Quality, b: Quality) -> Lead:
    """The lead where either has no outcomes."""
    one, two = a.total(), b.total()
    if one is None or two is None:
        raise ValueError(f"{a.model.name} and {b.model.name} have neither common items nor totals")
    return TotalsLead(round(one.value * one.n), one.n, round(two.value * two.n), two.n)


def _row(quality: Quality, common: Sequence[str]) -> NDArray[np.float64]:
    return np.fromiter(map(quality.items.__getitem__, common), np.float64, len(common))


def _sizes(shelf: Shelf) -> NDArray[np.float64] | None:
    """Bytes of the common rows, where the measure is bits per byte; else None."""
    if shelf.benchmark != "heldout" or not shelf.common:
        return None
    first = next(quality for quality in shelf.found.values() if quality.items)
    return np.array([first.weights[item] for item in shelf.common], dtype=np.float64)
