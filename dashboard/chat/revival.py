"""Having the model server started anew from a page, where `bakeoff dashboard` keeps one (`dashboard.launch`)."""

from __future__ import annotations

import contextlib
import os

VARIABLE = "BAKEOFF_SERVE_BELL"
"""Names the descriptor that is rung."""


def possible() -> bool:
    """Whether the server belongs to this dashboard; one that somebody started by hand is theirs."""
    return os.environ.get(VARIABLE, "").isdigit()


def ring() -> None:
    """Have it started anew; it answers after a few seconds, at the same address."""
    with contextlib.suppress(OSError):  # the one who would hear it is ending
        os.write(int(os.environ[VARIABLE]), b".")
