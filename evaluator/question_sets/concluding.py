"""Replies become outcomes, outcomes scores: pass@1 where answers pass or fail, the mean share where any is graded.

Not here: asking (`evaluator.question_sets.evaluate`), the checks (`evaluator.question_sets.checking.verdicts`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from engines import Generated
from evaluator import recording
from evaluator.extraction.extract import extract_code
from evaluator.humaneval.pass_at_k import scores_of
from evaluator.humaneval.scoring import Scorer, ScoringSettings
from evaluator.question_sets.checking.programs import task_of
from evaluator.question_sets.checking.replies import plain
from evaluator.question_sets.checking.verdicts import judged
from evaluator.question_sets.items import Check, Item, QuestionSet
from evaluator.sandbox.bubblewrap import sandbox_available
from evaluator.tasks.contamination import clean_tasks
from evaluator.tasks.samples import Answer
from results import Evaluation, Outcome, Score, Store, grouped_interval, short_repr
from results.analysis.statistics import share_interval, wilson_interval


def outcome_of(item: Item, sample: int, generated: Generated, prompt: str) -> Outcome:
    """A reply as it is stored: with its verdict, or its share; without either where a sandbox is to run its program,
    or no rule says what is right.

    What an engine could not answer is an error of ours.
    """
    if generated.finish_reason == "error":
        said = {"prompt": prompt, "message": generated.text, "finish_reason": "error"}
        return Outcome(item.id, sample, "error", details=said)
    found = judged(item, generated.text)
    details: dict[str, Any] = {
        "prompt": prompt, "answer": generated.text, "found": found.found, "message": found.message,
        "checks": [check.words for check in item.checks], "wanted": wanted_words(item), "tokens": generated.tokens,
        "finish_reason": generated.finish_reason, "near_tie": generated.near_tie,
    }  # fmt: skip
    if item.tags:
        details["tags"] = list(item.tags)
    if item.group:
        details["group"] = item.group
    if found.verdict == "passed" and (_program(item) or not item.checks):
        return Outcome(item.id, sample, details=details)
    if found.verdict == "passed" and found.share is not None:
        return Outcome(item.id, sample, value=found.share, details=details)
    cut = generated.finish_reason == "length" and found.verdict in ("wrong", "no_answer")
    return Outcome(item.id, sample, "truncated" if cut else found.verdict, found.share, details)


def wanted_words(item: Item) -> list[str]:
    """What the checks want, each in some hundred characters, as a page shows it."""
    return [_wanted(item, check) for check in item.checks]


def _wanted(item: Item, check: Check) -> str:
    if check.kind == "choice":
        return str(item.choices[check.wanted])
    if check.kind == "number":
        return f"{check.wanted:.15g}"
    texts = isinstance(check.wanted, list) and all(isinstance(one, str) for one in check.wanted)
    return " | ".join(check.wanted)[:200] if texts else short_repr(check.wanted)


def _program(item: Item) -> bool:
    return any(check.kind == "code" for check in item.checks)


FOR_A_JUDGE = "for_a_judge"
"""Key of an evaluation's details: questions whose answers only a judging model can look at."""


def waits(outcome: Outcome) -> bool:
    """Whether a reply is stored that has no verdict: its program was not run yet, or no rule checks it."""
    return outcome.verdict is None and outcome.value is None and "answer" in outcome.details


