"""IFEval's rows as people have them: ten invented ones, checked by lm-eval's copy of Google's code."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from evaluator import BenchmarkUnreadable, read_question_set
from evaluator.question_sets.checking.instructions import checker
from evaluator.question_sets.checking.verdicts import judged

INSTALLED = all(importlib.util.find_spec(name) for name in ("lm_eval", "langdetect", "immutabledict", "nltk"))
needs_the_extra = pytest.mark.skipif(
    not INSTALLED, reason="IFEval's checks are not installed: pip install -r requirements-lm-eval.txt"
)

ROWS = [
    # (instructions with their values, a reply that follows all, one that does not)
    ({"punctuation:no_comma": {}}, "Short and plain.", "Short, plain."),
    ({"detectable_format:json_format": {}}, '{"a": 1}', "a is 1"),
    ({"change_case:english_lowercase": {}}, "all of this is in small letters", "All of this is not"),
    ({"change_case:english_capital": {}}, "ALL OF THIS IS LOUD ENGLISH", "This is not"),
    ({"keywords:existence": {"keywords": ["tea", "milk"]}}, "Tea with milk.", "Tea alone."),
    ({"keywords:forbidden_words": {"forbidden_words": ["sugar"]}}, "Tea.", "Tea with sugar."),
    ({"length_constraints:number_words": {"num_words": 4, "relation": "less than"}}, "Three words here",
     "These are more than three words"),
    ({"startend:quotation": {}}, '"In quotes."', "In none."),
    ({"detectable_format:number_bullet_lists": {"num_bullets": 2}}, "* one\n* two", "* one"),
    ({"punctuation:no_comma": {}, "startend:end_checker": {"end_phrase": "Bye."}}, "See you. Bye.", "See you, Bye."),
]  # fmt: skip


def row(number: int, instructions: dict[str, dict[str, object]]) -> dict[str, object]:
    """A row as the published file has it: values that an instruction does not have are null."""
    every = {name: None for values in ROWS for one in values[0].values() for name in one}
    return {
        "key": 1000 + number,
        "prompt": f"Write something, {number}.",
        "instruction_id_list": list(instructions),
        "kwargs": [every | values for values in instructions.values()],
    }


@pytest.fixture
def ifeval(tmp_path: Path) -> Path:
    path = tmp_path / "ifeval.jsonl"
    path.write_text("".join(json.dumps(row(number, one[0])) + "\n" for number, one in enumerate(ROWS)))
    return path


@needs_the_extra
def test_ten_invented_rows_are_read_and_checked(ifeval: Path) -> None:
    questions = read_question_set(ifeval)
    assert (len(questions.items), questions.bad, questions.checks) == (10, (), {"instructions": 10})
    assert "IFEval's rows" in questions.format and questions.items[3].id == "1003"
    for item, (instructions, follows, not_all) in zip(questions.items, ROWS, strict=True):
        assert judged(item, follows).verdict == "passed", instructions
        refused = judged(item, not_all)
        assert refused.verdict == "wrong" and next(iter(instructions)) in refused.message
    assert judged(questions.items[0], "").verdict == "no_answer"


@needs_the_extra
def test_verdicts_are_lm_evals_own(ifeval: Path) -> None:
    from lm_eval.tasks.ifeval.utils import process_results

    for number, item in enumerate(read_question_set(ifeval).items):
        for reply in ROWS[number][1:]:
            told = process_results({**row(number, ROWS[number][0])}, [reply])["prompt_level_strict_acc"]
            assert (judged(item, reply).verdict == "passed") == told


@needs_the_extra
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"instruction_id_list": ["punctuation:no_dots"]}, "there is no instruction 'punctuation:no_dots'"),
        ({"kwargs": []}, "no lists of the same length"),
        ({"kwargs": ["none"]}, "an entry of kwargs is no object"),
        ({"kwargs": [{"colour": "red"}]}, "its instructions cannot be checked"),
        ({"kwargs": None}, "no lists of the same length"),
    ],
)
def test_what_cannot_be_checked_is_a_bad_row(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row(0, ROWS[0][0]) | change) + "\n")
    (bad,) = read_question_set(path).bad
    assert said in bad.reason


def test_without_the_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, ifeval: Path) -> None:
    checker.cache_clear()
    for name in ("langdetect", "lm_eval.tasks.ifeval"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(BenchmarkUnreadable, match=r"pip install -c constraints\.txt -r requirements-lm-eval\.txt"):
        read_question_set(ifeval)
    checker.cache_clear()
