"""The one way from a test to its evaluations: ask all models all items, judge and store as answers come, conclude.

HumanEval and people's own questions, and whatever else is answered in text, differ in what a `Test` says: how an item
is asked, what an answer becomes, how it is judged, what all of them score. All else is here, once: models that share
weights are asked together, an interrupted evaluation goes on with what is left, what an engine could not answer is an
error of ours and is tried again, and an engine that dies leaves what was answered before.

Not here: who is asked through which engine (`evaluator.asking.backends`), evaluations in the store
(`evaluator.recording`), log-likelihoods (`evaluator.question_sets.likelihood`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from engines import EngineError, Generated
from evaluator import recording
from evaluator.asking.backends import Group, Way, groups
from evaluator.asking.prompts import Prompting
from evaluator.asking.questions import Asked, Question
from results import Evaluation, Model, Outcome, Progress, Store, Workspace

STORED_TOGETHER = 16
"""Answers that are judged and stored at once: what a kill at the wrong moment costs."""

Judge = Callable[[Sequence[Outcome]], Sequence[Outcome]]
"""Outcomes as they came → the same with their verdicts, in their order; what cannot be judged here stays as it is."""


class Item(Protocol):
    """One question of a test."""

    @property
    def id(self) -> str: ...


I = TypeVar("I", bound=Item)  # noqa: E741


@dataclass(frozen=True)
class Asking:
    """How a test is asked."""

    samples: int = 1
    """Answers to each item."""
    seed: int = 0
    prompting: Prompting | None = None
    """None: chat for a model with a chat template, raw for one without."""
    engine: Way | None = None
    """What GGUF models are asked through; None: as `evaluator.asking.backends.groups` has it."""
    slots: int | None = None
    """Answers generated together, at most."""

    def seed_of(self, place: int, sample: int) -> int:
        """The seed of one answer. 4,096 samples of one item are more than anybody draws: seeds do not meet."""
        return self.seed * 1_000_003 + place * 4096 + sample


class Test(Protocol[I]):
    """What a benchmark adds: its items, and what becomes of an answer."""

    @property
    def benchmark(self) -> str:
        """What its evaluations are stored under."""
        ...

    @property
    def subset(self) -> str:
        """What the store says of the items, where not all are asked."""
        ...

    @property
    def items(self) -> Sequence[I]: ...

    @property
    def asking(self) -> Asking: ...

    def settings(self, prompting: Prompting, engine: str) -> dict[str, Any]:
        """What two evaluations must share to be one, as it is stored."""
        ...

    def question(self, model: Model, prompting: Prompting, item: I, seed: int) -> Question: ...

    def outcome(self, item: I, sample: int, generated: Generated, prompt: str, prompting: Prompting) -> Outcome:
        """An answer as it is stored: with its verdict, or without where `judging` gives it."""
        ...

    def judging(self) -> AbstractContextManager[Judge]:
        """What gives verdicts while the block runs."""
        ...

    def completed(self, evaluation: Evaluation, store: Store, details: Mapping[str, Any]) -> Evaluation:
        """The evaluation whose answers are all stored, with its scores; set aside where they cannot be judged here."""
        ...


@dataclass
class _Measurement(Generic[I]):
    """One model's evaluation under way."""

    one: recording.Open
    open: list[tuple[int, I, int]]
    """(place in the test, item, sample) without an answer."""
    waiting: list[tuple[_Job[I], Generated, str]] = field(default_factory=list)
    """Answers that are not stored yet, and what was asked."""
    refused: list[str] = field(default_factory=list)
    """Why the engine did not answer, by question."""

    @property
    def prompting(self) -> Prompting:
        mode: Prompting = self.one.evaluation.settings["prompting"]
        return mode


@dataclass(frozen=True)
class _Job(Generic[I]):
    """One answer that is wanted."""

    each: _Measurement[I]
    item: I
    sample: int
    question: Question


