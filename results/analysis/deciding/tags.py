"""Two models on each tag of a test: the same items, adjusted for looking at several tags.

Not here: the comparison on all items (`results.analysis.comparison`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from results.analysis.comparison import contrast
from results.analysis.findings import Contrast
from results.analysis.json_values import plain
from results.analysis.measurements import quality_shelf
from results.analysis.snapshot import Reading
from results.analysis.statistics import holm
from results.analysis.wording import p_text, points, score_text, spread
from results.records import Model

if TYPE_CHECKING:
    from results.store.store import Store


@dataclass(frozen=True)
class TagContrast:
    """Two models on the items of one tag."""

    tag: str
    contrast: Contrast
    p_adjusted: float
    """Holm's p-value over all tags of the test."""

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return plain(self)

    @property
    def sentence(self) -> str:
        """The tag's figures on one line."""
        one = self.contrast
        ends = f", 95 % interval {spread(one, one.low, one.high)}" if math.isfinite(one.low) else ""
        values = (
            f"{score_text(one.metric, one.value_a)} against {score_text(one.metric, one.value_b)} on {one.items} items"
        )
        return f"{self.tag}: {values}, {points(one, one.difference)}{ends}; adjusted {p_text(self.p_adjusted, 3)}"


def contrasts_by_tag(store: Store | Reading, model_a: Model, model_b: Model, benchmark: str) -> tuple[TagContrast, ...]:
    """The contrast of two models on each tag of a test, by tag; empty without tags, or where nothing is comparable."""
    reading, both = Reading.of(store), (model_a, model_b)
    shelf = quality_shelf(reading, both, benchmark)
    if len(shelf.found) < 2 or not all(one.items for one in shelf.found.values()):
        return ()
    a, b = (shelf.found[model.id] for model in both)
    items: dict[str, list[str]] = {}
    common = frozenset(shelf.common)
    for outcome in reading.outcomes(a.evaluation.id):
        for tag in outcome.details.get("tags") or () if outcome.item in common and outcome.sample == 0 else ():
            items.setdefault(str(tag), []).append(outcome.item)
    found = {tag: one for tag in sorted(items) if (one := contrast(a, b, items[tag])) is not None}
    adjusted = holm([one.p_value for one in found.values()]) if found else []
    return tuple(TagContrast(tag, one, p) for (tag, one), p in zip(found.items(), adjusted, strict=True))
