"""What an evaluation says of the race that it was made in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from results.records import Evaluation

KEY = "race"
"""The key of an entry among an evaluation's details, and of the race's id among its settings."""

Why = Literal["worse", "budget"]
"""Why a model leaves a race before the end."""


@dataclass(frozen=True)
class RaceEntry:
    """One model in a race: what its evaluation's details hold."""

    race: str
    """Id of the race: the models, the test and the terms; a report of that subject has them."""
    most: int
    """Items of the race at most."""
    items: int
    """Items that this model was asked."""
    models: int
    """How many raced."""
    left: Why | None = None
    """Why it left before the end; None for one that was in to the end."""
    p_value: float = 1.0
    """That of "no other is better than it", adjusted, when it left."""
    at: str = ""
    """When it stopped, ISO 8601."""

    def details(self) -> dict[str, Any]:
        """What goes into the evaluation's details."""
        return {KEY: dataclasses.asdict(self)}

    @classmethod
    def of(cls, evaluation: Evaluation) -> RaceEntry | None:
        """The entry that an evaluation holds; None for one that ran no race."""
        found = evaluation.details.get(KEY)
        if not isinstance(found, Mapping):
            return None
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in found.items() if key in names})
