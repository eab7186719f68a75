"""`bakeoff doctor`: what this machine can do, and what to install."""

from __future__ import annotations


def doctor() -> None:
    """Say what this machine can do, and what to install."""
    print("ok")
