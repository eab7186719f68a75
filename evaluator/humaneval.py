"""HumanEval, and benchmarks of its shape: generate, extract, run, store, aggregate.

All models of one base are asked in one batch, remote endpoints and GGML files through their engine. Every answer is
stored as it is scored, so an interrupted evaluation goes on with the tasks that are left. ERROR, our own failure, is in
no numerator and no denominator, and is tried again.

Not here: verdicts (`evaluator.scoring`), the batch (`engines.batching`).
Try: bakeoff evaluate --tasks 40
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from engines import Answer as Generated
from engines import EngineError, Sampling
from evaluator.asking import Asked, Question, groups
from evaluator.benchmarks import Task, benchmark_digest, benchmark_name, load_benchmark
from evaluator.contamination import clean_tasks
from evaluator.errors import ModelUnmeasurable
from evaluator.extraction import Mode, extract_code
from evaluator.passing import scores_of
from evaluator.prompting import INSTRUCTION, Prompting, conversation
from evaluator.samples import Answer
from evaluator.scoring import Before, ScoredAnswer, Scorer, ScoringSettings
from evaluator.subsets import choose_tasks
from results import Evaluation, Model, Outcome, Progress, Store, Workspace, digest, this_machine

SCORED_TOGETHER = 16
"""Answers that are scored and stored at once: what a kill at the wrong moment costs."""


class HumanEvalSettings(BaseModel, frozen=True, extra="forbid"):
    """How a benchmark of programs is measured. All of it but `slots` is stored with the evaluation."""

    benchmark: str = "humaneval"
    """"humaneval", or the path of a JSON Lines file of its shape or MBPP's."""
    tasks: int | tuple[str | int, ...] | None = None
    """How many, spread evenly over the benchmark, or which (ids or places); all by default."""
    prompting: Prompting | None = None
    """By default chat for a model with a chat template, raw without one."""
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
    """Of sampling; sample j of task i has a seed of its own that follows from it."""
    k: tuple[int, ...] = (1,)
    """Values of pass@k; each at most `samples`."""
    max_tokens: int = Field(512, ge=1)
    """New tokens of an answer at most; a failed answer of that length is called truncated."""
    before_completion: Before = "prompt"
    before_solution: Before = "imports"
    """What stands before the answer. Imports: the instruction shows them, so an answer may rely on them."""
    slots: int = Field(64, ge=1)
    """Answers generated together."""


@dataclass
class _Measurement:
    """One model's evaluation under way."""

    model: Model
    evaluation: Evaluation
    prompting: Prompting
    open: list[tuple[Task, int]]
    """(task, sample) without a verdict."""
    waiting: list[tuple[Task, int, Generated, str]] = field(default_factory=list)


def evaluate_humaneval(
    models: Sequence[Model],
    store: Store,
    workspace: Workspace,
    settings: HumanEvalSettings | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    anew: bool = False,
) -> list[Evaluation]:
    """Measure each model; what is stored already is not generated again unless `anew`.

    Raises: ModelUnmeasurable, SandboxUnavailable, BenchmarkUnreadable, IdentityFailed, FileRefused, EngineError (what
    was answered before an engine failed is stored, and the same call goes on after it).
    """
    chosen = _settings(settings)
    all_tasks = load_benchmark(chosen.benchmark)
    tasks, label = choose_tasks(all_tasks, chosen.tasks)
    machine = this_machine()
    store.machines.add(machine)
    finished: dict[str, Evaluation] = {}
    for group in groups(models, workspace):
        modes = group.prompting(chosen.prompting)
        work = []
        for model in group.members:
            planned = _planned(model, chosen, modes[model.id], group.engine, all_tasks, label, machine.id)
            begun = store.evaluations.begin(planned, replace=anew)
            if begun.status == "finished":
                finished[model.id] = begun
                continue
            work.append(_Measurement(model, begun, modes[model.id], _left(begun, tasks, chosen.samples, store)))
        if work:
            with group.opened() as asked:
                _self_test(asked, work, store)
                started = time.perf_counter()
                limits = _generate(asked, work, tasks, chosen, store, progress)
            batch = {
                "seconds": time.perf_counter() - started,
                "models": len(work),
                "answers": sum(len(w.open) for w in work),
            }
            details = {"limits": limits, "batch": batch, **group.details()}
            for each in work:
                finished[each.model.id] = conclude(each.evaluation.id, store, details)
    return [finished[model.id] for model in models]


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


