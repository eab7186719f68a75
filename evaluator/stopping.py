"""Stopping and style: does a fine-tune know when it is done, does it repeat itself, how long are its answers?

The usual accident of fine-tuning is a model that never stops (its end-of-turn token was masked out of the loss); the
usual side effect is another length. Both hide in an average of answers read by eye. Here every model answers the same
prompts greedily, and its lengths are set against its base's, prompt by prompt.

Not here: whether the answers are any good (votes, `evaluator.judging`).
Try: bakeoff evaluate --benchmark stopping
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from engines import HuggingFaceEngine, Request, Sampling
from evaluator.errors import ModelUnmeasurable
from evaluator.families import Family, families, opened
from evaluator.identity import check_identity
from evaluator.style import length_ratio, prompt_set, repetition
from results import Evaluation, Model, Outcome, Progress, Score, Store, Workspace, digest, this_machine
from results.analysis.statistics import mean_interval, wilson_interval


class StoppingSettings(BaseModel, frozen=True, extra="forbid"):
    """How stopping is measured."""

    prompts: str = "stopping"
    """Name of a shipped prompt set, or path of a YAML file with `prompts`."""
    max_tokens: int = Field(512, ge=1)
    """An answer of this many new tokens was cut off."""
    system: str = ""
    slots: int = Field(64, ge=1)


def evaluate_stopping(
    models: Sequence[Model],
    store: Store,
    workspace: Workspace,
    settings: StoppingSettings | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    anew: bool = False,
) -> list[Evaluation]:
    """Measure each model; what is stored already is not generated again unless `anew`.

    Raises: ModelUnmeasurable, IdentityFailed, FileRefused.
    """
    try:
        chosen = StoppingSettings.model_validate(dict(settings or {}))
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelUnmeasurable(f"evaluate.stopping.{first['loc'][0]}: {first['msg']}") from error
    prompts = prompt_set(chosen.prompts)
    machine = this_machine()
    store.machines.add(machine)
    stored = {**chosen.model_dump(exclude={"slots"}), "prompts_sha256": digest(prompts), "engine": "huggingface"}
    found: dict[str, Evaluation] = {}
    for family in families(models, workspace):
        work = []
        for model in family.members:
            identity = digest([model.id, model.identity, "stopping", stored, machine.id])
            planned = Evaluation(identity[:24], model.id, "stopping", stored, machine.id)
            found[model.id] = store.evaluations.begin(planned, anew)
            if found[model.id].status != "finished":
                work.append(model)
        if work:
            with opened(family, workspace) as engine:
                _answer(engine, family, {model.id: found[model.id] for model in work}, prompts, chosen, store, progress)
    # Bases first: their lengths are what the others are set against.
    for model in sorted(models, key=lambda model: model.form != "base"):
        if found[model.id].status != "finished":
            found[model.id] = _conclude(model, found[model.id], store)
    return [found[model.id] for model in models]


def _answer(
    engine: HuggingFaceEngine,
    family: Family,
    evaluations: Mapping[str, Evaluation],
    prompts: Sequence[str],
    chosen: StoppingSettings,
    store: Store,
    progress: Progress | None,
) -> None:
    """Answer what is open and store it, all models in one batch."""
    jobs: list[tuple[Evaluation, str]] = []
    requests: list[Request] = []
    for model in (model for model in family.members if model.id in evaluations):
        evaluation, row = evaluations[model.id], family.row(model)
        try:
            check_identity(engine, row, model)
        except Exception as error:
            store.evaluations.fail(evaluation.id, f"self-test: {error}")
            raise
        there = {outcome.item for outcome in store.evaluations.outcomes(evaluation.id)}
        for prompt in prompts:
            if prompt not in there:
                jobs.append((evaluation, prompt))
                text = _rendered(engine, row, prompt, chosen.system)
                requests.append(Request(engine.encode(text), Sampling(chosen.max_tokens), row))
    for done, (index, answer) in enumerate(engine.answers(requests, chosen.slots), 1):
        evaluation, prompt = jobs[index]
        details = {
            "prompt": prompt, "answer": answer.text, "tokens": answer.tokens, "words": len(answer.text.split()),
            "finish_reason": answer.finish_reason, "repetition": repetition(answer.text), "near_tie": answer.near_tie,
        }  # fmt: skip
        store.evaluations.add_outcomes(evaluation.id, [Outcome(prompt, value=float(answer.tokens), details=details)])
        if progress is not None:
            progress("answers to the stopping prompts", done, len(jobs))


def _rendered(engine: HuggingFaceEngine, row: str, prompt: str, system: str) -> str:
    if not engine.chat_template_of(row):
        return f"{prompt}\n\n"
    turns = [{"role": "system", "content": system}] if system else []
    return engine.render([*turns, {"role": "user", "content": prompt}], row)  # type: ignore[list-item]


def _conclude(model: Model, evaluation: Evaluation, store: Store) -> Evaluation:
    outcomes = store.evaluations.outcomes(evaluation.id)
    n = len(outcomes)
    cut = sum(outcome.details["finish_reason"] == "length" for outcome in outcomes)
    tokens = np.array([float(outcome.details["tokens"]) for outcome in outcomes])
    repeated = mean_interval([float(outcome.details["repetition"]) for outcome in outcomes])
    scores = [Score("cut_off_share", cut / n, *wilson_interval(cut, n), n)]
    if n > 1:
        scores.append(Score("repetition_share", repeated.value, repeated.low, repeated.high, n))
    scores += [
        Score(f"answer_tokens_p{percent}", float(np.percentile(tokens, percent)), None, None, n)
        for percent in (10, 50, 90)
    ]
    base = _lengths_of_base(model, evaluation, store)
    lengths = (
        length_ratio({outcome.item: float(outcome.details["tokens"]) for outcome in outcomes}, base) if base else None
    )
    if lengths is not None:
        scores.append(Score("length_over_base", lengths.ratio, lengths.low, lengths.high, lengths.n))
    return store.evaluations.finish(evaluation.id, scores)


def _lengths_of_base(model: Model, evaluation: Evaluation, store: Store) -> dict[str, float]:
    """Tokens of the base's answers by prompt, under the same settings on the same machine; empty without them."""
    if model.form == "base":
        return {}
    for other in reversed(store.evaluations.list(benchmark="stopping")):
        known = store.models.get(other.model_id)
        same = other.settings == evaluation.settings and other.machine_id == evaluation.machine_id
        if known.form == "base" and known.base == model.base and same and other.status == "finished":
            return {outcome.item: float(outcome.details["tokens"]) for outcome in store.evaluations.outcomes(other.id)}
    return {}
