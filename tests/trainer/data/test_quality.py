"""Filters remove what they say, name examples, and leave the rest in order."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import Conversation, TrainerError
from trainer.data.near_duplicates import shingles
from trainer.data.quality import filtered, repetition, script
from trainer.experiment.schema import Quality


def row(answer: str, number: int = 0, prompt: str = "", **extra: Any) -> Conversation:
    messages = ({"role": "user", "content": prompt or f"question {number}"}, {"role": "assistant", "content": answer})
    return Conversation(messages, "rows.jsonl", number, extra)  # type: ignore[arg-type]


def text(seed: int, words: int = 60) -> str:
    draws = random.Random(seed)
    return " ".join("".join(draws.choices("abcdefghij", k=5)) for _ in range(words))


def kept(rows: list[Conversation], **quality: Any) -> tuple[list[int], dict[str, Any]]:
    left, report = filtered(rows, Quality(**quality))
    return [one.row for one in left], {name: found["removed"] for name, found in report.items() if found["removed"]}


def test_exact_duplicates_keep_the_first() -> None:
    rows = [row(text(1), 0, "q"), row(text(2), 1, "q"), row(text(1), 2, "q")]
    assert kept(rows) == ([0, 1], {"exact_duplicates": 1})
    assert kept(rows, deduplicate=False, near_duplicates=None) == ([0, 1, 2], {})


def test_near_duplicates_are_found_and_named() -> None:
    base = text(3, 200)
    near = base.replace(base.split()[100], "changed", 1)
    rows = [row(base, 0, "q"), row(text(4, 200), 1, "q"), row(near, 2, "q")]
    left, report = filtered(rows, Quality())
    assert [one.row for one in left] == [0, 1]
    [example] = report["near_duplicates"]["examples"]
    assert example["row"] == 2 and "like row 0 of rows.jsonl" in example["reason"]


@settings(max_examples=25)
@given(st.lists(st.text("ab ", min_size=1, max_size=40), min_size=1, max_size=12))
def test_no_two_kept_rows_are_near_duplicates(answers: list[str]) -> None:
    rows = [row(answer, number, "same question for every row") for number, answer in enumerate(answers)]
    left, _ = filtered(rows, Quality(near_duplicates=0.8, max_repetition=None))
    pieces = [shingles(one) for one in left]
    for index, first in enumerate(pieces):
        for second in pieces[:index]:
            assert len(first & second) / len(first | second) < 0.95


def test_length_score_and_repetition() -> None:
    loop = "the same four words " * 40
    rows = [row("short", 0, score=5.0), row(text(5), 1, score=3.0), row(loop, 2, score=5.0), row(text(6), 3, score=4.5)]
    rows += [row(text(7), 4), row(text(8), 5, score=float("nan"))]
    numbers, removed = kept(rows, min_answer_characters=20, min_score=4.0)
    assert numbers == [3]
    assert removed == {"length": 1, "score": 3, "repetition": 1}


def test_a_score_column_nobody_has_is_an_error() -> None:
    with pytest.raises(TrainerError, match=r"'quality', but no row has that column; short columns are language"):
        filtered([row(text(1), 0, language="en")], Quality(min_score=1, score_column="quality"))


def test_language_by_column_and_by_script() -> None:
    rows = [row(text(1), 0, language="English"), row(text(2), 1, language="German")]
    assert kept(rows, language="english") == ([0], {"language": 1})
    rows = [row(text(1), 0), row("Это предложение написано по-русски и достаточно длинное.", 1)]
    assert kept(rows, language="latin") == ([0], {"language": 1})
    with pytest.raises(TrainerError, match="no row has a column 'language'"):
        filtered(rows, Quality(language="english"))


def test_nothing_left_says_which_filter() -> None:
    with pytest.raises(TrainerError, match="left none of 1 rows: length removed 1"):
        filtered([row("x", 0)], Quality(min_answer_characters=5))


def test_repetition_is_a_share() -> None:
    assert repetition(text(9)) == 0
    assert repetition("one two three four " * 2) == 0.5
    assert repetition("") == 0
    assert script("日本語") == "cjk" and script("123") == ""
