"""HumanEval, and benchmarks of its shape: generate, extract, run, store, aggregate.

All models of one base are asked in one batch. Every answer is stored as it is scored, so an interrupted evaluation
goes on with the tasks that are left. ERROR, our own failure, is in no numerator and no denominator, and is tried
again.

Not here: verdicts (`evaluator.scoring`), the batch (`engines.batching`).
Try: bakeoff evaluate --tasks 40
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from engines import HuggingFaceEngine, Sampling
from engines.batching import Answer as Generated
from engines.batching import Request
from evaluator.benchmarks import Task, benchmark_digest, load_benchmark
from evaluator.contamination import clean_tasks
from evaluator.errors import ModelUnmeasurable
from evaluator.extraction import extract_code
from evaluator.families import Family, families, opened
from evaluator.identity import check_identity
from evaluator.limits import Calibration
from evaluator.passing import scores_of
from evaluator.prompting import INSTRUCTION, Prompting, conversation, end_of_chat, end_of_completion
from evaluator.samples import Answer
from evaluator.scoring import Before, ScoringSettings, calibrate, score_answers
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
    seconds: float = 0.0
    waiting: list[tuple[Task, int, Generated, str]] = field(default_factory=list)


def evaluate_humaneval(
    models: Sequence[Model],
    store: Store,
    workspace: Workspace,
    settings: HumanEvalSettings | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    replace: bool = False,
) -> list[Evaluation]:
    """Measure each model; what is stored already is not generated again unless `replace`.

    Raises: ModelUnmeasurable, SandboxUnavailable, BenchmarkUnreadable, IdentityFailed, FileRefused.
    """
    chosen = _settings(settings)
    all_tasks = load_benchmark(chosen.benchmark)
    tasks, label = choose_tasks(all_tasks, chosen.tasks)
    machine = this_machine()
    store.machines.add(machine)
    finished: dict[str, Evaluation] = {}
    for family in families(models, workspace):
        modes = _prompting(family, chosen.prompting, workspace)
        work = []
        for model in family.members:
            planned = _planned(model, chosen, modes[model.id], all_tasks, label, machine.id)
            begun = store.evaluations.begin(planned, replace=replace)
            if begun.status == "finished":
                finished[model.id] = begun
                continue
            work.append(_Measurement(model, begun, modes[model.id], _left(begun, tasks, chosen.samples, store)))
        if work:
            with opened(family, workspace) as engine:
                _self_test(engine, family, work, store)
                _generate(engine, family, work, tasks, chosen, store, progress)
            for each in work:
                finished[each.model.id] = conclude(each.evaluation.id, store, seconds=each.seconds)
    return [finished[model.id] for model in models]


def choose_tasks(tasks: Sequence[Task], wanted: int | Sequence[str | int] | None) -> tuple[list[Task], str]:
    """The tasks to measure and the label of the subset; empty for the whole benchmark.

    A number takes that many, spread evenly and always the same ones.
    Raises: ModelUnmeasurable for a number below 1 or a task that is not there.
    """
    total = len(tasks)
    if wanted is None or (isinstance(wanted, int) and wanted >= total):
        return list(tasks), ""
    if isinstance(wanted, int):
        if wanted < 1:
            raise ModelUnmeasurable(f"{wanted} tasks cannot be measured; give a number from 1 to {total}")
        chosen = [tasks[(2 * place + 1) * total // (2 * wanted)] for place in range(wanted)]
    else:
        by_name: dict[str | int, Task] = {task.id: task for task in tasks} | dict(enumerate(tasks))
        strange = [name for name in wanted if name not in by_name]
        if strange:
            raise ModelUnmeasurable(f"No task {strange[0]!r} in the benchmark: {total} tasks, {tasks[0].id} first")
        chosen = [by_name[name] for name in dict.fromkeys(wanted)]
    return chosen, f"{len(chosen)} of {total} tasks"


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


def _prompting(family: Family, wanted: Prompting | None, workspace: Workspace) -> dict[str, Prompting]:
    """Each member's prompting; needs the tokenizers only."""
    from engines.huggingface import chat_template

    if wanted is not None:
        return {model.id: wanted for model in family.members}
    found: dict[str, Prompting] = {}
    for model in family.members:
        template = chat_template(family.weights, workspace.resolve(model.path))
        found[model.id] = "chat" if template else "raw"
    return found


