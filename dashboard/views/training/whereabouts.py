"""Where runs train or trained last, and what was begun again and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from results.records import PLACE, RETRIES, Report, Run

WHERE, AGAIN = "Where", "Begun again"


def of_runs(reports: Sequence[Report]) -> dict[str, dict[str, Any]]:
    """What reports of the two kinds say, by run and kind."""
    found: dict[str, dict[str, Any]] = {}
    for report in reports:
        if report.kind in (PLACE, RETRIES):
            found.setdefault(report.subject, {})[report.kind] = report.payload
    return found


def words(run: Run, known: dict[str, Any]) -> dict[str, str]:
    """The run's place and retries as people read them; what there is nothing of is left out.

    known: what its reports say, by kind. The place of a run that has ended is where it trained last.
    """
    told = {}
    if place := known.get(PLACE):
        told[WHERE] = f"{place['host']}, process {place['process']}"
    elif run.status == "planned":
        told[WHERE] = "queued"
    if lost := known.get(RETRIES, {}).get("retries"):
        times = f"{len(lost)} times, last" if len(lost) > 1 else "once,"
        told[AGAIN] = f"{times} {datetime.fromisoformat(lost[-1]['at']):%Y-%m-%d %H:%M} UTC: {lost[-1]['why']}"
    return told
