"""What buttons run: lists of words, of records alone, and only what measures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dashboard.jobs import commands
from results import Workspace

ODD = "--workspace=/elsewhere; rm -rf $HOME"


def test_a_name_is_a_name_whatever_it_looks_like(tmp_path: Path) -> None:
    for command in (
        commands.evaluate([ODD], "sums"),
        commands.export(ODD, "gguf-q4_0"),
        commands.imported(ODD),
    ):
        words = commands.started_with(command, Workspace(tmp_path))
        assert words[:3] == [sys.executable, "-m", "bakeoff"]
        assert words.index("--") < words.index(ODD)
        assert words[words.index("--workspace") + 1] == str(tmp_path)
    words = commands.latency([ODD])
    assert words[words.index(ODD) - 1] == "--model"


@pytest.mark.parametrize(
    "said",
    ["bakeoff run FILE", "bakeoff decide --margin 0.1", "rm -rf /", "bakeoff evaluate", "bakeoff push model", "",
     "bakeoff latency --experiment FILE"],
)  # fmt: skip
def test_only_advice_that_measures_becomes_a_button(said: str) -> None:
    assert commands.advised(said) is None


def test_advice_to_measure_is_run_as_it_is_shown() -> None:
    said = "bakeoff evaluate 'my model' --benchmark sums"
    command = commands.advised(said)
    assert command == ["bakeoff", "evaluate", "my model", "--benchmark", "sums"]
    assert commands.shown(command) == said
