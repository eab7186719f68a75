"""HumanEval, and benchmarks of its shape: generate, extract, run, store, aggregate.

Every model is asked through the engine of its form (`evaluator.asking.backends`). Every answer is stored as it is
scored, so an interrupted evaluation goes on with the tasks that are left. ERROR, our own failure, is in no numerator
and no denominator, and is tried again.

Not here: verdicts (`evaluator.humaneval.scoring`), the batch (`engines.huggingface.batching`).
Try: bakeoff evaluate --tasks 40
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from engines import EngineError, Generated, Sampling
from evaluator import recording
from evaluator.asking.backends import Group, Way, groups
from evaluator.asking.prompts import INSTRUCTION, Prompting, conversation, end_of_chat, end_of_completion
from evaluator.asking.questions import Asked, Question
from evaluator.errors import ModelUnmeasurable
from evaluator.humaneval.concluding import answered, conclude, judged, limits_of, outcome_of, set_aside
from evaluator.humaneval.scoring import Before, Scorer, ScoringSettings
from evaluator.sandbox.bubblewrap import sandbox_available
from evaluator.tasks.benchmarks import benchmark_name, load_benchmark
from evaluator.tasks.subsets import choose_tasks
from evaluator.tasks.task import Task, benchmark_digest
from results import Evaluation, Model, Progress, Store, Workspace

SCORED_TOGETHER = 16
"""Answers that are scored and stored at once: what a kill at the wrong moment costs."""


class HumanEvalSettings(BaseModel, frozen=True, extra="forbid"):
    """How a benchmark of programs is measured. All of it but `slots` is stored with the evaluation."""

    benchmark: str = "humaneval"
    """"humaneval", "humaneval+", "mbpp" or "mbpp+", or the path of a file of one's shape."""
    tasks: int | tuple[str | int, ...] | None = None
    """How many, spread evenly over the benchmark, or which (ids or places); all by default."""
    prompting: Prompting | None = None
    """How tasks are put: by default chat for a model with a chat template, raw without one."""
    instruction: str = INSTRUCTION
    """User turn of chat prompting; `{prompt}` is the task's."""
    system: str = ""
    """System turn of chat prompting; empty for none of ours."""
    samples: int = Field(1, ge=1)
    """Answers to each task."""
    temperature: float = Field(0.0, ge=0, le=2)
    """0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = 0
    """The seed of sampling; sample j of task i has one of its own that follows from it."""
    k: tuple[int, ...] = (1,)
    """Values of pass@k; each at most `samples`."""
    max_tokens: int = Field(512, ge=1)
    """New tokens of an answer at most; a failed answer of that length is called truncated."""
    before_completion: Before = "prompt"
    before_solution: Before = "imports"
    """What stands before the answer. Imports: the instruction shows them, so an answer may rely on them."""
    engine: Way | None = None
    """What GGUF models are asked through: llamacpp, which will answer, or huggingface (their dequantized weights).
    Unset: llamacpp, but huggingface for a GGUF base that is measured beside adapters alone. Stored as what it was."""
    slots: int | None = Field(None, ge=1)
    """Answers generated together, at most; requests in flight at an endpoint. Unset: as many as pay, which an endpoint
    is asked by trying (`evaluator.asking.pace`)."""


@dataclass
class _Measurement:
    """One model's evaluation under way."""

    one: recording.Open
    prompting: Prompting
    open: list[tuple[Task, int]]
    """(task, sample) without an answer."""
    waiting: list[tuple[_Job, Generated, str]] = field(default_factory=list)
    """Answers that are not stored yet, and what was asked."""
    refused: list[str] = field(default_factory=list)
    """Why the engine did not answer, by question."""


@dataclass(frozen=True)
class _Job:
    """One answer that is wanted."""

    each: _Measurement
    task: Task
    sample: int
    question: Question


def evaluate_humaneval(
    models: Sequence[Model],
    store: Store,
    workspace: Workspace,
    settings: HumanEvalSettings | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    anew: bool = False,
) -> list[Evaluation]:
    """Measure each model; what is stored already, on whatever machine, is not generated again unless `anew`.

    Without a sandbox the answers are stored and the evaluations are `unscored`; the same call, or `rescore`, completes
    them where there is one.
    Raises: ModelUnmeasurable, BenchmarkUnreadable, IdentityFailed, FileRefused, EngineError (what was answered before
    an engine failed is stored, and the same call goes on after it).
    """
    chosen = _settings(settings)
    all_tasks = load_benchmark(chosen.benchmark)
    tasks, label = choose_tasks(all_tasks, chosen.tasks)

    def stored(group: Group) -> dict[str, dict[str, Any]]:
        modes = group.prompting(chosen.prompting)
        return {id_: _stored_settings(chosen, mode, group.engine, all_tasks) for id_, mode in modes.items()}

    measurements = recording.Measurements(benchmark_name(chosen.benchmark, all_tasks), store, anew, label)
    for group, left in measurements.each_open(groups(models, workspace, chosen.engine), stored):
        work = [
            _Measurement(one, one.evaluation.settings["prompting"], _left(one.evaluation, tasks, chosen.samples, store))
            for one in left
        ]
        jobs = [
            _Job(each, task, sample, _question(each, task, sample, tasks, chosen))
            for each in work
            for task, sample in each.open
        ]
        details: dict[str, Any] = {}
        if jobs:
            with group.opened([job.question for job in jobs]) as asked:
                recording.self_test((each.one for each in work if each.open), asked.check, store)
                started = time.perf_counter()
                _generate(asked, jobs, tasks, chosen, store, progress)
            seconds = time.perf_counter() - started
            details = {"batch": {"seconds": seconds, "models": len(work), "answers": len(jobs)}, **group.details()}
        for each in work:
            measurements.found[each.one.model.id] = _completed(each, tasks, chosen, store, details, progress)
    return measurements.of(models)


