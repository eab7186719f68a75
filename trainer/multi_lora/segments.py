"""Tokens of a pass that belong together: a row, or what several rows begin with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """Tokens that belong together: of `start` to `stop` each sees those before it, and all of the prefix."""

    start: int
    stop: int
    prefix: tuple[int, int] = (0, 0)
    """Where an earlier segment holds what this one begins with; an empty span where it begins by itself."""

    @property
    def seen(self) -> int:
        """Tokens that the last one sees, itself included."""
        return self.stop - self.start + self.prefix[1] - self.prefix[0]
