"""HumanEval, and benchmarks of its shape, as tests: how a task is put, what an answer becomes, when it is complete.

ERROR, our own failure, is in no numerator and no denominator, and is tried again.

Not here: asking and storing, which all tests share (`evaluator.asking.measurement`), verdicts
(`evaluator.humaneval.scoring`), the batch (`engines.huggingface.batching`).
Try: bakeoff evaluate --tasks 40
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from engines import Generated, Sampling
from evaluator import recording
from evaluator.asking.backends import Way
from evaluator.asking.measurement import Asking, Judge, measure_by
from evaluator.asking.prompts import INSTRUCTION, Prompting, conversation, end_of_chat, end_of_completion
from evaluator.asking.questions import Question
from evaluator.errors import ModelUnmeasurable
from evaluator.humaneval.concluding import answered, conclude, judged, limits_of, outcome_of, set_aside
from evaluator.humaneval.scoring import Before, Scorer, ScoringSettings
from evaluator.sandbox.bubblewrap import sandbox_available
from evaluator.tasks.benchmarks import benchmark_name, load_benchmark
from evaluator.tasks.subsets import choose_tasks
from evaluator.tasks.task import Task, benchmark_digest
from results import Evaluation, Model, Outcome, Progress, Store, Workspace


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
    """The likeliest tokens that together have this probability are drawn from."""
    seed: int = 0
    """The seed of sampling; sample j of task i has one of its own that follows from it."""
    k: tuple[int, ...] = (1,)
    """Values of pass@k; each at most `samples`."""
    max_tokens: int = Field(512, ge=1)
    """New tokens of an answer at most; a failed answer of that length is called truncated."""
    before_completion: Before = "prompt"
    """What stands before an answer that is a continuation of the prompt."""
    before_solution: Before = "imports"
    """What stands before the answer. Imports: the instruction shows them, so an answer may rely on them."""
    engine: Way | None = None
    """What GGUF models are asked through: llamacpp, which will answer, or huggingface (their dequantized weights).
    Unset: llamacpp, but huggingface for a GGUF base that is measured beside adapters alone. Stored as what it was."""
    slots: int | None = Field(None, ge=1)
    """Answers generated together, at most; requests in flight at an endpoint. Unset: as many as pay, which an endpoint
    is asked by trying (`evaluator.asking.pace`)."""


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
    return measure_by(program_test(settings, progress), models, store, workspace, progress, anew)


def program_test(
    settings: HumanEvalSettings | Mapping[str, Any] | None = None, progress: Progress | None = None
) -> Programs:
    """A benchmark of programs as a test. Raises: ModelUnmeasurable, BenchmarkUnreadable."""
    chosen = _settings(settings)
    all_tasks = load_benchmark(chosen.benchmark)
    tasks, label = choose_tasks(all_tasks, chosen.tasks)
    name = benchmark_name(chosen.benchmark, all_tasks)
    return Programs(name, label, tuple(tasks), benchmark_digest(all_tasks), chosen, progress)


@dataclass(frozen=True)
class Programs:
    """A benchmark of programs as a test."""

    benchmark: str
    subset: str
    items: tuple[Task, ...]
    """Those that are asked."""
    sha256: str
    """The benchmark's digest."""
    chosen: HumanEvalSettings
    progress: Progress | None = None
    """Told how far running answers is, where they are run after all are there."""

    @property
    def runs_programs(self) -> bool:
        """Whether verdicts need a sandbox."""
        return True

    @property
    def in_one_pass(self) -> bool:
        """Whether it is read instead of answered."""
        return False

    @property
    def asking(self) -> Asking:
        chosen = self.chosen
        return Asking(chosen.samples, chosen.seed, chosen.prompting, chosen.engine, chosen.slots)

    def settings(self, prompting: Prompting, engine: str) -> dict[str, Any]:
        settings = self.chosen.model_dump(mode="json", exclude={"slots", "benchmark"})
        settings |= {"prompting": prompting, "benchmark_sha256": self.sha256, "engine": engine}
        left_out = ("instruction", "system") if prompting == "raw" else ()
        return {key: value for key, value in settings.items() if key not in left_out}

    def question(self, model: Model, prompting: Prompting, item: Task, seed: int) -> Question:
        sampling = Sampling(self.chosen.max_tokens, self.chosen.temperature, self.chosen.top_p, seed)
        if prompting == "chat":
            turns = conversation(item, self.chosen.instruction, self.chosen.system)
            return Question(model, item.prompt, tuple(turns), sampling, end_of_chat(item.entry_point))
        return Question(model, item.prompt, (), sampling, end_of_completion)

    def outcome(self, item: Task, sample: int, generated: Generated, prompt: str, prompting: Prompting) -> Outcome:
        return outcome_of(item, sample, generated, prompt, prompting)

    @contextmanager
    def judging(self) -> Iterator[Judge]:
        """Runs answers, if anything can be run in isolation here."""
        if not sandbox_available()[0]:
            yield list
            return
        with self._scorer() as scorer:
            yield lambda outcomes: judged(outcomes, scorer)

    @contextmanager
    def _scorer(self) -> Iterator[Scorer]:
        settings = ScoringSettings(self.chosen.before_completion, self.chosen.before_solution)
        with Scorer(self.items, settings) as scorer:
            scorer.calibrated(self.progress)
            yield scorer

    def completed(self, evaluation: Evaluation, store: Store, details: Mapping[str, Any]) -> Evaluation:
        """The evaluation with its scores; set aside where there is no sandbox. Answers of a call without one get
        theirs."""
        available, why = sandbox_available()
        if not available:
            return set_aside(evaluation.id, store, why, details)
        with self._scorer() as scorer:
            unjudged = [outcome for outcome in store.evaluations.outcomes(evaluation.id) if answered(outcome)]
            recording.add(store, evaluation.id, judged(unjudged, scorer, self.progress))
            limits = limits_of(scorer, self.progress)
        return conclude(evaluation.id, store, {"limits": limits, **details})


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
