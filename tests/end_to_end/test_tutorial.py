"""The tutorial, followed word by word in an empty folder: every command ends well and prints what the text says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks
from tests.docs.walk import Step, unlike, walk

TUTORIAL = "docs/tutorial.md"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_who_follows_the_tutorial_word_by_word_arrives(tmp_path: Path) -> None:
    commands = []
    for step in walk(TUTORIAL, tmp_path):
        assert step.status == 0, f"{step.block.place}: {step.said[-3000:]}"
        assert unlike(step) == [], f"{step.block.place} printed:\n{step.printed}"
        commands += re.findall(r"^bakeoff (\w+)", step.block.text, re.MULTILINE)
    assert commands == ["doctor", "data", "plan", "run", "decide", "compare", "publish"]
    assert (tmp_path / "shop" / "page" / "index.html").stat().st_size > 10_000


def test_only_what_installs_and_what_stays_open_is_not_followed() -> None:
    left_out = [block.text for block in blocks(TUTORIAL) if block.kind == "bash" and "dashboard" in block.text]
    assert left_out == ["bakeoff dashboard"]


@pytest.mark.parametrize(
    ("expected", "missing"),
    [
        ("a model takes 5 s\n…\nlast", []),
        ("score 0.759 of 29 …", []),
        ("score 0.759 of 28 …", ["score 0.759 of 28 …"]),
        ("last\na model takes 5 s", ["a model takes 5 s"]),
    ],
)
def test_what_is_not_printed_in_its_order_is_named_and_what_a_machine_measures_is_not(
    expected: str, missing: list[str]
) -> None:
    printed = "a  model takes 17.5 s\nscore 0.9 of 29 items\nlast\n"
    step = Step(Block("here", "bash", "true"), Block("here", "text", expected), 0, printed, "", 0.0)
    assert unlike(step) == missing
