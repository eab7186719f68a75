"""What is checked of replies: what of one is its answer, and the verdict on it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evaluator.question_sets.checking.json_schemas import check_schema
from evaluator.question_sets.checking.numerals import number_in
from evaluator.question_sets.checking.overlaps import f1, rouge_l
from evaluator.question_sets.checking.replies import choice_in
from evaluator.question_sets.checking.rules import checked, rule_of
from evaluator.question_sets.checking.verdicts import judged
from evaluator.question_sets.items import BadQuestion, Item

ANIMALS = ("a cat", "a dog", "a cat and a dog", "none")


def item(check: Any, answer: Any, choices: tuple[str, ...] = ()) -> Item:
    return Item("1", ({"role": "user", "content": "q"},), (checked(rule_of(check), answer, choices),), choices)


def verdict(check: Any, answer: Any, reply: str, choices: tuple[str, ...] = ()) -> str:
    return judged(item(check, answer, choices), reply).verdict


@pytest.mark.parametrize(
    ("check", "answer", "right", "wrong"),
    [
        ("exact", "Paris", ["Paris", " paris. ", "**Paris**", "“Paris”", "<think>Lyon?</think>\nParis"], ["in Paris"]),
        ("exact", ["UK", "United Kingdom"], ["uk", "United  Kingdom"], ["England"]),
        ("exact", True, ["Yes.", "true"], ["no", "false"]),
        ({"kind": "exact", "case": True}, "Paris", ["Paris"], ["paris"]),
        ("starts with", "def", ["def f"], ["a def"]),
        ("contains", "Paris", ["It is paris, I think"], ["London"]),
        ("contains", "*", ["2 * 3"], ["2 x 3"]),
        ("contains_any", "cat, dog", ["my dog"], ["my cow"]),
        ("contains_all", ["cat", "dog"], ["dog and cat"], ["a dog"]),
        ("not contains", "sorry", ["here it is"], ["I am Sorry"]),
        ("regex", r"^\d{3}-\d{4}$", ["555-1234"], ["call 555-1234"]),
        ("number", 42, ["42", "The answer is 42.", "6 * 7 = 42", "#### 42", r"so \boxed{42}", "$42.00"], ["42 or 43"]),
        ("number", "1,234.5", ["1234.5", "about 1,234.50 in all"], ["1234"]),
        ("number", -3, ["-3", "it is −3"], ["3"]),
        ("number", 0.5, ["1/2", ".5", "5e-1"], ["2"]),
        ("number 0.01", 3.14159, ["3.14", "3.15"], ["3.2"]),
        ("json", None, ['{"a": 1}', 'Here:\n```json\n{"a": 1}\n```', 'It is [1, 2].'], []),
        ("json", {"type": "object", "required": ["a"]}, ['{"a": 1}'], ['{"b": 1}', "[1]"]),
        ("not json", None, ["plain words"], ['{"a": 1}']),
        ("tool_call", {"name": "sky", "arguments": {"city": "Oslo"}},
         ['<tool_call>{"name": "sky", "arguments": {"city": "Oslo"}}</tool_call>',
          '{"tool_calls": [{"function": {"name": "sky", "arguments": "{\\"city\\": \\"Oslo\\"}"}}]}',
          '{"name": "sky", "parameters": {"city": "Oslo"}}'],
         ['{"name": "sky", "arguments": {"city": "Rome"}}', '{"name": "sea", "arguments": {}}']),
        ("token_f1 0.5", "the red fox", ["a red fox"], ["blue"]),
        ("rouge_l 0.6", "the cat sat on the mat", ["the cat is on the mat"], ["mat the on sat"]),
        ("set_f1 1", "a, b", ["- b\n- a", '["a", "b"]', "b, a"], ["a, c"]),
    ],
)  # fmt: skip
def test_a_check_passes_what_is_right_and_nothing_else(
    check: Any, answer: Any, right: list[str], wrong: list[str]
) -> None:
    assert [verdict(check, answer, reply) for reply in right] == ["passed"] * len(right)
    assert [verdict(check, answer, reply) for reply in wrong] == ["wrong"] * len(wrong)


@pytest.mark.parametrize(
    ("check", "answer", "reply"),
    [
        ("exact", "Paris", "  \n"), ("number", 4, "four, I believe"), ("json", None, "no object here"),
        ("tool_call", "sky", "I would look at the sky."), ("not exact", "Paris", ""), ("set_f1", "a, b", "..."),
        ("exact", "Paris", "<think>it might be Paris, or"), ("not number", 4, "none"),
    ],
)  # fmt: skip
def test_a_reply_without_an_answer_is_told_apart_from_a_wrong_one(check: str, answer: Any, reply: str) -> None:
    assert verdict(check, answer, reply) == "no_answer"


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ("B", 1), ("b)", 1), ("(B)", 1), ("B. a dog", 1), ("The answer is B.", 1), ("ANSWER: C", 2),
        ("First I thought A. The answer is D", 3), ("**C**", 2), ("a dog", 1), ("I would say a dog.", 1),
        ("It is a cat and a dog", 2), ("The correct choice is (a)", 0), (r"\boxed{D}", 3), ("Answer: B as A is not", 1),
        ("I do not know", None), ("a cat or else a dog, or a cow", None), ("A or B", None), ("E", None), ("", None),
        ("The answer is a mystery", None), ("either (A) or (B)", None),
    ],
)  # fmt: skip
def test_a_choice_is_found_by_letter_or_text_and_never_guessed(reply: str, place: int | None) -> None:
    assert choice_in(reply, ANIMALS) == place


@pytest.mark.parametrize("answer", ["a dog", "B", "(b)", 1, "1", "A DOG"])
def test_the_right_choice_is_given_by_text_letter_or_number(answer: Any) -> None:
    assert verdict("choice", answer, "B", ANIMALS) == "passed"
    assert verdict("choice", answer, "C", ANIMALS) == "wrong"


@pytest.mark.parametrize(
    ("check", "answer", "said"),
    [
        ("sound", "x", "there is no check"), ("number", "four", "is no number"), ("choice", "x", "has no choices"),
        ("regex", "(", "is none"), ("json", {"type": "objekt"}, "schema is none"), ("exact", "", "is empty"),
        ("exact 0.5", "x", "threshold"), ("not rouge_l", "x", "needs a threshold"), ({"of": 1}, "x", "of"),
        ("json", {"$ref": "http://example.org/s"}, "no schema is fetched"), ("code", "assert", "no Python"),
        ("code", "", "is empty"), ("tool_call", 3, "tool call"), ("number", True, "is no number"),
        ("json", {"patternProperties": {"(a+)+$": {}}}, "bounded time"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_refused_by_name(check: Any, answer: Any, said: str) -> None:
    with pytest.raises(BadQuestion, match=said):
        item(check, answer)


def test_a_number_that_is_a_choice_s_text_and_another_s_place_is_not_guessed() -> None:
    with pytest.raises(BadQuestion, match="another's place"):
        item("choice", 1, ("1", "2", "3"))
    assert item("choice", "1", ("1", "2", "3")).checks[0].wanted == 0
    assert item("choice", 1, ("0", "1", "2")).checks[0].wanted == 1


@pytest.mark.slow
def test_a_pattern_that_runs_for_ever_is_ours_and_no_wrong_answer() -> None:
    found = judged(item("regex", r"(a|a)+$"), "a" * 60 + "b")
    assert found.verdict == "error" and "longer than" in found.message
    schema = {"type": "object", "properties": {"a": {"pattern": "(a|a)+$"}}}
    found = judged(item("json", schema), json.dumps({"a": "a" * 60 + "b"}))
    assert found.verdict == "error"


def test_all_checks_of_an_item_must_hold_and_shares_are_averaged() -> None:
    both = Item("1", ({"role": "user", "content": "q"},), tuple(
        checked(rule_of(rule), "red fox", ()) for rule in ("token_f1", "contains")
    ))  # fmt: skip
    assert judged(both, "a red fox").share == pytest.approx(0.8)
    failed = judged(both, "a red dog")
    assert (failed.verdict, failed.share) == ("wrong", 0.0)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [("the cat sat", "the cat sat", 1.0), ("a b c d", "a c e", 4 / 7), ("x", "y", 0.0), ("b a", "a b", 0.5)],
)
def test_rouge_l_is_twice_the_common_subsequence_over_all_words(one: str, other: str, share: float) -> None:
    assert rouge_l(one.split(), other.split()) == pytest.approx(share)
    assert rouge_l(other.split(), one.split()) == pytest.approx(share)


def test_overlaps_equal_rouge_scores() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer", reason="NOT TESTED: rouge-score is not installed")
    made = scorer.RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
    for one, other in (("the cat sat on the mat", "a cat is on the mat"), ("one two three", "three two one two")):
        theirs = made.score(one, other)
        assert f1(one.split(), other.split()) == pytest.approx(theirs["rouge1"].fmeasure)
        assert rouge_l(one.split(), other.split()) == pytest.approx(theirs["rougeL"].fmeasure)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e400", None),
        ("no", None),
        ("pages 3-4", 4.0),
        ("0/0", None),
        ("1/0", None),
        ("-1/4", -0.25),
        ("x" * 9000, None),
    ],
)
def test_numbers_that_are_none_are_none(text: str, number: float | None) -> None:
    assert number_in(text) == number


def test_a_schema_may_refer_to_itself() -> None:
    schema = {"$defs": {"a": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}
    assert check_schema(schema) == ""
    assert verdict("json", schema, '{"x": 1}') == "passed"
    assert verdict("json", schema, '{"x": "1"}') == "wrong"
