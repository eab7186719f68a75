"""Which question is asked: of one experiment's models, or of all; the same on Home and Decide, kept in the address."""

from __future__ import annotations

from typing import Any

from dashboard.views import data
from dashboard.widgets import addressed
from results import EVERYTHING

WORDS = {"": "Newest experiment", EVERYTHING: "All models"}


def pick(place: Any) -> str:
    """The experiment that is asked about; empty: the newest, EVERYTHING: all models. place: e.g. a column."""
    options = {"": WORDS[""], **{name: name for name in data.experiments()}, EVERYTHING: WORDS[EVERYTHING]}
    return addressed.one(
        place, "Question", options, "about",
        help="A decision is made among the models of one experiment: only they answer one question.",
    )  # fmt: skip
