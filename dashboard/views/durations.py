"""How the dashboard says how long something would take."""

from __future__ import annotations

from results import duration


def about(seconds: float | None) -> str:
    """` (about 4 min)`, or nothing where it is not known; short ones to the nearest 5 s."""
    if seconds is None:
        return ""
    return f" (about {duration(seconds if seconds >= 90 else max(5, 5 * round(seconds / 5)))})"