def run(outcomes: Sequence[Outcome], items: Mapping[str, Item], scorer: Scorer) -> list[Outcome]:
    """The outcomes; those that wait with the verdicts on their programs."""
    found = list(outcomes)
    places = [place for place, one in enumerate(outcomes) if waits(one) and _program(items[one.item])]
    answers = []
    for place in places:
        outcome = outcomes[place]
        item = items[outcome.item]
        check = next(check for check in item.checks if check.kind == "code")
        code = extract_code(str(outcome.details["answer"]), task_of(item, check), "chat")
        cut = outcome.details["finish_reason"] == "length"
        answers.append(Answer(outcome.item, outcome.sample, code.code, code.kind, cut))
    scored = scorer.score(answers) if answers else []
    for place, answer, one in zip(places, answers, scored, strict=True):
        outcome = outcomes[place]
        negated = next(check for check in items[outcome.item].checks if check.kind == "code").negated
        verdict = one.verdict
        if negated and verdict in ("passed", "wrong"):
            verdict = "wrong" if verdict == "passed" else "passed"
        told = {"message": one.message, "cpu_seconds": one.cpu_seconds, "code": answer.code}
        found[place] = replace(outcome, verdict=verdict, details={**outcome.details, **told})
    return found


@contextmanager
def sandboxed(items: Sequence[Item]) -> Iterator[Callable[[Sequence[Outcome]], list[Outcome]] | None]:
    """What gives outcomes that wait the verdicts on their programs; None where no item asks for one, or nothing can be
    run in isolation."""
    tasks = [task_of(item, check) for item in items for check in item.checks if check.kind == "code"]
    if not tasks or not sandbox_available()[0]:
        yield None
        return
    by_id = {item.id: item for item in items}
    with Scorer(tasks, ScoringSettings(before_solution="imports", calibrate=False)) as scorer:
        yield lambda outcomes: run(outcomes, by_id, scorer)


def conclude(evaluation_id: str, questions: QuestionSet, store: Store, more: Mapping[str, Any]) -> Evaluation:
    """Aggregate the stored outcomes into scores and close the evaluation; set aside where no rule checks some."""
    evaluation = store.evaluations.get(evaluation_id)
    if open_ := [item.id for item in questions.items if not item.checks]:
        reason = (
            f"replies stored, not scored: {len(open_)} of {len(questions.items)} questions have no right answer that a "
            "rule could check. A model judges them: --judge NAME --rubric TEXT"
        )
        return store.evaluations.set_aside(evaluation_id, reason, {**more, FOR_A_JUDGE: len(open_)})
    model = store.models.get(evaluation.model_id)
    outcomes = store.evaluations.outcomes(evaluation_id)
    clean, contaminated = clean_tasks(model, evaluation.benchmark, [outcome.item for outcome in outcomes], store)
    scores = over_groups(_scores(outcomes, any(item.graded for item in questions.items), clean), outcomes, clean)
    counts = Counter(outcome.verdict or "graded" for outcome in outcomes)
    details: dict[str, Any] = {
        "verdicts": dict(counts),
        "format": questions.format,
        "file": questions.path,
        "checks": questions.checks,
        "notes": list(questions.notes),
        **({"published": dict(questions.published)} if questions.published else {}),
        "left_out": [f"{bad.where}: {bad.reason}" for bad in questions.bad][:MOST_NAMED],
        "contamination": contaminated,
        "tags": by_tag(outcomes),
        "near_misses": near_misses(outcomes, questions),
        "tokens": sum(int(outcome.details.get("tokens", 0)) for outcome in outcomes),
        "cut_off": sum(outcome.details.get("finish_reason") == "length" for outcome in outcomes),
    }
    return recording.finish(store, evaluation_id, scores, {**details, **more})


def _scores(outcomes: Sequence[Outcome], graded: bool, clean: Collection[str] | None) -> list[Score]:
    """The main score first; then how many replies held no answer, and what the likeliest choices by byte come to."""
    scores = shares(outcomes) if graded else scores_of(outcomes, (1,), clean)
    by_bytes = [bool(one.details["passed_by_bytes"]) for one in outcomes if "passed_by_bytes" in one.details]
    if (told := sum(outcome.verdict != "error" for outcome in outcomes)) and not by_bytes:  # those choose in any case
        absent = sum(outcome.verdict == "no_answer" for outcome in outcomes)
        scores.append(Score("no_answer_share", absent / told, *wilson_interval(absent, told), told))
    if by_bytes:
        right, n = sum(by_bytes), len(by_bytes)
        scores.append(Score("pass@1_by_bytes", right / n, *wilson_interval(right, n), n))
    return scores