def _settings(given: HumanEvalSettings | Mapping[str, Any] | None) -> HumanEvalSettings:
    if isinstance(given, HumanEvalSettings):
        settings = given
    else:
        try:
            settings = HumanEvalSettings.model_validate(dict(given or {}))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ModelUnmeasurable(f"evaluate.humaneval.{place}: {first['msg']}, got {first['input']!r}") from error
    if max(settings.k) > settings.samples:
        raise ModelUnmeasurable(
            f"pass@{max(settings.k)} needs {max(settings.k)} samples a task; samples is {settings.samples}"
        )
    if settings.samples > 1 and settings.temperature == 0:
        raise ModelUnmeasurable(
            f"{settings.samples} greedy samples are one answer {settings.samples} times; set temperature"
        )
    return settings


def _stored_settings(
    chosen: HumanEvalSettings, prompting: Prompting, engine: str, tasks: Sequence[Task]
) -> dict[str, Any]:
    """What two evaluations must share to be one, as it is stored."""
    settings = chosen.model_dump(mode="json", exclude={"slots", "benchmark"})
    settings |= {"prompting": prompting, "benchmark_sha256": benchmark_digest(tasks), "engine": engine}
    if prompting == "raw":
        settings = {key: value for key, value in settings.items() if key not in ("instruction", "system")}
    return settings


def _left(begun: Evaluation, tasks: Sequence[Task], samples: int, store: Store) -> list[tuple[Task, int]]:
    """What is not answered yet; our own errors are tried again."""
    done = {
        (outcome.item, outcome.sample)
        for outcome in store.evaluations.outcomes(begun.id)
        if answered(outcome) or outcome.verdict not in (None, "error")
    }
    return [(task, sample) for task in tasks for sample in range(samples) if (task.id, sample) not in done]


def _question(
    each: _Measurement, task: Task, sample: int, tasks: Sequence[Task], chosen: HumanEvalSettings
) -> Question:
    # 4,096 samples of one task are more than anybody draws: seeds do not meet.
    seed = chosen.seed * 1_000_003 + tasks.index(task) * 4096 + sample
    sampling = Sampling(chosen.max_tokens, chosen.temperature, chosen.top_p, seed)
    if each.prompting == "chat":
        turns = conversation(task, chosen.instruction, chosen.system)
        return Question(each.one.model, task.prompt, tuple(turns), sampling, end_of_chat(task.entry_point))
    return Question(each.one.model, task.prompt, (), sampling, end_of_completion)


def _generate(
    asked: Asked,
    jobs: Sequence[_Job],
    tasks: Sequence[Task],
    chosen: HumanEvalSettings,
    store: Store,
    progress: Progress | None,
) -> None:
    """Answer everything that is open, in one batch, and score it on the way if there is a sandbox."""
    with _scoring(tasks, chosen, progress) as scorer:
        try:
            answers = asked.answers([job.question for job in jobs], chosen.slots)
            for done, (index, answer) in enumerate(answers, 1):
                each = jobs[index].each
                each.waiting.append((jobs[index], answer, asked.prompt(jobs[index].question)))
                if len(each.waiting) >= SCORED_TOGETHER:
                    _store_waiting(each, scorer, store)
                if progress is not None:
                    progress("HumanEval answers", done, len(jobs))
        except EngineError as error:
            for each in _measurements(jobs):
                _store_waiting(each, scorer, store)
                store.evaluations.fail(each.one.evaluation.id, str(error))
            raise
        for each in _measurements(jobs):
            _store_waiting(each, scorer, store)
            if len(each.refused) == len(each.open):
                store.evaluations.fail(each.one.evaluation.id, each.refused[0])
                raise EngineError(f"{each.one.model.name} answered nothing: {each.refused[0]}")


def _measurements(jobs: Sequence[_Job]) -> list[_Measurement]:
    return list({job.each.one.model.id: job.each for job in jobs}.values())


@contextmanager
def _scoring(tasks: Sequence[Task], chosen: HumanEvalSettings, progress: Progress | None) -> Iterator[Scorer | None]:
    """A calibrated scorer; None where nothing can be run in isolation."""
    if not sandbox_available()[0]:
        yield None
        return
    with Scorer(tasks, ScoringSettings(chosen.before_completion, chosen.before_solution)) as scorer:
        scorer.calibrated(progress)
        yield scorer


def _store_waiting(each: _Measurement, scorer: Scorer | None, store: Store) -> None:
    """Store a model's waiting answers, with their verdicts if they can be run."""
    outcomes = [
        outcome_of(job.task, job.sample, generated, prompt, each.prompting) for job, generated, prompt in each.waiting
    ]
    each.waiting.clear()
    each.refused += [str(one.details["message"]) for one in outcomes if one.verdict == "error"]
    recording.add(store, each.one.evaluation.id, judged(outcomes, scorer) if scorer else outcomes)


def _completed(
    each: _Measurement,
    tasks: Sequence[Task],
    chosen: HumanEvalSettings,
    store: Store,
    details: Mapping[str, Any],
    progress: Progress | None,
) -> Evaluation:
    """The evaluation with its scores; set aside where there is no sandbox. Answers of a call without one get theirs."""
    identity = each.one.evaluation.id
    available, why = sandbox_available()
    if not available:
        return set_aside(identity, store, why, details)
    with _scoring(tasks, chosen, progress) as scorer:
        assert scorer is not None
        unjudged = [outcome for outcome in store.evaluations.outcomes(identity) if answered(outcome)]
        recording.add(store, identity, judged(unjudged, scorer, progress))
        limits = limits_of(scorer, progress)
    return conclude(identity, store, {"limits": limits, **details})
