"""A check out of what a person or a file says of it: `exact`, `not contains`, `number 0.01`, `{kind: …, tolerance: …}`.

    rule_of("number 0.01")                        # a rule: how to check, not yet against what
    checked(rule_of("exact"), "Paris", ())        # the check of one item

Not here: promptfoo's assertions (`evaluator.question_sets.files.promptfoo`), what checks do (`verdicts`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluator.errors import ModelUnmeasurable
from evaluator.question_sets.checking.instructions import why_not
from evaluator.question_sets.checking.json_schemas import check_schema
from evaluator.question_sets.checking.numerals import number_in, plain_number
from evaluator.question_sets.checking.patterns import check_pattern
from evaluator.question_sets.checking.programs import program_test
from evaluator.question_sets.items import CHECKS, GRADED, KINDS, LETTERS, BadQuestion, Check, Kind
from results import short_repr

OTHER_NAMES: Mapping[str, Kind] = {
    "match": "exact", "exact_match": "exact", "equals": "exact", "includes": "contains", "regexp": "regex",
    "multiple_choice": "choice", "json_schema": "json", "is_json": "json", "f1": "token_f1", "rouge": "rouge_l",
    "numeric": "number", "tool": "tool_call", "python": "code", "startswith": "starts_with",
}  # fmt: skip
"""What others call the checks."""

YES_NO = {True: ["true", "yes"], False: ["false", "no"]}
"""What answers `true` and `false` of a file are."""


@dataclass(frozen=True)
class Rule:
    """How answers are checked."""

    kind: Kind
    negated: bool = False
    tolerance: float = 0.0
    threshold: float | None = None
    case: bool = False


def rule_of(said: Any) -> Rule:
    """The rule that a text or a mapping names. Raises: BadQuestion."""
    if isinstance(said, Mapping):
        known = {"kind", "not", "tolerance", "threshold", "case"}
        strange = [key for key in said if key not in known]
        if strange or not isinstance(said.get("kind"), str):
            raise BadQuestion(f"a check has kind, not, tolerance, threshold and case, not {short_repr(dict(said))}")
        found = rule_of(said["kind"])
        return _rule(
            found.kind,
            found.negated != _flag(said, "not"),
            _share(said.get("tolerance")),
            _share(said.get("threshold")),
            _flag(said, "case"),
        )
    words = re.fullmatch(r"(not[ _-]+)?([a-z][a-z0-9_ -]*?)(?:[ :=]+([0-9.][0-9.e+-]*))?", str(said).strip().lower())
    name = re.sub(r"[ -]", "_", words[2]) if words else ""
    kind = OTHER_NAMES.get(name, name)
    if words is None or kind not in KINDS:
        raise BadQuestion(
            f"there is no check {short_repr(said)}; there are {', '.join(KINDS)}, each with `not` before it"
        )
    number = _share(words[3])
    tolerance, threshold = (number, None) if kind == "number" else (None, number)
    return _rule(kind, bool(words[1]), tolerance, threshold, False)


def check_rule(said: Any) -> None:
    """Refuse a check that is none; nothing said is none to refuse. Raises: ModelUnmeasurable."""
    try:
        if said is not None:
            rule_of(said)
    except BadQuestion as error:
        raise ModelUnmeasurable(str(error)) from error


def _rule(kind: Kind, negated: bool, tolerance: float | None, threshold: float | None, case: bool) -> Rule:
    if tolerance and kind != "number":
        raise BadQuestion(f"{kind} has no tolerance; number has")
    if threshold is not None and (kind not in GRADED or not 0 < threshold <= 1):
        raise BadQuestion(
            f"{kind} with {threshold:g}: {', '.join(sorted(GRADED))} have a threshold, above 0 and up to 1"
        )
    if negated and kind in GRADED and threshold is None:
        raise BadQuestion(f"not {kind} needs a threshold: a share has no opposite")
    return Rule(kind, negated, tolerance or 0.0, threshold, case)


def _flag(said: Mapping[Any, Any], key: str) -> bool:
    value = said.get(key, False)
    if not isinstance(value, bool):
        raise BadQuestion(f"{key} is true or false, not {short_repr(value)}")
    return value


def _share(value: Any) -> float | None:
    if value is None:
        return None
    number = plain_number(value)
    if number is None or not math.isfinite(number) or number < 0:
        raise BadQuestion(f"a tolerance or threshold is a number from 0, not {short_repr(value)}")
    return number


def checked(rule: Rule, answer: Any, choices: Sequence[str], more: Mapping[str, Any] | None = None) -> Check:
    """The check of one item by its right answer. more: further fields of the row that a check needs.

    Raises: BadQuestion naming what is wrong with the answer.
    """
    wanted = _WANTED.get(rule.kind, _texts)(answer, choices, more or {})
    return Check(rule.kind, wanted, rule.negated, rule.tolerance, rule.threshold, rule.case)


def words_of(answer: Any) -> list[str]:
    """Right answers as texts: one, or the entries of a list. Raises: BadQuestion for what is none."""
    if isinstance(answer, bool):
        return list(YES_NO[answer])
    if isinstance(answer, list | tuple):
        found = [word for one in answer for word in words_of(one)]
        if not found:
            raise BadQuestion("its list of right answers is empty")
        return found
    if isinstance(answer, int | float):
        return [f"{answer:g}" if isinstance(answer, float) else str(answer)]
    if not isinstance(answer, str):
        raise BadQuestion(f"its right answer is no text, number or list of them but {short_repr(answer)}")
    if not answer.strip():
        raise BadQuestion("its right answer is empty")
    return [answer]


def _texts(answer: Any, choices: Sequence[str], more: Mapping[str, Any]) -> list[str]:
    del choices, more
    return words_of(answer)


def _entries(answer: Any, choices: Sequence[str], more: Mapping[str, Any]) -> list[str]:
    """Texts that all count: a list, or a text with commas between."""
    del choices, more
    if isinstance(answer, str):
        answer = [part.strip() for part in re.split(r"[,\n]", answer) if part.strip()]
    return words_of(answer)


def _pattern(answer: Any, choices: Sequence[str], more: Mapping[str, Any]) -> str:
    del choices, more
    if not isinstance(answer, str) or not answer:
        raise BadQuestion(f"its pattern is no text but {short_repr(answer)}")
    if said := check_pattern(answer):
        raise BadQuestion(f"its pattern {short_repr(answer)} is none: {said}")
    return answer


def _number(answer: Any, choices: Sequence[str], more: Mapping[str, Any]) -> float:
    del choices, more
    found = plain_number(answer)
    if found is None and isinstance(answer, str):
        found = number_in(answer)
    if found is None or not math.isfinite(found):
        raise BadQuestion(f"its right answer {short_repr(answer)} is no number")
    return found


def _choice(answer: Any, choices: Sequence[str], more: Mapping[str, Any]) -> int:
    """The place of the right choice: by its text, its letter, or its number, counted from 0."""
    del more
    if not choices:
        raise BadQuestion("it has no choices to choose from")
    if isinstance(answer, list | tuple) and len(answer) == 1:
        answer = answer[0]
    text = str(answer).strip()
    numbered = isinstance(answer, int) and not isinstance(answer, bool)
    if numbered and text in choices and list(choices).index(text) != answer:
        raise BadQuestion(
            f"its right answer {answer} is one choice's text and another's place: write it as a text, or a letter"
        )
    if not isinstance(answer, bool) and text in choices:
        return list(choices).index(text)
    letter = re.fullmatch(r"\(?([A-Za-z])[).]?", text)
    if letter and (place := LETTERS.find(letter[1].upper())) < len(choices):
        return place
    folded = [choice.strip().casefold() for choice in choices]
    if folded.count(text.casefold()) == 1:
        return folded.index(text.casefold())
    number = plain_number(answer)
    if number is not None and number == int(number) and 0 <= number < len(choices):
        return int(number)
    raise BadQuestion(
        f"its right answer {short_repr(answer)} is none of its {len(choices)} choices, by text, letter or number from 0"
    )


def _schema(answer: Any, choices: Sequence[str], more: Mapping[str, Any]) -> Any:
    del choices, more
    if answer is None or answer == "":
        return None
    if said := check_schema(answer):
        raise BadQuestion(f"its schema is none: {said}")
    return answer


def _call(answer: Any, choices: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
    """{"name", "arguments"}; arguments None: any."""
    del choices, more
    if isinstance(answer, str):
        return {"name": answer, "arguments": None}
    told = answer.get("function", answer) if isinstance(answer, Mapping) else None
    if not isinstance(told, Mapping) or not isinstance(told.get("name"), str):
        raise BadQuestion(f"its tool call is no name, nor has it name and arguments: {short_repr(answer)}")
    arguments = told.get("arguments", told.get("parameters"))
    if arguments is not None and not isinstance(arguments, Mapping):
        raise BadQuestion(f"the arguments of its tool call are no object but {short_repr(arguments)}")
    return {"name": told["name"], "arguments": None if arguments is None else dict(arguments)}


def _code(answer: Any, choices: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
    del choices
    try:
        return program_test(answer, more)
    except ValueError as error:
        raise BadQuestion(str(error)) from error


def _instructions(answer: Any, choices: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
    """IFEval's, of a row that lists them."""
    del choices, more
    if not isinstance(answer, Mapping) or not {"prompt", "instruction_id_list", "kwargs"} <= answer.keys():
        raise BadQuestion("has no instruction_id_list with kwargs: this check is for rows as IFEval's are")
    if said := why_not(answer):
        raise BadQuestion(said)
    return dict(answer)


_WANTED: Mapping[Kind, Any] = {
    "contains_any": _entries, "contains_all": _entries, "set_f1": _entries, "regex": _pattern, "number": _number,
    "choice": _choice, "json": _schema, "tool_call": _call, "code": _code, "instructions": _instructions,
}  # fmt: skip
assert set(CHECKS) == set(KINDS)
