"""Question sets: ask every question, check the replies, store each as it comes, aggregate.

As HumanEval (`evaluator.humaneval.evaluate`): models that share weights are asked together, each in the engine of its
format; an interrupted evaluation goes on with what is left; an error of ours counts nowhere and is tried again.

Not here: files (`reading`), checks (`verdicts`), choices by likelihood (`likelihood`).
Try: bakeoff evaluate demo-rank8 --benchmark mine.csv --dry-run
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from engines import EngineError, Generated, Sampling
from evaluator import recording
from evaluator.asking.backends import Group, groups
from evaluator.asking.prompts import Prompting
from evaluator.asking.questions import Asked, Question
from evaluator.errors import BenchmarkUnreadable
from evaluator.humaneval.scoring import Scorer, ScoringSettings
from evaluator.question_sets.checking.programs import task_of
from evaluator.question_sets.concluding import conclude, outcome_of, run, waits
from evaluator.question_sets.items import Item, QuestionSet
from evaluator.question_sets.likelihood import evaluate_likelihood
from evaluator.question_sets.settings import (
    QuestionSettings,
    continued,
    ending,
    most_tokens,
    question_settings,
    stops,
    stored_settings,
    turns_of_chat,
)
from evaluator.sandbox.bubblewrap import sandbox_available
from evaluator.tasks.subsets import choose_tasks
from results import Evaluation, Model, Outcome, Progress, Report, Store, Workspace

STORED_TOGETHER = 16
"""Replies that are checked and stored at once: what a kill at the wrong moment costs."""

BAD_NAMED = 5
"""Bad items that a refusal names."""


@dataclass
class _Measurement:
    """One model's evaluation under way."""

    one: recording.Open
    prompting: Prompting
    open: list[tuple[int, Item, int]]
    """(place in the set, item, sample) without an answer."""
    waiting: list[tuple[_Job, Generated, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why the engine did not answer, by question."""


@dataclass(frozen=True)
class _Job:
    """One answer that is wanted."""

    each: _Measurement
    item: Item
    sample: int
    question: Question


def evaluate_questions(
    models: Sequence[Model],
    questions: QuestionSet,
    store: Store,
    workspace: Workspace,
    settings: QuestionSettings | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    anew: bool = False,
) -> list[Evaluation]:
    """Measure each model by a question set; what is stored already, on whatever machine, is not asked again.

    Where programs are to be run and there is no sandbox the replies are stored and the evaluations are `unscored`; the
    same call completes them where there is one.
    Raises: BenchmarkUnreadable for a set with bad items, unless `skip_bad`; ModelUnmeasurable, IdentityFailed,
    FileRefused, EngineError (what was answered before an engine failed is stored, and the same call goes on after it).
    """
    chosen = question_settings(settings)
    items, label = measured_items(questions, chosen)
    remember(questions, store)
    if chosen.choices == "likelihood":
        return evaluate_likelihood(models, (questions, items, label), (store, workspace), chosen, progress, anew)

    def stored(group: Group) -> dict[str, dict[str, Any]]:
        modes = group.prompting(chosen.prompting)
        return {id_: stored_settings(chosen, questions, mode, group.engine) for id_, mode in modes.items()}

    measurements = recording.Measurements(questions.name, store, anew, label)
    for group, left in measurements.each_open(groups(models, workspace, chosen.engine), stored):
        work = [
            _Measurement(one, one.evaluation.settings["prompting"], _left(one.evaluation, items, chosen, store))
            for one in left
        ]
        jobs = [
            _Job(each, item, sample, _question(each, (place, item, sample), questions, chosen))
            for each in work
            for place, item, sample in each.open
        ]
        details: dict[str, Any] = {}
        if jobs:
            with group.opened([job.question for job in jobs]) as asked:
                recording.self_test((each.one for each in work if each.open), asked.check, store)
                started = time.perf_counter()
                _answer(asked, jobs, (questions, chosen), store, progress)
            seconds = time.perf_counter() - started
            details = {"batch": {"seconds": seconds, "models": len(work), "answers": len(jobs)}, **group.details()}
        for each in work:
            measurements.found[each.one.model.id] = _completed(each.one, questions, items, store, details)
    return measurements.of(models)


def measured_items(questions: QuestionSet, chosen: QuestionSettings) -> tuple[list[Item], str]:
    """The items to measure, and what is said of them where not all are.

    Raises: BenchmarkUnreadable for bad items, unless they are to be skipped, and for a set without any item.
    """
    bad = questions.bad
    if bad and not chosen.skip_bad:
        named = "; ".join(f"{one.where}: {one.reason}" for one in bad[:BAD_NAMED])
        more = f"; and {len(bad) - BAD_NAMED} more" if len(bad) > BAD_NAMED else ""
        raise BenchmarkUnreadable(
            f"{len(bad)} of {len(bad) + len(questions.items)} items of {questions.name} cannot be read: {named}{more}. "
            "Mend them, or measure without them: --skip-bad (skip_bad: true)"
        )
    if not questions.items:
        raise BenchmarkUnreadable(f"{questions.name} has no item that can be read")
    items, label = choose_tasks(questions.items, chosen.tasks)
    label = label.replace("tasks", "items")
    if bad:
        label = f"{label or f'{len(items)} items'}, without {len(bad)} that cannot be read"
    return items, label


def remember(questions: QuestionSet, store: Store) -> None:
    """Keep where a set lies, so that it is found by its name."""
    payload = {"file": questions.path, "format": questions.format, "items": len(questions.items)}
    if questions.path:
        store.reports.put(
            Report(
                questions.name,
                "question_set",
                {**payload, "sha256": questions.digest, "wishes": dict(questions.wishes)},
            )
        )


def _left(
    begun: Evaluation, items: Sequence[Item], chosen: QuestionSettings, store: Store
) -> list[tuple[int, Item, int]]:
    """What is not answered yet; our own errors are tried again."""
    done = {
        (outcome.item, outcome.sample) for outcome in store.evaluations.outcomes(begun.id) if outcome.verdict != "error"
    }
    return [
        (place, item, sample)
        for place, item in enumerate(items)
        for sample in range(chosen.samples)
        if (item.id, sample) not in done
    ]


def _question(
    each: _Measurement, of: tuple[int, Item, int], questions: QuestionSet, chosen: QuestionSettings
) -> Question:
    place, item, sample = of
    # 4,096 samples of one item are more than anybody draws: seeds do not meet.
    seed = chosen.seed * 1_000_003 + place * 4096 + sample
    sampling = Sampling(most_tokens(chosen, questions), chosen.temperature, chosen.top_p, seed)
    end = ending(item, stops(chosen, questions, each.prompting), each.prompting)
    turns = turns_of_chat(item, chosen) if each.prompting == "chat" else ()
    return Question(each.one.model, continued(item, chosen), turns, sampling, end, item.id)


def _answer(
    asked: Asked,
    jobs: Sequence[_Job],
    of: tuple[QuestionSet, QuestionSettings],
    store: Store,
    progress: Progress | None,
) -> None:
    """Answer everything that is open, in one batch, and check it on the way."""
    questions, chosen = of
    measurements = list({job.each.one.model.id: job.each for job in jobs}.values())
    by_id = {item.id: item for item in questions.items}
    with _sandboxed(questions.items) as scorer:
        try:
            answers = asked.answers([job.question for job in jobs], chosen.slots)
            for done, (index, answer) in enumerate(answers, 1):
                each = jobs[index].each
                each.waiting.append((jobs[index], answer, asked.prompt(jobs[index].question)))
                if len(each.waiting) >= STORED_TOGETHER:
                    _store_waiting(each, by_id, scorer, store)
                if progress is not None:
                    progress(f"answers to {questions.name}", done, len(jobs))
        except EngineError as error:
            for each in measurements:
                _store_waiting(each, by_id, scorer, store)
                store.evaluations.fail(each.one.evaluation.id, str(error))
            raise
        for each in measurements:
            _store_waiting(each, by_id, scorer, store)
            if len(each.refused) == len(each.open):
                store.evaluations.fail(each.one.evaluation.id, each.refused[0])
                raise EngineError(f"{each.one.model.name} answered nothing: {each.refused[0]}")


def _store_waiting(each: _Measurement, items: Mapping[str, Item], scorer: Scorer | None, store: Store) -> None:
    outcomes = [outcome_of(job.item, job.sample, generated, prompt) for job, generated, prompt in each.waiting]
    each.refused += [str(one.details["message"]) for one in outcomes if one.details.get("finish_reason") == "error"]
    each.waiting.clear()
    recording.add(store, each.one.evaluation.id, run(outcomes, items, scorer) if scorer else outcomes)


@contextmanager
def _sandboxed(items: Sequence[Item]) -> Iterator[Scorer | None]:
    """A scorer of the programs that are asked for; None where none is, or nothing can be run in isolation."""
    tasks = [task_of(item, check) for item in items for check in item.checks if check.kind == "code"]
    if not tasks or not sandbox_available()[0]:
        yield None
        return
    with Scorer(tasks, ScoringSettings(before_solution="imports", calibrate=False)) as scorer:
        yield scorer


def _completed(
    one: recording.Open, questions: QuestionSet, items: Sequence[Item], store: Store, details: Mapping[str, Any]
) -> Evaluation:
    """The evaluation with its scores; set aside where programs wait for a sandbox."""
    identity = one.evaluation.id
    waiting: list[Outcome] = [outcome for outcome in store.evaluations.outcomes(identity) if waits(outcome)]
    if waiting:
        available, why = sandbox_available()
        if not available:
            reason = f"replies stored, not scored: {why} Score them where there is a sandbox, by the same command"
            return store.evaluations.set_aside(identity, reason, {**details, "unscored": why})
        with _sandboxed(items) as scorer:
            assert scorer is not None
            recording.add(store, identity, run(waiting, {item.id: item for item in items}, scorer))
    return conclude(identity, replace(questions, items=tuple(items)), store, details)
