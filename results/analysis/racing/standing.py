"""What a race is made of: its terms, who left, how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from results.analysis.findings import MARGIN
from results.analysis.racing.entry import Why

End = Literal["one left", "tie", "budget", "no more items", "still open"]
"""one left: every other is shown to be worse than some model. tie: all that are in lie within the margin. budget: one
is left, and not all others are shown to be worse. no more items: all are asked. still open: it goes on."""


@dataclass(frozen=True)
class RaceTerms:
    """What is fixed before a race."""

    most: int
    """Items that there are."""
    margin: float = MARGIN
    """The smallest difference that matters, a share of 1."""
    budget: int | None = None
    """Answers of all models together, at most."""


@dataclass(frozen=True)
class Departure:
    """One model that left."""

    model: str
    items: int
    """Items it was asked."""
    why: Why
    p_value: float
    """That of "no other is better than it", adjusted over the models that were not shown to be worse."""


@dataclass(frozen=True)
class RaceStanding:
    """A race after some items."""

    inside: tuple[str, ...]
    """Who is in, the highest score first."""
    left: tuple[Departure, ...]
    """Who left, in that order."""
    items: int
    """Items that all who are in were asked."""
    scores: Mapping[str, float]
    """The mean of each model's scores on the items that it was asked."""
    end: End
    lead: tuple[float, float, float] | None = None
    """How far the first is ahead of the second that is in: (value, low, high) at 95 %, valid at every look."""
    next_look: int | None = None
    """After how many items that all who are in have it is judged again; None when it is over."""

    @property
    def over(self) -> bool:
        """Whether nobody is asked any more."""
        return self.end != "still open"
