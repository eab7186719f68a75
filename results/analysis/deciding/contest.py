"""One test, item by item: what each model reached on each item, and how many items each wins against each other.

Not here: whether a difference is more than chance (`results.analysis.comparison`), which model to ship
(`results.analysis.deciding.decision`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from results.analysis.comparison import paired
from results.analysis.deciding.decision import quality_figure
from results.analysis.findings import Figure, Missing
from results.analysis.groups import places_of
from results.analysis.measurements import Quality, contaminated_items, groups_of, quality_shelf
from results.analysis.snapshot import Reading
from results.records import Model

if TYPE_CHECKING:
    from results.store.store import Store

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Contest:
    """Several models by one test, measured alike."""

    benchmark: str
    metric: str
    models: tuple[Model, ...]
    """Those that can be compared, the best first."""
    figures: Mapping[str, Figure]
    """Score on the common items, by model id; from totals where a model has no outcomes."""
    own_figures: Mapping[str, Figure]
    """Score on all items that the model answered."""
    common: tuple[str, ...]
    """Items that all models with outcomes share."""
    found: Mapping[str, Quality]
    """Items with what each model reached, by model id."""
    missing: Mapping[str, Missing]
    """Why the others are not among them, by model id."""
    engines: str
    """That what answered differs, in a sentence; empty where it does not."""

    @property
    def higher_is_better(self) -> bool:
        """Whether more is better: not of held-out rows."""
        return self.benchmark != "heldout"

    @property
    def paired(self) -> tuple[Model, ...]:
        """The models whose items are known, the best first."""
        return tuple(model for model in self.models if self.found[model.id].items)

    @cached_property
    def credits(self) -> Floats:
        """(paired models, common items): what each reached, more being better; nats of held-out rows are below 0.

        NaN: what a model that left a race was not asked; it wins and loses no such item.
        """
        sign = 1.0 if self.higher_is_better else -1.0
        rows = [[self.found[model.id].items.get(item, np.nan) for item in self.common] for model in self.paired]
        return sign * np.array(rows, dtype=np.float64).reshape(len(self.paired), len(self.common))

    def wins(self, chosen: Sequence[Model]) -> Counts:
        """(chosen, chosen): on how many common items the row's model reaches more than the column's."""
        places = {model.id: place for place, model in enumerate(self.paired)}
        rows = self.credits[[places[model.id] for model in chosen]]
        if np.isin(rows, (0.0, 1.0)).all():
            return np.rint(rows @ (1 - rows).T).astype(np.int64)
        return np.array([(row > rows + 1e-12).sum(axis=1) for row in rows], dtype=np.int64).reshape(len(rows), -1)

    def p_values(self, chosen: Sequence[Model]) -> Floats:
        """(chosen, chosen): p-value of no difference between two on the common items, the test that `compare` makes."""
        rows = {
            model.id: np.array([self.found[model.id].items.get(item, np.nan) for item in self.common])
            for model in chosen
        }
        first = self.found[chosen[0].id] if chosen else None
        sizes = None if self.higher_is_better or first is None else np.array([first.weights[i] for i in self.common])
        found = np.ones((len(chosen), len(chosen)))
        for place, one in enumerate(chosen if self.common else ()):
            for beside in range(place):
                other = chosen[beside]
                both = ~np.isnan(rows[one.id] + rows[other.id])
                if not both.any():
                    continue
                of = None if sizes is None else sizes[both]
                a, b = rows[one.id][both], rows[other.id][both]
                pair = self.found[one.id], self.found[other.id]
                places = places_of([self.common[at] for at in both.nonzero()[0]], groups_of(*pair))
                difference = paired(*pair, a, b, of, places)
                found[place, beside] = found[beside, place] = 1.0 if difference.too_few else difference.p_value
        return found


def contest(
    store: Store | Reading, models: Sequence[Model], benchmark: str, excluded: Iterable[str] | None = None
) -> Contest:
    """The models that were measured alike by a test, set side by side on what all of them answered.

    excluded: items that count for nobody; None: those that are known to be in some model's training data.
    """
    reading = Reading.of(store)
    left_out = contaminated_items(reading, models, benchmark) if excluded is None else frozenset(excluded)
    shelf = quality_shelf(reading, models, benchmark, left_out)
    figures = {id_: one for id_, quality in shelf.found.items() if (one := quality_figure(quality, shelf.common))}
    own = {id_: one for id_, quality in shelf.found.items() if (one := quality_figure(quality, sorted(quality.items)))}
    sign = -1.0 if benchmark != "heldout" else 1.0
    order = sorted(figures, key=lambda id_: (shelf.found[id_].left, sign * figures[id_].value))
    return Contest(
        benchmark,
        shelf.metric,
        tuple(shelf.found[id_].model for id_ in order),
        figures,
        own,
        shelf.common,
        shelf.found,
        shelf.missing,
        shelf.engines_said,
    )
