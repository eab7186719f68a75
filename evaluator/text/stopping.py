"""Stopping and style: does a fine-tune know when it is done, does it repeat itself, how long are its answers?

The usual accident of fine-tuning is a model that never stops (its end-of-turn token was masked out of the loss); the
usual side effect is another length. Both hide in an average of answers read by eye. Here every model answers the same
prompts greedily, and its lengths are set against its base's, prompt by prompt.

Not here: whether the answers are any good (votes, `evaluator.text.llm_judge`).
Try: bakeoff evaluate --benchmark stopping
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from engines import EngineError, Message, Sampling
from evaluator import recording
from evaluator.asking.backends import Group, Way, groups
from evaluator.asking.questions import Asked, Question
from evaluator.errors import ModelUnmeasurable
from evaluator.loading.bases import SPOKEN_TO, out_of_reach
from evaluator.style import length_ratio, prompt_set, repetition
from results import Evaluation, Model, Outcome, Progress, Score, Store, Workspace, digest
from results.analysis.statistics import share_interval, wilson_interval


class StoppingSettings(BaseModel, frozen=True, extra="forbid"):
    """How stopping is measured."""

    prompts: str = "stopping"
    """Name of a shipped prompt set, or path of a YAML file with `prompts`."""
    max_tokens: int = Field(512, ge=1)
    """An answer of this many new tokens was cut off."""
    system: str = ""
    """System turn before each prompt; empty for none of ours."""
    engine: Way | None = None
    """What GGUF models are asked through: llamacpp, which will answer, or huggingface, as for HumanEval."""
    slots: int | None = Field(None, ge=1)
    """Answers generated together, at most."""


def evaluate_stopping(
    models: Sequence[Model],
    store: Store,
    workspace: Workspace,
    settings: StoppingSettings | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    anew: bool = False,
) -> list[Evaluation]:
    """Measure each model; what is stored already is not generated again unless `anew`.

    Raises: ModelUnmeasurable, IdentityFailed, FileRefused, EngineError (what was answered before is stored).
    """
    try:
        chosen = StoppingSettings.model_validate(dict(settings or {}))
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelUnmeasurable(f"evaluate.stopping.{first['loc'][0]}: {first['msg']}") from error
    prompts = prompt_set(chosen.prompts)
    same = {**chosen.model_dump(exclude={"slots"}), "prompts_sha256": digest(prompts)}
    measurements, reached = recording.Measurements("stopping", store, anew), dict[str, Mapping[str, Any]]()

    def stored(group: Group) -> dict[str, Mapping[str, Any]]:
        return {model.id: {**same, "engine": group.engine} for model in group.members}

    for group, left in measurements.each_open(groups(_with_weights(models), workspace, chosen.engine), stored):
        jobs = _jobs(group, left, prompts, chosen, store)
        if jobs:
            with group.opened([job.question for job in jobs]) as asked:
                _answer(asked, jobs, chosen, store, progress)
            reached |= {one.model.id: group.details() for one in left}
    # Bases first: their lengths are what the others are set against.
    found = measurements.found
    for model in sorted(models, key=lambda model: model.form != "base"):
        if found[model.id].status != "finished":
            found[model.id] = _conclude(model, found[model.id], store, reached.get(model.id, {}))
    return measurements.of(models)


def _with_weights(models: Sequence[Model]) -> Sequence[Model]:
    """The models. Raises: ModelUnmeasurable for one that is only spoken to: where it ends is not seen."""
    for model in models:
        if model.form in SPOKEN_TO:
            raise out_of_reach(model)
    return models


@dataclass(frozen=True)
class _Job:
    """One answer that is wanted."""

    one: recording.Open
    question: Question


def _jobs(
    group: Group, left: Sequence[recording.Open], prompts: Sequence[str], chosen: StoppingSettings, store: Store
) -> list[_Job]:
    """What is not answered yet, model by model."""
    modes = group.prompting(None)
    turns: list[Message] = [{"role": "system", "content": chosen.system}] if chosen.system else []
    jobs = []
    for one in left:
        there = {outcome.item for outcome in store.evaluations.outcomes(one.evaluation.id)}
        for prompt in (prompt for prompt in prompts if prompt not in there):
            asked: tuple[Message, ...] = (*turns, {"role": "user", "content": prompt})
            if modes[one.model.id] == "raw":
                asked = ()
            question = Question(one.model, f"{prompt}\n\n", asked, Sampling(chosen.max_tokens), item=prompt)
            jobs.append(_Job(one, question))
    return jobs


def _answer(
    asked: Asked,
    jobs: Sequence[_Job],
    chosen: StoppingSettings,
    store: Store,
    progress: Progress | None,
) -> None:
    """Answer what is open and store it, as the group answers. Raises what the self-test and the engine raise."""
    asked_of = {job.one.evaluation.id: job.one for job in jobs}
    recording.self_test(asked_of.values(), asked.check, store)
    try:
        answers = asked.answers([job.question for job in jobs], chosen.slots)
        for done, (index, answer) in enumerate(answers, 1):
            evaluation, question = jobs[index].one.evaluation, jobs[index].question
            if answer.finish_reason == "error":
                raise EngineError(f"{question.model.name}, {question.item[:60]!r}: {answer.text}")
            details = {
                "prompt": question.item, "answer": answer.text, "tokens": answer.tokens,
                "words": len(answer.text.split()), "finish_reason": answer.finish_reason,
                "repetition": repetition(answer.text), "near_tie": answer.near_tie,
            }  # fmt: skip
            recording.add(store, evaluation.id, [Outcome(question.item, value=float(answer.tokens), details=details)])
            if progress is not None:
                progress("answers to the stopping prompts", done, len(jobs))
    except EngineError as error:
        for identity in asked_of:
            store.evaluations.fail(identity, str(error))
        raise


def _conclude(model: Model, evaluation: Evaluation, store: Store, details: Mapping[str, Any]) -> Evaluation:
    outcomes = store.evaluations.outcomes(evaluation.id)
    n = len(outcomes)
    cut = sum(outcome.details["finish_reason"] == "length" for outcome in outcomes)
    tokens = np.array([float(outcome.details["tokens"]) for outcome in outcomes])
    repeated = share_interval([float(outcome.details["repetition"]) for outcome in outcomes])
    scores = [Score("cut_off_share", cut / n, *wilson_interval(cut, n), n)]
    if n > 1:
        scores.append(Score("repetition_share", repeated.value, repeated.low, repeated.high, n))
    scores += [
        Score(f"answer_tokens_p{percent}", float(np.percentile(tokens, percent)), None, None, n)
        for percent in (10, 50, 90)
    ]
    base, against = _lengths_of_base(model, evaluation, store)
    lengths = (
        length_ratio({outcome.item: float(outcome.details["tokens"]) for outcome in outcomes}, base) if base else None
    )
    if lengths is not None:
        scores.append(Score("length_over_base", lengths.ratio, lengths.low, lengths.high, lengths.n))
        details = {**details, "length_against": against}
    return recording.finish(store, evaluation.id, scores, details)


def _lengths_of_base(model: Model, evaluation: Evaluation, store: Store) -> tuple[dict[str, float], str]:
    """(tokens of the base's answers by prompt, its name), measured with the same settings through the same engine.

    The untouched base in the model's own form goes before another form of it; empty without one.
    """
    if model.run_id is None and model.form == "base":
        return {}, ""
    found: list[tuple[bool, Evaluation, Model]] = []
    for other in store.evaluations.list(benchmark="stopping"):
        known = store.models.get(other.model_id)
        untouched = known.base == model.base and known.run_id is None and (known.form == "base" or model.run_id)
        if untouched and known.id != model.id and other.status == "finished" and other.settings == evaluation.settings:
            found.append((known.form == model.form, other, known))
    if not found:
        return {}, ""
    _, other, known = max(enumerate(found), key=lambda one: (one[1][0], one[1][2].form == "base", one[0]))[1]
    outcomes = store.evaluations.outcomes(other.id)
    return {outcome.item: float(outcome.details["tokens"]) for outcome in outcomes}, known.name