def measure_by(
    test: Test[I],
    models: Sequence[Model],
    store: Store,
    workspace: Workspace,
    progress: Progress | None = None,
    anew: bool = False,
    grouped: Callable[[Sequence[Model]], Sequence[Group]] | None = None,
) -> list[Evaluation]:
    """Measure each model; what is stored already, on whatever machine, is not asked again unless `anew`.

    grouped: the groups of models, which may be open already (`evaluator.asking.kept`); by default `groups`.

    Raises: ModelUnmeasurable, IdentityFailed, FileRefused, EngineError (what was answered before an engine failed is
    stored, and the same call goes on after it).
    """

    def stored(group: Group) -> dict[str, dict[str, Any]]:
        modes = group.prompting(test.asking.prompting)
        return {id_: test.settings(mode, group.engine) for id_, mode in modes.items()}

    measurements = recording.Measurements(test.benchmark, store, anew, test.subset)
    found = grouped(models) if grouped is not None else groups(models, workspace, test.asking.engine)
    for group, left in measurements.each_open(found, stored):
        work = [_Measurement(one, _left(one.evaluation, test, store)) for one in left]
        jobs = [job for each in work for job in _jobs(each, test)]
        details: dict[str, Any] = {}
        if jobs:
            with group.opened([job.question for job in jobs]) as asked:
                recording.self_test((each.one for each in work if each.open), asked.check, store)
                started = time.perf_counter()
                _answer(asked, jobs, test, store, progress)
            seconds = time.perf_counter() - started
            details = {"batch": {"seconds": seconds, "models": len(work), "answers": len(jobs)}, **group.details()}
        for each in work:
            measurements.found[each.one.model.id] = test.completed(each.one.evaluation, store, details)
    return measurements.of(models)


def _left(begun: Evaluation, test: Test[I], store: Store) -> list[tuple[int, I, int]]:
    """What is not answered yet; our own errors are tried again."""
    done = {(outcome.item, outcome.sample) for outcome in store.evaluations.outcomes(begun.id) if _told(outcome)}
    return [
        (place, item, sample)
        for place, item in enumerate(test.items)
        for sample in range(test.asking.samples)
        if (item.id, sample) not in done
    ]


def _told(outcome: Outcome) -> bool:
    """Whether there is an answer, with its verdict or its share or still without."""
    if outcome.verdict is None:
        return outcome.value is not None or "answer" in outcome.details
    return outcome.verdict != "error"


def _jobs(each: _Measurement[I], test: Test[I]) -> list[_Job[I]]:
    return [
        _Job(
            each,
            item,
            sample,
            test.question(each.one.model, each.prompting, item, test.asking.seed_of(place, sample)),
        )
        for place, item, sample in each.open
    ]


def _answer(asked: Asked, jobs: Sequence[_Job[I]], test: Test[I], store: Store, progress: Progress | None) -> None:
    """Answer everything that is open, in one batch, and judge it on the way."""
    measurements = list({job.each.one.model.id: job.each for job in jobs}.values())
    with test.judging() as judge:
        try:
            answers = asked.answers([job.question for job in jobs], test.asking.slots)
            for done, (index, answer) in enumerate(answers, 1):
                each = jobs[index].each
                each.waiting.append((jobs[index], answer, asked.prompt(jobs[index].question)))
                if len(each.waiting) >= STORED_TOGETHER:
                    _store_waiting(each, test, judge, store)
                if progress is not None:
                    progress(f"answers to {test.benchmark}", done, len(jobs))
        except EngineError as error:
            for each in measurements:
                _store_waiting(each, test, judge, store)
                store.evaluations.fail(each.one.evaluation.id, str(error))
            raise
        for each in measurements:
            _store_waiting(each, test, judge, store)
            if len(each.refused) == len(each.open):
                store.evaluations.fail(each.one.evaluation.id, each.refused[0])
                raise EngineError(f"{each.one.model.name} answered nothing: {each.refused[0]}")


def _store_waiting(each: _Measurement[I], test: Test[I], judge: Judge, store: Store) -> None:
    """Store a model's waiting answers, with their verdicts where they can be had."""
    outcomes = [
        test.outcome(job.item, job.sample, generated, prompt, each.prompting) for job, generated, prompt in each.waiting
    ]
    each.waiting.clear()
    each.refused += [str(one.details["message"]) for one in outcomes if one.details.get("finish_reason") == "error"]
    recording.add(store, each.one.evaluation.id, judge(outcomes))
