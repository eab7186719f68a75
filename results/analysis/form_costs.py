"""What a form costs: a merged or quantized file against the adapter that it was made of, paired by item.

for cost in form_costs(store):
    print(cost.sentence)        # Q4_0 costs 1.8 points (…), not distinguishable: demo-rank8@q4_0 against …
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from results.analysis.comparison import contrast
from results.analysis.findings import Contrast
from results.analysis.json_values import plain
from results.analysis.measurements import engines_said, quality_shelf
from results.analysis.snapshot import Reading
from results.analysis.wording import p_text
from results.records import Form, Model

if TYPE_CHECKING:
    from results.store.store import Store

WORDS: dict[Form, str] = {
    "adapter": "The adapter", "lora-gguf": "LoRA-GGUF", "merged": "Merging", "gguf-f16": "F16", "gguf-q8_0": "Q8_0",
    "gguf-q4_0": "Q4_0",
}  # fmt: skip
"""Forms as the subject of a sentence."""


@dataclass(frozen=True)
class FormCost:
    """One form against the model that it was exported from."""

    model: str
    form: Form
    against: str
    """Names of both."""
    benchmark: str
    contrast: Contrast
    """The form as a, its source as b."""
    engines: tuple[str, str] = ("", "")
    """What answered for both, in words."""

    @property
    def cost(self) -> float:
        """What is lost, in the metric's unit: pass rate that falls, bits per byte that rise. Negative: a gain."""
        return -self._sign * self.contrast.difference

    @property
    def ends(self) -> tuple[float, float]:
        """95 % interval of the cost."""
        low, high = sorted((-self._sign * self.contrast.low, -self._sign * self.contrast.high))
        return low, high

    @property
    def _sign(self) -> int:
        return -1 if self.contrast.metric == "bits_per_byte" else 1

    @property
    def sentence(self) -> str:
        """The cost in words, with its interval and whether it can be told from nothing."""
        scale, digits, unit = (100, 1, "points") if self._sign > 0 else (1, 4, "bits per byte")
        low, high = (f"{scale * end:+.{digits}f}" for end in self.ends)
        amount = f"{'gains' if self.cost < 0 else 'costs'} {scale * abs(self.cost):.{digits}f} {unit}"
        word = "distinguishable" if self.contrast.better else "not distinguishable"
        few = f"; {self.contrast.too_few}" if self.contrast.too_few else f", {p_text(self.contrast.p_value)}"
        test = f"{self.contrast.items} shared items{few}"
        return (
            f"{WORDS.get(self.form, self.form)} {amount} (95 % interval of the cost {low} to {high}), {word}: "
            f"{self.model} against {self.against} on {test}.{self._engines}"
        )

    @property
    def _engines(self) -> str:
        """A word where the engine is a part of the cost."""
        one, two = self.engines
        if not engines_said({self.model: one, self.against: two}):
            return ""
        return f" The engine's part is in it: {one} against {two}."

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; infinite ends become null."""
        return {**plain(self), "cost": self.cost, "low": self.ends[0], "high": self.ends[1], "sentence": self.sentence}


def form_costs(
    store: Store | Reading, benchmark: str = "humaneval", models: Sequence[Model] | None = None
) -> list[FormCost]:
    """What every form of `models` (all that are not archived) costs by a benchmark against its source, by name.

    The source is the adapter at the root of the exports, or its LoRA-GGUF where only that was measured. Forms whose
    source was not measured on the same items under the same settings are not among them.
    """
    reading = Reading.of(store)
    everything = reading.models
    found = []
    for model in [one for one in everything if not one.archived] if models is None else models:
        for source in _sources(model, everything):
            shelf = quality_shelf(reading, (model, source), benchmark).found
            difference = contrast(shelf[model.id], shelf[source.id]) if len(shelf) == 2 else None
            if difference is not None:
                engines = (shelf[model.id].engine, shelf[source.id].engine)
                found.append(FormCost(model.name, model.form, source.name, benchmark, difference, engines))
                break
    return sorted(found, key=lambda cost: cost.model)


def _sources(model: Model, everything: Sequence[Model]) -> list[Model]:
    """What a form is set against: the root of its exports, else that one's LoRA-GGUF, which is the same adapter."""
    by_identity = {one.identity: one for one in everything}
    seen, origin = {model.identity}, None
    below = model
    while (source := by_identity.get(str(below.details.get("source", "")))) and source.identity not in seen:
        seen.add(source.identity)
        below = origin = source
    if origin is None:
        return []
    same = [one for one in everything if one.form == "lora-gguf" and one.details.get("source") == origin.identity]
    return [origin, *(one for one in same if one.id != model.id)]
