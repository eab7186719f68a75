"""The verdict on a reply: passed, wrong, or no answer; of graded checks a share.

`no_answer`: the reply holds nothing that the check could look at: no text at all, no number, no choice or several, no
JSON. It counts as not right, and is told apart from a wrong answer wherever answers are counted.

Not here: programs, which a sandbox judges (`evaluator.question_sets.evaluate`); what a reply's answer is (`replies`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evaluator.question_sets.checking import overlaps
from evaluator.question_sets.checking.instructions import checker
from evaluator.question_sets.checking.json_schemas import invalid
from evaluator.question_sets.checking.numerals import equal, number_in
from evaluator.question_sets.checking.patterns import PatternOverran, searched
from evaluator.question_sets.checking.replies import (
    answer_in,
    call_in,
    choice_in,
    entries_in,
    json_in,
    normal,
    plain,
    words,
)
from evaluator.question_sets.items import LETTERS, Check, Item
from results import short_repr


@dataclass(frozen=True)
class Judged:
    """What became of one reply."""

    verdict: Literal["passed", "wrong", "no_answer", "error"]
    """error: ours, such as a pattern that takes for ever."""
    share: float | None = None
    """What a graded check gives, in [0, 1]; the mean over several."""
    found: str = ""
    """The answer that was found in the reply, as it was compared."""
    message: str = ""
    """What did not hold, in a few words; empty for a pass."""


_Result = tuple[bool | float | None, str]
"""(whether it holds, or its share, or None where there is no answer; the answer that was found)."""


def judged(item: Item, reply: str) -> Judged:
    """The verdict of an item's checks on a reply, but of those that need a sandbox.

    Several checks must all hold; a graded item has the mean of its shares, and nothing where another check fails.
    """
    text = answer_in(reply)
    if not text:
        return Judged(
            "no_answer", message="the reply is empty" if not reply.strip() else "the reply holds thoughts alone"
        )
    shares, found, worst = [], "", Judged("passed")
    for check in item.checks:
        if check.kind == "code":
            continue
        try:
            held, found_here = _result(check, item, text)
        except PatternOverran as error:
            return Judged("error", message=str(error))
        found = found or found_here
        if held is None:
            one = Judged("no_answer", message=f"{check.words}: {_ABSENT[check.kind]}")
        elif check.graded:
            shares.append(float(held))
            continue
        else:
            one = _passed_or_wrong(check, held, found_here)
        worst = min(worst, one, key=lambda judged: _ORDER[judged.verdict])
    if worst.verdict != "passed":
        return Judged(worst.verdict, 0.0 if item.graded else None, found[:MOST_FOUND], worst.message)
    share = sum(shares) / len(shares) if shares else None
    return Judged("passed", share, found[:MOST_FOUND])


MOST_FOUND = 2000
"""Characters of an answer that are kept beside the whole reply."""

_ORDER = {"error": 0, "wrong": 1, "no_answer": 2, "passed": 3}

_ABSENT: Mapping[str, str] = {
    "number": "no number", "choice": "no choice named, or several", "json": "no JSON", "tool_call": "no tool call",
    "set_f1": "no entries", "token_f1": "no words", "rouge_l": "no words",
}  # fmt: skip


def _passed_or_wrong(check: Check, held: bool | float, found: str) -> Judged:
    passes = held if isinstance(held, bool) else held >= (check.threshold or 0.0) - 1e-9
    if passes != check.negated:
        return Judged("passed")
    share = "" if isinstance(held, bool) else f" is {held:.3f}"
    return Judged("wrong", message=f"{check.words}{share}: {short_repr(found)}"[:300])


def _result(check: Check, item: Item, text: str) -> _Result:
    return _choice(check, item.choices, text) if check.kind == "choice" else _RESULTS[check.kind](check, text)


def _exact(check: Check, text: str) -> _Result:
    found = normal(text, check.case)
    return (found in {normal(one, check.case) for one in check.wanted} if found else None), found


def _starts_with(check: Check, text: str) -> _Result:
    found = normal(text, check.case)
    return any(found.startswith(normal(one, check.case)) for one in check.wanted), found


def _contains(check: Check, text: str) -> _Result:
    folded = plain(text, check.case)
    held = [plain(one, check.case) in folded for one in check.wanted]
    return (all if check.kind == "contains_all" else any)(held), text


def _regex(check: Check, text: str) -> _Result:
    match = searched(check.wanted, text)
    return match is not None, match.group() if match else text


def _number(check: Check, text: str) -> _Result:
    found = number_in(text)
    return (None, "") if found is None else (equal(found, check.wanted, check.tolerance), f"{found:.15g}")


def _choice(check: Check, choices: Sequence[str], text: str) -> _Result:
    place = choice_in(text, choices)
    return (None, "") if place is None else (place == check.wanted, LETTERS[place])


def _json(check: Check, text: str) -> _Result:
    found = json_in(text)
    if found is None:
        return (False if check.negated else None), ""
    said = "" if check.wanted is None else invalid(found.value, check.wanted)
    return not said, said or short_repr(found.value)


def _tool_call(check: Check, text: str) -> _Result:
    calls = call_in(text)
    if not calls:
        return (False if check.negated else None), ""
    wanted = check.wanted
    named = [call["arguments"] for call in calls if call["name"] == wanted["name"]]
    held = any(wanted["arguments"] is None or _alike(arguments, wanted["arguments"]) for arguments in named)
    return held, short_repr(calls[0])


def _alike(found: Any, wanted: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, true is not 1."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return found.keys() == wanted.keys() and all(_alike(found[key], wanted[key]) for key in wanted)
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_alike, found, wanted))
    return bool(found == wanted)


def _set_f1(check: Check, text: str) -> _Result:
    found = entries_in(text)
    return (overlaps.set_f1(found, [normal(one) for one in check.wanted]) if found else None), ", ".join(found)


def _overlap(check: Check, text: str) -> _Result:
    """The best over several right answers."""
    found = words(text)
    measure = overlaps.f1 if check.kind == "token_f1" else overlaps.rouge_l
    return (max(measure(found, words(one)) for one in check.wanted) if found else None), text


def _instructions(check: Check, text: str) -> _Result:
    """Found is what is not followed, or all."""
    _, followed = checker()
    kept = followed(check.wanted, text)
    missed = [name for name, held in zip(check.wanted["instruction_id_list"], kept, strict=True) if not held]
    return not missed, f"not followed: {', '.join(missed)}" if missed else f"all {len(kept)} followed"


_RESULTS: Mapping[str, Any] = {
    "exact": _exact, "starts_with": _starts_with, "contains": _contains, "contains_any": _contains,
    "contains_all": _contains, "regex": _regex, "number": _number, "json": _json,
    "tool_call": _tool_call, "set_f1": _set_f1, "token_f1": _overlap, "rouge_l": _overlap,
    "instructions": _instructions,
}  # fmt: skip


def listed(choices: Sequence[str]) -> str:
    """Choices as a question lists them: A) …, a line each."""
    return "\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
