"""What a model's maker has it run with: used where a request is silent, else left out by name."""

from __future__ import annotations

from typing import Any

import pytest

from engines import Sampling
from engines.demands import Demands
from engines.server.makers import Makers

ASKED = Sampling(512, 1.0)


def makers(said: dict[str, Any] | None = None, **settings: Any) -> Makers:
    return Makers.of({"sampling": settings}, said or {})


def test_a_silent_request_takes_the_makers_values_and_another_keeps_its_own() -> None:
    settings: dict[str, Any] = {"temperature": 0.2, "top_p": 0.5, "stop": ["<end>"], "max_tokens": 9, "seed": 7}
    assert makers(**settings).sampling(ASKED, 2) == Sampling(9, 0.2, 0.5, 9, ("<end>",))
    said = {"temperature": 1.0, "max_completion_tokens": 512, "top_p": None}
    assert makers(said, **settings).sampling(ASKED) == Sampling(512, 1.0, 0.5, 7, ("<end>",))
    assert makers(frequency_penalty=1).demands(Demands()).frequency_penalty == 1.0
    assert Makers.of({}, {}).sampling(ASKED) == ASKED and Makers.of({}, {}).notes([]) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 9), ("temperature", "hot"), ("temperature", float("nan")), ("top_p", 0), ("top_p", True),
        ("max_tokens", -1), ("stop", [""]), ("stop", 3), ("seed", -5), ("presence_penalty", 7), ("top_k", 40),
        ("system", 3),
    ],
)  # fmt: skip
def test_what_is_not_taken_changes_nothing_and_is_named(name: str, value: object) -> None:
    odd = makers(**{name: value})
    assert odd.sampling(ASKED) == ASKED and odd.demands(Demands()) == Demands() and odd.turns([]) == []
    (note,) = odd.notes([])
    assert note.startswith("Not used") and name in note


def test_a_system_prompt_of_the_request_stands_alone() -> None:
    sung = makers(system="Sing.")
    mine: list[Any] = [{"role": "system", "content": "Be dull."}, {"role": "user", "content": "Hello"}]
    assert sung.turns(mine) == mine and sung.notes(mine) == []
    assert [turn["content"] for turn in sung.turns(mine[1:])] == ["Sing.", "Hello"]
    assert sung.notes(mine[1:]) == ["Used of what its maker has it run with: system Sing.."]
