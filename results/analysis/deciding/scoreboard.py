"""Every model's score by one test beside a baseline's: what a list of all that one has shows of each.

The scores are those of a decision by that test: on the items that all share, the contaminated ones left out. A model
that was measured otherwise keeps its own score, and says on what.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from results.analysis.deciding.decision import quality_figure
from results.analysis.findings import Figure
from results.analysis.measurements import Quality, contaminated_items, metric_of, quality_shelf, score_of
from results.analysis.snapshot import Reading
from results.records import Model

if TYPE_CHECKING:
    from results.store.store import Store


@dataclass(frozen=True)
class Scored:
    """One model by one test."""

    figure: Figure
    comparable: bool
    """Whether it is on the items, and under the settings, of the others; else it is the model's own, on its own."""
    difference: float | None = None
    """The figure minus the baseline's, in the metric's unit; None without a comparable baseline."""
    gained: int | None = None
    """Items that the model passes and the baseline fails; None where items do not just pass or fail."""
    lost: int | None = None
    """Items that the baseline passes and the model fails."""
    why: str = ""
    """Why it is not comparable."""


def scored(
    store: Store | Reading, models: Sequence[Model], benchmark: str, baseline: Sequence[str] = ()
) -> dict[str, Scored]:
    """Score by model id of those that the test measured.

    baseline: ids of the formats of what the others are held against; the first that was measured like them is it.
    """
    reading = Reading.of(store)
    shelf = quality_shelf(reading, models, benchmark, contaminated_items(reading, models, benchmark))
    beside = next((shelf.found[one] for one in baseline if one in shelf.found), None)
    found = {}
    for id_, quality in shelf.found.items():
        figure = quality_figure(quality, shelf.common)
        if figure is not None:
            found[id_] = _against(figure, quality, beside, shelf.common)
    rest = own_scores(reading, [model for model in models if model.id not in found], benchmark)
    why = {id_: missing.reason for id_, missing in shelf.missing.items()}
    return found | {id_: dataclasses.replace(one, why=why.get(id_, "")) for id_, one in rest.items()}


def own_scores(store: Store | Reading, models: Sequence[Model], benchmark: str) -> dict[str, Scored]:
    """The fullest score of each model by itself, whatever it was measured on: not to be compared."""
    reading = Reading.of(store)
    return {model.id: Scored(own, False) for model in models if (own := _own(reading, model, benchmark))}


def _against(figure: Figure, quality: Quality, beside: Quality | None, common: Sequence[str]) -> Scored:
    other = quality_figure(beside, common) if beside is not None else None
    if beside is None or other is None:
        return Scored(figure, True)
    difference = figure.value - other.value
    if not (quality.yes_or_no and beside.yes_or_no and quality.items and beside.items):
        return Scored(figure, True, difference)
    mine, theirs = (_row(one.items, common) for one in (quality, beside))
    return Scored(figure, True, difference, int((mine > theirs).sum()), int((mine < theirs).sum()))


def _row(items: Mapping[str, float], common: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.fromiter(map(items.__getitem__, common), np.float64, len(common))


def _own(reading: Reading, model: Model, benchmark: str) -> Figure | None:
    """The model's fullest score by a test, whatever it was measured on."""
    best: Figure | None = None
    for one in reading.evaluations(model.id, benchmark):
        score = score_of(one, metric_of(benchmark, one))
        if one.status == "finished" and score and math.isfinite(score.value) and (best is None or score.n >= best.n):
            best = Figure(score.metric, score.value, score.low, score.high, score.n, one.subset, one.id, one.origin)
    return best
