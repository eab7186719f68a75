"""How long a measurement would take: from those before it, a batch shared among those in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.views.durations import about
from results import seconds_to_measure
from results.records import Evaluation, Score

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def measured(name: str, begins: float, seconds: float, items: int = 40, status: str = "finished") -> Evaluation:
    begun = START + timedelta(seconds=begins)
    return Evaluation(
        name, name, "sums", {}, "here", status, started_at=begun, finished_at=begun + timedelta(seconds=seconds),
        scores=(Score("pass@1", 0.5, 0.4, 0.6, items),),
    )  # type: ignore[arg-type]  # fmt: skip


def test_one_model_takes_what_one_model_took() -> None:
    assert seconds_to_measure("sums", [measured("a", 0, 240)]) == 240
    assert seconds_to_measure("humaneval", [measured("a", 0, 240)]) is None
    assert seconds_to_measure("sums", [measured("a", 0, 240, status="failed")]) is None


def test_a_batch_of_three_is_shared_by_the_three() -> None:
    assert seconds_to_measure("sums", [measured(name, at / 100, 240) for at, name in enumerate("abc")]) == 80


def test_more_items_take_longer() -> None:
    assert seconds_to_measure("sums", [measured("a", 0, 240)], items=120) == 720


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (7.0, " (about 5 s)"), (42.0, " (about 40 s)"), (240.0, " (about 4 min)"), (9000.0, " (about 2.5 h)")],
)
def test_it_is_said_in_the_unit_that_people_wait_in(seconds: float | None, words: str) -> None:
    assert about(seconds) == words
