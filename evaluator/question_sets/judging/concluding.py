"""Verdicts of a judge become scores, and say how far they may be believed: held against people's labels.

Not here: asking the judge (`evaluator.question_sets.judging.evaluate`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluator import recording
from evaluator.humaneval.pass_at_k import scores_of
from evaluator.question_sets.checking.rubric import JudgeSettings, kinship
from evaluator.question_sets.concluding import by_tag, credit, groups_in, over_groups, shares
from evaluator.question_sets.items import QuestionSet
from evaluator.question_sets.judging.labels import Labels, read_labels
from evaluator.question_sets.judging.prompts import credit_of
from evaluator.tasks.contamination import clean_tasks
from results import Evaluation, Model, Outcome, Score, Store, calibrated, corrected_share, test_of
from results.analysis.statistics import wilson_interval

Ended = tuple[Model, Evaluation]
"""A model and the evaluation in which its replies were judged, all of them."""


def labels_of(by: JudgeSettings, test: str) -> Labels | None:
    """People's labels on answers to a test, where a file of them is named. Raises: BenchmarkUnreadable."""
    return read_labels(Path(by.labels), test, by.grades) if by.labels else None


def conclude_judged(
    ended: Sequence[Ended], judge: Model, by: JudgeSettings, questions: QuestionSet, labels: Labels | None,
    store: Store, more: Mapping[str, Any],
) -> list[Evaluation]:  # fmt: skip
    """Scores of each, with the judge's agreement with people on all labelled answers of the test.

    Without new labels a finished evaluation stays as it is.
    """
    outcomes = {one.id: store.evaluations.outcomes(one.id) for _, one in ended}
    used = 0
    if labels is not None:
        for model, one in ended:
            outcomes[one.id], count = _with_labels(outcomes[one.id], model, labels)
            used += count
    pairs = [pair for found in outcomes.values() for pair in _pairs(found)]
    pairs += _pairs_of_others(ended, store)
    calibration = calibrated(judge.name, pairs)
    told: dict[str, Any] = {
        "labels": calibration.labels, "enough": calibration.enough, "words": calibration.words,
        "agreement": calibration.agreement.value if calibration.labels else None,
        "kappa": calibration.kappa.value if calibration.kappa else None,
    }  # fmt: skip
    if labels is not None:
        told |= {"unlabelled_rows": labels.without, "labels_elsewhere": labels.elsewhere + len(labels.by_answer) - used}
    found = []
    for model, one in ended:
        if one.status == "finished" and (labels is None or _judge_details(one).get("calibration") == told):
            found.append(one)
            continue
        about = {"judge": _about(model, judge, by, outcomes[one.id], told), **more}
        found.append(_concluded(model, one, questions, by, outcomes[one.id], about, store))
    return found


def _judge_details(evaluation: Evaluation) -> Mapping[str, Any]:
    found = evaluation.details.get("judge")
    return found if isinstance(found, Mapping) else {}


def _about(
    model: Model, judge: Model, by: JudgeSettings, outcomes: Sequence[Outcome], calibration: Mapping[str, Any]
) -> dict[str, Any]:
    """What an evaluation's details say of its judge."""
    asked = [one for one in outcomes if "judge_said" in one.details]
    return {
        "name": judge.name,
        "rubric": by.text,
        "grades": list(by.grades) if by.grades else None,
        "asked": len(asked),
        "no_verdict": sum(_without_verdict(one) for one in asked),
        "why_no_verdict": dict(Counter(str(one.details["message"]) for one in asked if _without_verdict(one))),
        "kinship": kinship(judge, model),
        "calibration": dict(calibration),
    }


def _without_verdict(outcome: Outcome) -> bool:
    return outcome.verdict is None and outcome.value is None


