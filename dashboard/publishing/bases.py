"""What a published page says of the bases that models are made from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublicBase:
    """What others may know of a base."""

    name: str
    """Its public name: a Hub id, or a file's name without its folder."""
    licence: str = ""
    gated: bool = False
