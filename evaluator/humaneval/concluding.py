"""Stored answers get their verdicts and scores: now, later, or on another machine.

An answer is stored whole before or with its verdict. Where there is no sandbox nothing is run: the answers stay
without verdicts, the evaluation is `unscored` and has no scores, and `rescore` completes it wherever there is one.

Not here: asking (`evaluator.humaneval.evaluate`), verdicts themselves (`evaluator.humaneval.scoring`).
Try: bakeoff evaluate demo-rank8 --rescore
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from engines import Generated
from evaluator import recording
from evaluator.asking.prompts import Prompting
from evaluator.errors import ModelUnmeasurable
from evaluator.extraction.extract import Taking, extract_code, taken
from evaluator.humaneval.handing_in import Rule, answer_of, labels_compared, mode_of, settings_of, taking_of
from evaluator.humaneval.misfits import misfits
from evaluator.humaneval.pass_at_k import scores_of
from evaluator.humaneval.scoring import ScoredAnswer, Scorer, check_tasks
from evaluator.tasks.contamination import clean_tasks
from evaluator.tasks.samples import Answer, matched
from evaluator.tasks.task import Task
from results import Evaluation, Outcome, Progress, Store


def answered(outcome: Outcome) -> bool:
    """Whether an answer is stored that only lacks its verdict."""
    return outcome.verdict is None and "answer" in outcome.details


def outcome_of(task: Task, sample: int, generated: Generated, prompt: str, prompting: Prompting) -> Outcome:
    """An answer as it is stored, without a verdict; what an engine could not answer is an error of ours."""
    if generated.finish_reason == "error":
        said = {"prompt": prompt, "message": generated.text, "finish_reason": "error"}
        return Outcome(task.id, sample, "error", details=said)
    found = extract_code(generated.text, task, mode_of(prompting))
    details: dict[str, Any] = {
        "prompt": prompt, "answer": generated.text, "code": found.code, "kind": found.kind, "rule": found.rule,
        "tokens": generated.tokens, "finish_reason": generated.finish_reason, "near_tie": generated.near_tie,
    }  # fmt: skip
    return Outcome(task.id, sample, details=details)


def judged(outcomes: Sequence[Outcome], scorer: Scorer, progress: Progress | None = None) -> list[Outcome]:
    """The outcomes, those that are answered with the verdicts on their stored code, in their order."""
    return _judged(outcomes, scorer, progress)[0]


def _judged(
    outcomes: Sequence[Outcome], scorer: Scorer, progress: Progress | None
) -> tuple[list[Outcome], list[ScoredAnswer]]:
    """(what `judged` gives, the verdicts of those that are answered)."""
    places = [place for place, outcome in enumerate(outcomes) if answered(outcome)]
    answers = [
        Answer(one.item, one.sample, one.details["code"], one.details["kind"], one.details["finish_reason"] == "length")
        for one in (outcomes[place] for place in places)
    ]
    found, verdicts = list(outcomes), scorer.score(answers, progress) if answers else []
    for place, scored in zip(places, verdicts, strict=True):
        found[place] = _with_verdict(outcomes[place], scored)
    return found, verdicts


def _with_verdict(outcome: Outcome, scored: ScoredAnswer) -> Outcome:
    details = {**outcome.details, "message": scored.message, "cpu_seconds": scored.cpu_seconds}
    if scored.base is not None:
        details["base_verdict"] = scored.base
    return replace(outcome, verdict=scored.verdict, details=details)


def limits_of(scorer: Scorer, progress: Progress | None = None) -> dict[str, Any]:
    """The calibrated time limits, and which references do not pass here, for the evaluation's details."""
    found = scorer.calibrated(progress)
    limits = {
        "slowness": found.slowness,
        "cpu_limit_seconds": found.cpu_seconds("", scorer.settings.limits.cpu_seconds),
    }
    return limits | ({"failed_references": dict(found.failed)} if found.failed else {})


