"""What lm-eval makes of the answers becomes outcomes and scores: each document's metrics, and lm-eval's own totals.

The first metric that is one number for each document decides: it is the document's verdict where it is 0 or 1 for
all, else its share, and the first score (`pass@1` or `mean_share`) is its mean. Behind it stand all figures of lm-eval
under its names. Metrics of which less is better, and those of whole tasks alone, decide nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evaluator import recording
from evaluator.humaneval.pass_at_k import scores_of
from evaluator.question_sets.concluding import over_groups
from evaluator.question_sets.lm_eval_tasks.documents import Document, Documents, request_shown
from evaluator.question_sets.lm_eval_tasks.replay import evaluated
from evaluator.tasks.contamination import clean_tasks
from results import Evaluation, Outcome, Score, Store
from results.analysis.statistics import share_interval, wilson_interval

LONGEST_TARGET = 2000
"""Characters of a target that are stored."""

PLAIN_FILTERS = ("", "none", "create_test")


def answered_outcome(document: Document, sample: int, responses: Sequence[Any], more: Mapping[str, Any]) -> Outcome:
    """A document's responses as they are stored before lm-eval has seen them: without a verdict."""
    prompt = request_shown(str(document.requests[0].args[0]))
    details = {"prompt": prompt, "responses": list(responses), "task": document.task, **more}
    details |= {"group": document.group} if document.group else {}
    return Outcome(document.id, sample, details=details)


def conclude(evaluation: Evaluation, of: Documents, store: Store, more: Mapping[str, Any]) -> Evaluation:
    """Have lm-eval judge the stored answers, store each document's metrics, and close the evaluation."""
    outcomes = [one for one in store.evaluations.outcomes(evaluation.id) if one.verdict != "error"]
    by_id = {document.id: document for document in of.chosen}
    answered: dict[tuple[str, int], list[list[Any]]] = {}
    for one in sorted(outcomes, key=lambda one: one.sample):
        document, responses = by_id[one.item], one.details["responses"]
        kept = answered.setdefault((document.task, document.place), [[] for _ in responses])
        for place, response in enumerate(responses):
            kept[place].append(response)
    repeats = {(one.task, one.place): one.repeats for one in of.chosen}
    answered = {key: kept for key, kept in answered.items() if all(len(one) == repeats[key] for one in kept)}
    if not answered:
        return recording.finish(store, evaluation.id, [], dict(more))
    found = evaluated(of, answered)
    judged = _judged(found, of)
    recording.add(store, evaluation.id, [_with_verdict(one, judged) for one in outcomes])
    stored = store.evaluations.outcomes(evaluation.id)
    model = store.models.get(evaluation.model_id)
    clean, contaminated = clean_tasks(model, evaluation.benchmark, [one.item for one in stored], store)
    first = over_groups(_first(stored, judged, clean), stored, clean)
    details = {
        "verdicts": dict(Counter(one.verdict or "graded" for one in stored)),
        "contamination": contaminated,
        "metric": judged.metric,
        "tags": _tags(stored) if len(of.tasks.tasks) > 1 else {},
        "tokens": sum(int(one.details.get("tokens") or 0) for one in stored),
        "cut_off": sum(one.details.get("finish_reason") == "length" for one in stored),
        "notes": list(judged.notes),
    }
    return recording.finish(store, evaluation.id, [*first, *_totals(found, of, judged)], {**details, **more})


@dataclass(frozen=True)
class _Judged:
    """lm-eval's samples, by document."""

    metrics: Mapping[str, Mapping[str, float]]
    """Document → metric → value."""
    targets: Mapping[str, str]
    metric: str
    """What decides; empty where nothing does."""
    decided: bool
    """Whether it is 0 or 1 for all documents."""
    notes: tuple[str, ...] = ()


def label_of(metric: str, filtered: str) -> str:
    """A metric with the filter that it was taken behind, where there are several; as imported results have it."""
    return metric if filtered in PLAIN_FILTERS else f"{metric} ({filtered})"