def _concluded(
    model: Model, one: Evaluation, questions: QuestionSet, by: JudgeSettings, outcomes: Sequence[Outcome],
    about: Mapping[str, Any], store: Store,
) -> Evaluation:  # fmt: skip
    """Close an evaluation; one that was finished is closed anew, with the same verdicts beside new labels."""
    if one.status == "finished":
        store.evaluations.begin(replace(one, scores=()), replace=True)
        recording.add(store, one.id, outcomes)
    else:
        recording.add(store, one.id, [outcome for outcome in outcomes if "label" in outcome.details])
    items = [outcome.item for outcome in outcomes]
    clean, contaminated = clean_tasks(model, test_of(one.benchmark), items, store)
    told = [outcome for outcome in outcomes if outcome.verdict == "error" or not _without_verdict(outcome)]
    graded = by.grades is not None
    scores = over_groups(shares(told) if graded else scores_of(told, (1,), clean), told, clean)
    scores += _beside(outcomes, graded)
    counts = Counter(
        outcome.verdict or ("no verdict" if _without_verdict(outcome) else "graded") for outcome in outcomes
    )
    details = {
        "verdicts": dict(counts), "format": questions.format, "file": questions.path, "notes": list(questions.notes),
        "checks": {f"judged by {about['judge']['name']}": len(questions.items)}, "contamination": contaminated,
        "tags": by_tag(told), **about,
    }  # fmt: skip
    return recording.finish(store, one.id, scores, details)


def _beside(outcomes: Sequence[Outcome], graded: bool) -> list[Score]:
    """How many replies hold no answer, how many judgements no verdict; what people would have passed, where known."""
    scores = []
    looked = [one for one in outcomes if one.verdict != "error"]
    for metric, count in (
        ("no_answer_share", sum(one.verdict == "no_answer" for one in looked)),
        ("no_verdict_share", sum(map(_without_verdict, looked))),
    ):
        if looked:
            scores.append(Score(metric, count / len(looked), *wilson_interval(count, len(looked)), len(looked)))
    judged = [value for one in looked if (value := credit(one)) is not None]
    labelled = [(float(credit(one) or 0.0), float(one.details["label_value"])) for one in looked if _pairs([one])]
    corrected = None if groups_in(outcomes) else corrected_share(judged, labelled)
    for metric, meant in (("mean_share_corrected", graded), ("pass@1_corrected", not graded)):
        if corrected is None or not meant:
            continue
        scores.append(Score(metric, corrected.value, corrected.low, corrected.high, len(labelled)))
    return scores


def _with_labels(outcomes: Sequence[Outcome], model: Model, labels: Labels) -> tuple[list[Outcome], int]:
    """(the outcomes, those that people labelled with their labels; how many of the labels are of these answers)."""
    found, used = [], 0
    for one in outcomes:
        label = next(
            (known for name in (model.name, model.id, model.fine_tune)
             if (known := labels.by_answer.get((name, one.item, one.sample))) is not None), None,
        )  # fmt: skip
        answer = str(one.details.get("answer", ""))
        if label is not None and (label[1] is None or label[1].strip().lstrip("'") == answer.strip().lstrip("'")):
            used += 1
            value = credit_of(label[0], labels.grades)
            one = replace(one, details={**one.details, "label": label[0], "label_value": value})
        found.append(one)
    return found, used


def _pairs(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """(judge's verdict, person's) of the answers that have both."""
    return [
        (str(one.details["found"]), str(one.details["label"]))
        for one in outcomes
        if "label" in one.details and one.verdict != "error" and "found" in one.details and not _without_verdict(one)
    ]


def _pairs_of_others(ended: Sequence[Ended], store: Store) -> list[tuple[str, str]]:
    """The same of evaluations by this judge and rubric that this call does not hold."""
    ids, (_, first) = {one.id for _, one in ended}, ended[0]
    others = [
        one for one in store.evaluations.list(benchmark=first.benchmark)
        if one.id not in ids and one.status == "finished" and one.settings.get("judge") == first.settings.get("judge")
        and (_judge_details(one).get("calibration") or {}).get("labels")
    ]  # fmt: skip
    return [pair for one in others for pair in _pairs(store.evaluations.outcomes(one.id))]
