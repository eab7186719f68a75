"""Progress off a terminal: first, last, and little between."""

from __future__ import annotations

import pytest

from bakeoff import progress


def test_a_log_gets_the_first_and_the_last_line_only_when_work_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.drawn() as report:
        for done in range(101):
            report("training", done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["training: 0/100", "training: 100/100"]


def test_two_kinds_of_work_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.drawn() as report:
        report("exporting", 2, 2)
        report("scoring", 1, 1)
    assert capsys.readouterr().err.splitlines() == ["exporting: 2/2", "scoring: 1/1"]