def _planned(
    model: Model,
    chosen: HumanEvalSettings,
    prompting: Prompting,
    engine: str,
    tasks: Sequence[Task],
    label: str,
    machine_id: str,
) -> Evaluation:
    """The evaluation as it will be stored, with the id that finds it again."""
    settings = chosen.model_dump(mode="json", exclude={"slots", "benchmark"})
    settings |= {"prompting": prompting, "benchmark_sha256": benchmark_digest(list(tasks)), "engine": engine}
    if prompting == "raw":
        settings = {key: value for key, value in settings.items() if key not in ("instruction", "system")}
    name = benchmark_name(chosen.benchmark)
    identity = digest([model.id, model.identity, name, settings, label, machine_id])
    return Evaluation(identity[:24], model.id, name, settings, machine_id, subset=label)


def _left(begun: Evaluation, tasks: Sequence[Task], samples: int, store: Store) -> list[tuple[Task, int]]:
    """What has no verdict yet; our own errors are tried again."""
    done = {
        (outcome.item, outcome.sample)
        for outcome in store.evaluations.outcomes(begun.id)
        if outcome.verdict not in (None, "error")
    }
    return [(task, sample) for task in tasks for sample in range(samples) if (task.id, sample) not in done]


def _self_test(asked: Asked, work: Sequence[_Measurement], store: Store) -> None:
    for each in work:
        try:
            asked.check(each.model)
        except Exception as error:
            store.evaluations.fail(each.evaluation.id, f"self-test: {error}")
            raise


def _generate(
    asked: Asked,
    work: Sequence[_Measurement],
    tasks: Sequence[Task],
    chosen: HumanEvalSettings,
    store: Store,
    progress: Progress | None,
) -> dict[str, Any]:
    """Answer everything that is open, in one batch, and score it on the way; returns the calibrated limits."""
    jobs = [(each, sample, _question(each, task, sample, tasks, chosen)) for each in work for task, sample in each.open]
    settings = ScoringSettings(chosen.before_completion, chosen.before_solution)
    with Scorer(tasks, settings) as scorer:
        limits = scorer.calibrate(progress)
        try:
            answers = asked.answers([question for _, _, question in jobs], chosen.slots)
            for done, (index, answer) in enumerate(answers, 1):
                each, sample, question = jobs[index]
                each.waiting.append((question.task, sample, answer, asked.prompt(question)))
                if len(each.waiting) >= SCORED_TOGETHER:
                    _store_scored(each, scorer, store)
                if progress is not None:
                    progress("HumanEval answers", done, len(jobs))
        except EngineError as error:
            for each in work:
                _store_scored(each, scorer, store)
                store.evaluations.fail(each.evaluation.id, str(error))
            raise
        for each in work:
            _store_scored(each, scorer, store)
    return {"slowness": limits.slowness, "cpu_limit_seconds": limits.cpu_seconds("", settings.limits.cpu_seconds)}


def _question(
    each: _Measurement, task: Task, sample: int, tasks: Sequence[Task], chosen: HumanEvalSettings
) -> Question:
    # 4,096 samples of one task are more than anybody draws: seeds do not meet.
    seed = chosen.seed * 1_000_003 + tasks.index(task) * 4096 + sample
    turns = conversation(task, chosen.instruction, chosen.system) if each.prompting == "chat" else []
    sampling = Sampling(chosen.max_tokens, chosen.temperature, chosen.top_p, seed)
    return Question(each.model, task, tuple(turns), sampling)


