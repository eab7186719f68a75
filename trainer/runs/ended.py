"""What became of a run that trained alone, in this process or in one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from results import RunStatus


@dataclass
class Ended:
    """The end of a run that trained alone."""

    status: RunStatus
    reason: str
    best: Path | None
    """Folder of the weights with the best validation loss."""
    details: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return plain values that another process can read."""
        return {**asdict(self), "best": str(self.best) if self.best else None}

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Ended:
        """Read what `as_json` gave."""
        return cls(**{**said, "best": Path(said["best"]) if said["best"] else None})