def rescore(
    evaluation_id: str, store: Store, tasks: Sequence[Task], progress: Progress | None = None, rule: Rule | None = None
) -> Evaluation:
    """Run the stored answers of an evaluation (again), by the rule of `handing_in`; its outcomes and scores become the
    new ones. What a rule asks for is for imported answers: those of ours have their own.

    Raises: NotFound; ModelUnmeasurable without stored answers; SamplesUnreadable (unknown task); SandboxUnavailable.
    """
    evaluation = store.evaluations.get(evaluation_id)
    how = taking_of(evaluation, rule or Rule())
    stored = store.evaluations.outcomes(evaluation_id)
    given = [answer for outcome in stored if (answer := answer_of(outcome, evaluation.benchmark)) is not None]
    if not given:
        raise ModelUnmeasurable(f"Evaluation {evaluation_id} has no stored answers to score again")
    by_id = {task.id: task for task in tasks}
    answers, notes = matched(given, tasks)
    check_tasks(answers, by_id)
    names = {answer.task_id: known.task_id for answer, known in zip(given, answers, strict=True)}
    fresh = [_unjudged(outcome, by_id, names, how) for outcome in stored]
    settings = settings_of(evaluation, how, rule or Rule())
    with Scorer(tasks, settings) as scorer:
        limits = limits_of(scorer)
        renewed, scored = _judged(fresh, scorer, progress)
    details = {key: value for key, value in evaluation.details.items() if key not in ("unscored", "verdicts")}
    details |= {"extraction": how, "before_completion": settings.before_completion}
    details |= {"before_solution": settings.before_solution}
    if evaluation.origin == "imported" and "scored_by" not in details:
        details |= {"scored_by": "Bakeoff", "labels": labels_compared(answers, scored)}
    details["notes"] = notes + misfits(answers, scored, by_id, settings, how)
    # whoever gave the verdicts before, they are ours now, and compare with ours
    ours = {"scored_by": "Bakeoff"} if evaluation.origin == "imported" else {}
    renamed = replace(evaluation, settings={**evaluation.settings, **ours}, details=details)
    store.evaluations.begin(renamed, replace=True)
    store.evaluations.add_outcomes(evaluation_id, renewed)
    return conclude(evaluation_id, store, {"limits": limits})


def _unjudged(outcome: Outcome, tasks: Mapping[str, Task], names: Mapping[str, str], how: Taking) -> Outcome:
    """An outcome with the program that is to be run, and without a verdict; as it is where it has no answer."""
    answer = answer_of(outcome, "")
    if answer is None:
        return outcome
    task = tasks[names[answer.task_id]]
    details = {"finish_reason": "", **outcome.details, "answer": answer.code, **asdict(taken(answer, task, how))}
    if how not in ("chat", "completion"):
        details["given_kind"] = answer.kind
    return replace(outcome, item=task.id, verdict=None, details=details)


def conclude(evaluation_id: str, store: Store, more: Mapping[str, Any] | None = None) -> Evaluation:
    """Aggregate the stored outcomes into scores and close the evaluation."""
    evaluation = store.evaluations.get(evaluation_id)
    model = store.models.get(evaluation.model_id)
    outcomes = store.evaluations.outcomes(evaluation_id)
    clean, contaminated = clean_tasks(model, evaluation.benchmark, [outcome.item for outcome in outcomes], store)
    scores = scores_of(outcomes, evaluation.settings.get("k") or (1,), clean)
    ties = sum(outcome.details.get("near_tie") is not None for outcome in outcomes)
    details: dict[str, Any] = {
        "verdicts": dict(Counter(outcome.verdict or "none" for outcome in outcomes)),
        "rules": dict(Counter(str(outcome.details.get("rule", "")) for outcome in outcomes)),
        "contamination": contaminated,
        "tokens": sum(int(outcome.details.get("tokens", 0)) for outcome in outcomes),
        # only an engine that shows logits knows them
        "near_ties": ties if evaluation.settings.get("engine", "huggingface") == "huggingface" else None,
        "cut_off": sum(outcome.details.get("finish_reason") == "length" for outcome in outcomes),
    }
    return recording.finish(store, evaluation_id, scores, {**details, **(more or {})})


def set_aside(evaluation_id: str, store: Store, why: str, more: Mapping[str, Any]) -> Evaluation:
    """Leave an evaluation whose answers are all stored without verdicts, saying why and what completes it."""
    evaluation = store.evaluations.get(evaluation_id)
    name = store.models.get(evaluation.model_id).name
    reason = (
        f"answers stored, not scored: {why} "
        f"Score them where there is a sandbox: bakeoff evaluate {name} --benchmark {evaluation.benchmark} --rescore"
    )
    return store.evaluations.set_aside(evaluation_id, reason, {**more, "unscored": why})