def _store_scored(each: _Measurement, scorer: Scorer, store: Store) -> None:
    """Give a model's waiting answers their verdicts and store them."""
    outcomes = []
    answers = []
    for task, sample, generated, prompt in each.waiting:
        found = extract_code(generated.text, task, "chat" if each.prompting == "chat" else "completion")
        answers.append(Answer(task.id, sample, found.code, found.kind, generated.finish_reason == "length"))
        details = {
            "prompt": prompt, "answer": generated.text, "code": found.code, "kind": found.kind, "rule": found.rule,
            "tokens": generated.tokens, "finish_reason": generated.finish_reason, "near_tie": generated.near_tie,
        }  # fmt: skip
        outcomes.append(Outcome(task.id, sample, details=details))
    each.waiting.clear()
    if answers:
        scored = scorer.score(answers)
        store.evaluations.add_outcomes(
            each.evaluation.id, [_judged(*one) for one in zip(outcomes, scored, strict=True)]
        )


def _judged(outcome: Outcome, scored: ScoredAnswer) -> Outcome:
    details = {**outcome.details, "message": scored.message, "cpu_seconds": scored.cpu_seconds}
    return replace(outcome, verdict=scored.verdict, details=details)


def rescore(evaluation_id: str, store: Store, tasks: Sequence[Task], progress: Progress | None = None) -> Evaluation:
    """Extract and run the stored answers of an evaluation again; its outcomes and scores become the new ones.

    Raises: NotFound; ModelUnmeasurable without stored answers; SandboxUnavailable.
    """
    evaluation = store.evaluations.get(evaluation_id)
    stored = [outcome for outcome in store.evaluations.outcomes(evaluation_id) if "answer" in outcome.details]
    if not stored:
        raise ModelUnmeasurable(f"Evaluation {evaluation_id} has no stored answers to score again")
    by_id = {task.id: task for task in tasks}
    usual = ScoringSettings()
    settings = ScoringSettings(
        evaluation.settings.get("before_completion", usual.before_completion),
        evaluation.settings.get("before_solution", usual.before_solution),
    )
    mode: Mode = "chat" if evaluation.settings.get("prompting") == "chat" else "completion"
    found = [extract_code(str(outcome.details["answer"]), by_id[outcome.item], mode) for outcome in stored]
    answers = [
        Answer(outcome.item, outcome.sample, code.code, code.kind, outcome.details.get("finish_reason") == "length")
        for outcome, code in zip(stored, found, strict=True)
    ]
    with Scorer(tasks, settings) as scorer:
        scored = scorer.score(answers, progress)
    renewed = [
        _judged(replace(outcome, details={**outcome.details, **asdict(code)}), verdict)
        for outcome, code, verdict in zip(stored, found, scored, strict=True)
    ]
    store.evaluations.begin(evaluation, replace=True)
    store.evaluations.add_outcomes(evaluation_id, renewed)
    return conclude(evaluation_id, store)


def conclude(evaluation_id: str, store: Store, more: Mapping[str, Any] | None = None) -> Evaluation:
    """Aggregate the stored outcomes into scores and close the evaluation."""
    evaluation = store.evaluations.get(evaluation_id)
    model = store.models.get(evaluation.model_id)
    outcomes = store.evaluations.outcomes(evaluation_id)
    clean, contaminated = clean_tasks(model, evaluation.benchmark, [outcome.item for outcome in outcomes], store)
    scores = scores_of(outcomes, evaluation.settings.get("k") or (1,), clean)
    tokens = sum(int(outcome.details.get("tokens", 0)) for outcome in outcomes)
    details: dict[str, Any] = {
        "verdicts": dict(Counter(outcome.verdict or "none" for outcome in outcomes)),
        "rules": dict(Counter(str(outcome.details.get("rule", "")) for outcome in outcomes)),
        "contamination": contaminated,
        "tokens": tokens,
        "near_ties": sum(outcome.details.get("near_tie") is not None for outcome in outcomes),
        "cut_off": sum(outcome.details.get("finish_reason") == "length" for outcome in outcomes),
    }
    return store.evaluations.finish(evaluation_id, scores, {**details, **(more or {})})
