"""Tasks of lm-eval as tests of ours: its prompts through our engines, its judgement of the answers, our store.

Texts are generated as for every other test (`evaluator.asking.measurement`): adapters of one base in one batch, GGUF
files by llama.cpp, endpoints spoken to. Log-likelihoods are read through transformers, as choices of question sets are.
Each document's responses are stored as they come, so an interrupted evaluation goes on with what is left; when all are
there lm-eval itself judges them (`evaluator.question_sets.lm_eval_tasks.replay`).

Try: bakeoff evaluate demo-rank8 --benchmark lm-eval:gsm8k --tasks 100
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engines import Generated, HuggingFaceEngine
from evaluator import recording
from evaluator.asking.measurement import Asking, Judge, measure_by
from evaluator.asking.prompts import Prompting
from evaluator.asking.questions import Question
from evaluator.errors import ModelUnmeasurable
from evaluator.loading.bases import Family, families, opened, reached_by
from evaluator.loading.self_test import check_identity
from evaluator.question_sets.lm_eval_tasks.concluding import answered_outcome, conclude
from evaluator.question_sets.lm_eval_tasks.documents import Document, Documents, documents, turns_of
from evaluator.question_sets.lm_eval_tasks.finding import Tasks
from evaluator.question_sets.lm_eval_tasks.likelihood import likelihoods, rolling
from evaluator.question_sets.lm_eval_tasks.settings import (
    HarnessSettings,
    harness_settings,
    sampling_of,
    stored_settings,
)
from results import Evaluation, Model, Outcome, Progress, Store, Workspace

DOCUMENTS_TOGETHER = 32
"""Documents whose log-likelihoods are measured and stored at once."""


def evaluate_tasks(
    models: Sequence[Model],
    tasks: Tasks,
    store: Store,
    workspace: Workspace,
    settings: HarnessSettings | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    anew: bool = False,
) -> list[Evaluation]:
    """Measure each model by tasks of lm-eval; what is stored already, on whatever machine, is not asked again.

    Raises: BenchmarkUnreadable, ModelUnmeasurable, IdentityFailed, FileRefused, EngineError (what was answered before
    an engine failed is stored, and the same call goes on after it).
    """
    chosen = harness_settings(settings)
    of = asked_documents(tasks, chosen)
    if tasks.kind == "generate_until":
        return measure_by(_Generated(of, chosen), models, store, workspace, progress, anew)
    return _measure(_Read(of, chosen, progress), models, store, workspace, anew)


def asked_documents(tasks: Tasks, chosen: HarnessSettings) -> Documents:
    """The documents with what will be asked about them. Raises: BenchmarkUnreadable, ModelUnmeasurable."""
    if tasks.kind != "generate_until" and chosen.engine == "llamacpp":
        raise ModelUnmeasurable(
            f"{tasks.benchmark} is read from log-likelihoods, through transformers: leave engine out"
        )
    return documents(tasks, chosen.manner)


@dataclass(frozen=True)
class _Generated:
    """Tasks whose documents are answered in text, as a test."""

    of: Documents
    chosen: HarnessSettings

    @property
    def benchmark(self) -> str:
        return self.of.tasks.benchmark

    @property
    def subset(self) -> str:
        return self.of.subset

    @property
    def items(self) -> Sequence[Document]:
        return self.of.chosen

    @property
    def asking(self) -> Asking:
        samples = max((one.repeats for one in self.of.chosen), default=1)
        return Asking(samples, 0, self.chosen.prompting or "raw", self.chosen.engine, self.chosen.slots)

    def settings(self, prompting: Prompting, engine: str) -> dict[str, Any]:
        return {**stored_settings(self.chosen, self.of, engine), "prompting": prompting, "samples": self.asking.samples}

    def question(self, model: Model, prompting: Prompting, item: Document, seed: int) -> Question:
        del prompting  # a document's prompt has turns where it is a chat's
        if len(item.requests) != 1:
            raise ModelUnmeasurable(f"{item.id}: {len(item.requests)} texts are asked for one document; one is read")
        prompt, told = item.requests[0].args[:2]
        turns, begun = turns_of(str(prompt))
        if turns and begun:
            raise ModelUnmeasurable(
                f"{self.benchmark} begins its answers (gen_prefix), which chat prompts here cannot: prompting raw"
            )
        return Question(model, begun, turns, sampling_of(item.id, told, self.chosen, seed), None, item.id)

    def outcome(self, item: Document, sample: int, generated: Generated, prompt: str, prompting: Prompting) -> Outcome:
        del prompting
        if generated.finish_reason == "error":
            said = {"prompt": prompt, "message": generated.text, "finish_reason": "error"}
            return Outcome(item.id, sample, "error", details=said)
        more = {
            "prompt": prompt, "answer": generated.text, "tokens": generated.tokens,
            "finish_reason": generated.finish_reason, "near_tie": generated.near_tie, **_tagged(item, self.of),
        }  # fmt: skip
        return answered_outcome(item, sample, [generated.text], more)

    @contextmanager
    def judging(self) -> Iterator[Judge]:
        """lm-eval judges all together when all are there (`completed`)."""
        yield list

    def completed(self, evaluation: Evaluation, store: Store, details: Mapping[str, Any]) -> Evaluation:
        return conclude(evaluation, self.of, store, details)


@dataclass(frozen=True)
class _Read:
    """Tasks whose answers are read from log-likelihoods."""

    of: Documents
    chosen: HarnessSettings
    progress: Progress | None


def _measure(test: _Read, models: Sequence[Model], store: Store, workspace: Workspace, anew: bool) -> list[Evaluation]:
    """Measure models by log-likelihoods, each base loaded once."""
    stored = stored_settings(test.chosen, test.of, "huggingface")

    def settings(family: Family) -> dict[str, dict[str, Any]]:
        return {model.id: stored for model in family.members}

    measurements = recording.Measurements(test.of.tasks.benchmark, store, anew, test.of.subset)
    total = len(test.of.chosen) * len(models)
    for family, left in measurements.each_open(families(models, workspace), settings):
        with opened(family, workspace) as engine:
            for one in left:
                before = len(test.of.chosen) * measurements.finished
                for done in _read_one(engine, family, one, test, store):
                    if test.progress is not None:
                        test.progress(f"likelihoods of {test.of.tasks.benchmark}", before + done, total)
                details = {"reached": {**reached_by(family), **engine.details()}}
                measurements.found[one.model.id] = conclude(one.evaluation, test.of, store, details)
    return measurements.of(models)


def _read_one(
    engine: HuggingFaceEngine, family: Family, one: recording.Open, test: _Read, store: Store
) -> Iterator[int]:
    """Measure and store what is open of a model; yields how many documents are done."""
    row, items = family.row(one.model), test.of.chosen
    recording.self_test([one], lambda model: check_identity(engine, row, model), store)
    there = {outcome.item for outcome in store.evaluations.outcomes(one.evaluation.id) if outcome.verdict != "error"}
    left = [item for item in items if item.id not in there]
    yield len(items) - len(left)
    for start in range(0, len(left), DOCUMENTS_TOGETHER):
        batch = left[start : start + DOCUMENTS_TOGETHER]
        found = iter(_responses(engine, row, [each for item in batch for each in item.requests], test.of))
        outcomes = []
        for item in batch:
            responses = [next(found) for _ in item.requests]
            outcomes.append(answered_outcome(item, 0, responses, _chosen(item, responses) | _tagged(item, test.of)))
        recording.add(store, one.evaluation.id, outcomes)
        yield len(items) - len(left) + start + len(batch)


def _responses(engine: HuggingFaceEngine, row: str, requests: Sequence[Any], of: Documents) -> list[Any]:
    if of.tasks.kind == "loglikelihood_rolling":
        return rolling(engine, row, [str(one.args[0]) for one in requests])
    return [list(one) for one in likelihoods(engine, row, requests)]


def _chosen(item: Document, responses: Sequence[Any]) -> dict[str, Any]:
    """The likeliest continuation, as a page shows it."""
    if item.requests[0].request_type != "loglikelihood" or len(responses) < 2:
        return {}
    place = max(range(len(responses)), key=lambda one: responses[one][0])
    with contextlib.suppress(IndexError):
        return {"answer": str(item.requests[place].args[1]).strip()}
    return {}


def _tagged(item: Document, of: Documents) -> dict[str, Any]:
    return {"tags": [item.task]} if len(of.tasks.tasks) > 1 else {}
