"""What the Runs page says of a run's place and of what was begun again."""

from __future__ import annotations

import pytest

from dashboard.views.training import whereabouts
from results.records import PLACE, RETRIES, Report, Run, RunStatus

LOST = [
    {"at": "2026-11-30T10:00:00+00:00", "why": "its node went down"},
    {"at": "2026-11-30T10:05:00+00:00", "why": "its node was out of memory and Ray ended it"},
]


def run(status: RunStatus) -> Run:
    return Run("r", "r", "demo", "base", {}, 0, status=status)


def test_a_run_says_where_it_is_and_why_it_was_begun_again() -> None:
    place = Report("r", PLACE, {"host": "gpu-2", "process": 41, "since": "2026-11-30T10:06:00+00:00"})
    known = whereabouts.of_runs([place, Report("r", RETRIES, {"retries": LOST}), Report("r", "data", {"rows": 3})])
    assert whereabouts.words(run("running"), known["r"]) == {
        "Where": "gpu-2, process 41",
        "Begun again": "2 times, last 2026-11-30 10:05 UTC: its node was out of memory and Ray ended it",
    }


@pytest.mark.parametrize(("status", "told"), [("planned", {"Where": "queued"}), ("finished", {})])
def test_a_run_that_nobody_has_begun_is_queued_until_it_ends(status: RunStatus, told: dict[str, str]) -> None:
    assert whereabouts.words(run(status), {}) == told


def test_one_loss_is_told_with_its_reason() -> None:
    told = whereabouts.words(run("finished"), {RETRIES: {"retries": LOST[:1]}})
    assert told == {"Begun again": "once, 2026-11-30 10:00 UTC: its node went down"}