def _judged(found: Mapping[str, Any], of: Documents) -> _Judged:
    ids = {(document.task, document.place): document.id for document in of.chosen}
    metrics: dict[str, dict[str, float]] = {}
    targets: dict[str, str] = {}
    for task, samples in found["samples"].items():
        for sample in samples:
            item = ids[task, int(sample["doc_id"])]
            targets[item] = str(sample.get("target", ""))[:LONGEST_TARGET]
            for name in sample["metrics"]:
                if (value := _number(sample[name])) is not None:
                    metrics.setdefault(item, {})[label_of(str(name), str(sample["filter"]))] = value
    labels = list(dict.fromkeys(label for one in metrics.values() for label in one))
    less = {name for task in of.tasks.tasks.values() for name, more in task.higher_is_better().items() if more is False}
    rising = [label for label in labels if label.split(" (")[0] not in less]
    metric = next((label for label in rising if all(label in one for one in metrics.values())), "")
    values = [one[metric] for one in metrics.values()] if metric else []
    notes = (
        () if metric else ("no metric is one number for each document of which more is better: nothing decides by it",)
    )
    return _Judged(metrics, targets, metric, bool(values) and all(value in (0, 1) for value in values), notes)


def _number(value: Any) -> float | None:
    try:
        number = float(value) if not isinstance(value, list | tuple | dict | str) else math.nan
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _with_verdict(outcome: Outcome, judged: _Judged) -> Outcome:
    metrics = judged.metrics.get(outcome.item, {})
    told = {"target": judged.targets.get(outcome.item, ""), "metrics": dict(metrics), "metric": judged.metric}
    value = metrics.get(judged.metric)
    verdict = None if not judged.decided or value is None else "passed" if value else "wrong"
    return replace(outcome, verdict=verdict, value=value, details={**outcome.details, **told})  # type: ignore[arg-type]


def _first(stored: Sequence[Outcome], judged: _Judged, clean: Any) -> list[Score]:
    """The score that decides."""
    if not judged.metric:
        return []
    if judged.decided:
        single = list({one.item: replace(one, sample=0) for one in stored if one.verdict != "error"}.values())
        return scores_of(single, (1,), clean)
    values = list({one.item: float(one.value) for one in stored if one.value is not None}.values())
    return [_share("mean_share", sum(values) / len(values), values)] if values else []


def _totals(found: Mapping[str, Any], of: Documents, judged: _Judged) -> list[Score]:
    """lm-eval's own figures: of a task under its metrics' names; of a group each task's behind them."""
    scores = []
    several = len(of.tasks.tasks) > 1
    for kind in ("groups", "results"):
        for task, figures in (found.get(kind) or {}).items():
            if kind == "results" and task in (found.get("groups") or {}):
                continue
            for key, raw in figures.items():
                name, comma, filtered = key.partition(",")
                if not comma or name.endswith("_stderr") or (value := _number(raw)) is None:
                    continue
                label = label_of(name, filtered)
                named = f"{label} of {task}" if several else label
                scores.append(_share(named, value, _values(of, judged, label, task)))
    return scores


def _values(of: Documents, judged: _Judged, label: str, task: str) -> list[float]:
    """A metric of a task's documents, or of a group's."""
    return [
        judged.metrics[one.id][label]
        for one in of.chosen
        if (one.task == task or task not in of.tasks.tasks) and label in judged.metrics.get(one.id, {})
    ]


def _share(label: str, value: float, values: Sequence[float]) -> Score:
    """A figure with its interval, where it is the mean of what stands for it."""
    if not values or abs(sum(values) / len(values) - value) > 1e-9:
        return Score(label, value, None, None, len(values))
    if all(one in (0, 1) for one in values):
        return Score(label, value, *wilson_interval(int(sum(values)), len(values)), len(values))
    spread = share_interval(values)
    low, high = (bound if math.isfinite(bound) else None for bound in (spread.low, spread.high))
    return Score(label, value, low, high, len(values))


def _tags(stored: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Task → its share, as tags of question sets have it."""
    values: dict[str, list[float]] = {}
    for one in stored:
        if one.verdict != "error" and one.value is not None:
            values.setdefault(str(one.details["task"]), []).append(one.value)
    found = {}
    for task, given in values.items():
        score = _share(task, sum(given) / len(given), given)
        found[task] = {"value": score.value, "low": score.low or 0.0, "high": score.high or 1.0, "n": len(given)}
    return found