def over_groups(scores: Sequence[Score], outcomes: Sequence[Outcome], clean: Collection[str] | None) -> list[Score]:
    """The scores, their intervals over groups where items are related."""
    groups = groups_in(outcomes)
    if not groups:
        return list(scores)
    told = [one for one in outcomes if one.verdict != "error"]
    values = {
        "pass@1": _means(told, credit),
        "no_answer_share": _means(told, lambda one: float(one.verdict == "no_answer")),
        "pass@1_by_bytes": _means(outcomes, lambda one: one.details.get("passed_by_bytes")),
    }
    values["mean_share"] = values["pass@1"]
    values["pass@1_clean"] = {item: value for item, value in values["pass@1"].items() if item in (clean or ())}
    found = []
    for score in scores:
        spread = grouped_interval(values.get(score.metric, {}), groups)
        found.append(score if spread is None else replace(score, low=spread.low, high=spread.high))
    return found


def groups_in(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Item → the label of its group, of those that have one."""
    return {one.item: str(one.details["group"]) for one in outcomes if one.details.get("group")}


def _means(outcomes: Sequence[Outcome], of: Callable[[Outcome], float | None]) -> dict[str, float]:
    """Item → the mean of what its outcomes count, of those that count."""
    values: dict[str, list[float]] = {}
    for outcome in outcomes:
        if (value := of(outcome)) is not None:
            values.setdefault(outcome.item, []).append(float(value))
    return {item: sum(several) / len(several) for item, several in values.items()}


MOST_NAMED = 100
"""Bad items that an evaluation names."""


def credit(outcome: Outcome) -> float | None:
    """What an outcome counts, in [0, 1]; None for an error of ours."""
    if outcome.verdict == "error" or (outcome.verdict is None and outcome.value is None):
        return None
    return float(outcome.verdict == "passed") if outcome.verdict is not None else outcome.value


def shares(outcomes: Sequence[Outcome]) -> list[Score]:
    """The mean share of graded answers, with its interval; nothing where none counts."""
    return _mean(list(_means(outcomes, credit).values()))


def _mean(values: Sequence[float]) -> list[Score]:
    if not values:
        return []
    found = share_interval(values)
    low, high = (bound if math.isfinite(bound) else None for bound in (found.low, found.high))
    return [Score("mean_share", found.value, low, high, len(values))]


def near_misses(outcomes: Sequence[Outcome], questions: QuestionSet) -> int:
    """Wrong answers by exact that hold a right one: what `--check contains` would count."""
    wanted = {
        item.id: check.wanted
        for item in questions.items
        for check in item.checks
        if check.kind == "exact" and not check.negated
    }
    return sum(
        outcome.verdict in ("wrong", "truncated")
        and any(plain(one) in plain(str(outcome.details.get("answer", ""))) for one in wanted.get(outcome.item, ()))
        for outcome in outcomes
    )


def by_tag(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Tag → {"value", "low", "high", "n"} of its items' outcomes; empty without tags."""
    tagged: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for tag in outcome.details.get("tags") or () if credit(outcome) is not None else ():
            tagged.setdefault(str(tag), []).append(outcome)
    found = {}
    for tag, mine in sorted(tagged.items()):
        given = [float(credit(one) or 0.0) for one in mine]
        over = grouped_interval(_means(mine, credit), groups_in(mine))
        whole = all(value in (0.0, 1.0) for value in given)
        low, high = wilson_interval(int(sum(given)), len(given)) if whole else _bounds(given)
        low, high = (low, high) if over is None else (over.low, over.high)
        found[tag] = {"value": sum(given) / len(given), "low": low, "high": high, "n": len(given)}
    return found


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    found = share_interval(values)
    return max(0.0, found.low), min(1.0, found.high)