def _planned(
    model: Model, chosen: HumanEvalSettings, prompting: Prompting, tasks: Sequence[Task], label: str, machine_id: str
) -> Evaluation:
    """The evaluation as it will be stored, with the id that finds it again."""
    settings = chosen.model_dump(mode="json", exclude={"slots", "benchmark"})
    settings |= {"prompting": prompting, "benchmark_sha256": benchmark_digest(list(tasks)), "engine": "huggingface"}
    if prompting == "raw":
        settings = {key: value for key, value in settings.items() if key not in ("instruction", "system")}
    name = chosen.benchmark if chosen.benchmark == "humaneval" else Path(chosen.benchmark).name.split(".")[0]
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


def _self_test(engine: HuggingFaceEngine, family: Family, work: Sequence[_Measurement], store: Store) -> None:
    for each in work:
        try:
            check_identity(engine, family.row(each.model), each.model)
        except Exception as error:
            store.evaluations.fail(each.evaluation.id, f"self-test: {error}")
            raise


def _generate(
    engine: HuggingFaceEngine,
    family: Family,
    work: Sequence[_Measurement],
    tasks: Sequence[Task],
    chosen: HumanEvalSettings,
    store: Store,
    progress: Progress | None,
) -> None:
    """Answer everything that is open, in one batch, and score it on the way."""
    places = {task.id: place for place, task in enumerate(tasks)}
    jobs: list[tuple[_Measurement, Task, int, str]] = []
    requests: list[Request] = []
    for each in work:
        for task, sample in each.open:
            prompt, cut = _prompt(engine, family.row(each.model), each.prompting, task, chosen)
            # 4,096 samples of one task are more than anybody draws: seeds do not meet.
            seed = chosen.seed * 1_000_003 + places[task.id] * 4096 + sample
            sampling = Sampling(chosen.max_tokens, chosen.temperature, chosen.top_p, seed)
            jobs.append((each, task, sample, prompt))
            requests.append(Request(engine.encode(prompt), sampling, family.row(each.model), cut))
    scorer = _Scorer(tasks, chosen, store)
    last = time.perf_counter()
    for done, (index, answer) in enumerate(engine.answers(requests, chosen.slots), 1):
        each, task, sample, prompt = jobs[index]
        each.seconds += time.perf_counter() - last
        each.waiting.append((task, sample, answer, prompt))
        if len(each.waiting) >= SCORED_TOGETHER:
            scorer.score(each)
        if progress is not None:
            progress("HumanEval answers", done, len(jobs))
        last = time.perf_counter()
    for each in work:
        scorer.score(each)


def _prompt(
    engine: HuggingFaceEngine, row: str, prompting: Prompting, task: Task, chosen: HumanEvalSettings
) -> tuple[str, Any]:
    if prompting == "raw":
        return task.prompt, end_of_completion
    turns = conversation(task, chosen.instruction, chosen.system)
    return engine.render(turns, row), end_of_chat(task.entry_point)


class _Scorer:
    """Gives waiting answers their verdicts and stores them; calibrates the time limits once, when first needed."""

    def __init__(self, tasks: Sequence[Task], chosen: HumanEvalSettings, store: Store) -> None:
        self.tasks = tasks
        self.store = store
        self.settings = ScoringSettings(chosen.before_completion, chosen.before_solution)
        self.calibration: Calibration | None = None

    def score(self, each: _Measurement) -> None:
        if not each.waiting:
            return
        if self.calibration is None:
            self.calibration = calibrate(self.tasks, self.settings)
        outcomes = []
        answers = []
        for task, sample, generated, prompt in each.waiting:
            found = extract_code(generated.text, task, "chat" if each.prompting == "chat" else "completion")
            truncated = generated.finish_reason == "length"
            answers.append(Answer(task.id, sample, found.code, found.kind, truncated))
            outcomes.append((task.id, sample, {
                "prompt": prompt, "answer": generated.text, "code": found.code, "kind": found.kind, "rule": found.rule,
                "tokens": generated.tokens, "finish_reason": generated.finish_reason, "near_tie": generated.near_tie,
                "cpu_limit_seconds": self.calibration.cpu_seconds(task.id, self.settings.limits.cpu_seconds),
            }))  # fmt: skip
        scored = score_answers(self.tasks, answers, self.settings, calibration=self.calibration)
        self.store.evaluations.add_outcomes(
            each.evaluation.id,
            [
                Outcome(item, sample, verdict.verdict, None, details | {"message": verdict.message})
                for (item, sample, details), verdict in zip(outcomes, scored, strict=True)
            ],
        )
        each.waiting.clear()


def conclude(evaluation_id: str, store: Store, seconds: float = 0.0) -> Evaluation:
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
    if seconds > 0:
        details["generation_seconds"] = seconds
    return store.evaluations.finish(evaluation_id, scores, details)
