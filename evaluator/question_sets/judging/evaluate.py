"""A judging model looks at stored replies: verdicts of its own, in evaluations of their own.

    judge_replies(measured, judging, store, workspace)

A test's replies stay where they are, with the rules' verdicts. What the judge says of them stands beside it as "NAME
judged by M", whose settings hold the judge's identity and the rubric's digest: another judge or another rubric is
another evaluation. A reply of the judge without a verdict is counted, and counts as neither right nor wrong; what the
judge's engine could not answer is an error of ours, and the same call asks it again.

Not here: the prompt and how a verdict is read (`prompts`), people's labels (`labels`), scores (`concluding`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engines import EngineError, Generated, Sampling
from evaluator import recording
from evaluator.asking.backends import Group, groups
from evaluator.asking.questions import Question
from evaluator.errors import ModelUnmeasurable
from evaluator.question_sets.checking.replies import answer_in
from evaluator.question_sets.checking.rubric import JudgeSettings
from evaluator.question_sets.concluding import FOR_A_JUDGE
from evaluator.question_sets.items import Item, QuestionSet
from evaluator.question_sets.judging.concluding import conclude_judged, labels_of
from evaluator.question_sets.judging.prompts import (
    Said,
    credit_of,
    judge_prompt,
    references,
    verdict_in,
    verdict_schema,
)
from evaluator.question_sets.settings import QuestionSettings, shown
from results import Evaluation, Model, Outcome, Progress, Store, Workspace, judged_name

STORED_TOGETHER = 16
"""Verdicts that are stored at once: what a kill at the wrong moment costs."""

CARRIED = ("prompt", "answer", "tokens", "finish_reason", "near_tie", "tags", "group")
"""What a judged outcome has of the reply's own."""


@dataclass
class _Judgement:
    """One model's replies under judgement."""

    model: Model
    evaluation: Evaluation
    replies: Sequence[Outcome]
    waiting: list[Outcome] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    each: _Judgement
    item: Item
    reply: Outcome
    question: Question


@dataclass(frozen=True)
class Judging:
    """A judge at work: who, by what, on which questions."""

    judge: Model
    by: JudgeSettings
    questions: QuestionSet
    """The set, cut down to the items that are judged."""
    chosen: QuestionSettings

    def prompt(self, item: Item, answer: str) -> str:
        """What the judge is asked about an answer."""
        return judge_prompt(item, shown(item, self.chosen), answer, self.by.text, self.by.grades)


def judge_replies(
    measured: Sequence[Evaluation],
    judging: Judging,
    store: Store,
    workspace: Workspace,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Judge the replies of evaluations whose answers are all stored; what was judged before is not asked again.

    Raises: ModelUnmeasurable, BenchmarkUnreadable (labels), FileRefused, EngineError: what was judged before an engine
    failed is stored, and the same call goes on after it.
    """
    labels = labels_of(judging.by, judging.questions.name)
    if not measured:
        return []
    judgements = [_begun(one, judging, store) for one in measured]
    opened = [each for each in judgements if each.evaluation.status != "finished"]
    details: dict[str, Any] = {}
    if opened:
        (group,) = groups([judging.judge], workspace)
        jobs = [job for each in opened for job in _jobs(each, judging, group, store)]
        if jobs:
            details = _ask(jobs, judging, group, store, progress)
    ended = [(each.model, each.evaluation) for each in judgements]
    return conclude_judged(ended, judging.judge, judging.by, judging.questions, labels, store, details)


def _begun(replies: Evaluation, judging: Judging, store: Store) -> _Judgement:
    """The evaluation that an evaluation's replies are judged in."""
    model = store.models.get(replies.model_id)
    settings = {**replies.settings, "judge": judging.by.stored(judging.judge)}
    name = judged_name(replies.benchmark, judging.judge.name)
    wanted = recording.planned(model, name, settings, replies.machine_id, replies.subset)
    return _Judgement(model, recording.begun(wanted, store), store.evaluations.outcomes(replies.id))


def _jobs(each: _Judgement, judging: Judging, group: Group, store: Store) -> list[_Job]:
    """What the judge is still to be asked about a model; what needs no judge is stored at once."""
    known = {
        (one.item, one.sample): one.details.get("answer")
        for one in store.evaluations.outcomes(each.evaluation.id)
        if one.verdict != "error"
    }
    items = {item.id: item for item in judging.questions.items}
    mode = group.prompting(None)[judging.judge.id]
    sampling, jobs = Sampling(judging.by.max_tokens), list[_Job]()
    settled: list[Outcome] = []
    for reply in each.replies:
        item, answer = items.get(reply.item), reply.details.get("answer")
        if item is None or (answer is not None and known.get((reply.item, reply.sample)) == answer):
            continue
        if answer is None or not answer_in(str(answer)):
            settled.append(_without_answer(reply))
            continue
        text = judging.prompt(item, answer_in(str(answer)))
        turns = ({"role": "user", "content": text},) if mode == "chat" else ()
        schema = verdict_schema(judging.by.grades)
        question = Question(judging.judge, f"{text}\n\n", turns, sampling, None, item.id, (), schema)  # type: ignore[arg-type]
        jobs.append(_Job(each, item, reply, question))
    recording.add(store, each.evaluation.id, settled)
    return jobs


def _without_answer(reply: Outcome) -> Outcome:
    """A reply that holds nothing to judge: no answer, or an error of ours, which stays one."""
    kept = {key: reply.details[key] for key in CARRIED if key in reply.details}
    said = reply.details.get("message") or "the reply is empty or holds thoughts alone"
    verdict = "error" if reply.verdict == "error" or "answer" not in reply.details else "no_answer"
    return Outcome(reply.item, reply.sample, verdict, details={**kept, "message": said})  # type: ignore[arg-type]


def _ask(
    jobs: Sequence[_Job], judging: Judging, group: Group, store: Store, progress: Progress | None
) -> dict[str, Any]:
    """Ask the judge everything in one batch; what the evaluations' details say of how it was reached."""
    what = f"verdicts of {judging.judge.name}"
    refused: list[str] = []
    judgements = list({job.each.evaluation.id: job.each for job in jobs}.values())
    try:
        with group.opened([job.question for job in jobs]) as asked:
            asked.check(judging.judge)
            for done, (place, answer) in enumerate(asked.answers([job.question for job in jobs], None), 1):
                job = jobs[place]
                refused += [answer.text] if answer.finish_reason == "error" else []
                job.each.waiting.append(_judged(job, answer, judging))
                if len(job.each.waiting) >= STORED_TOGETHER:
                    _store(job.each, store)
                if progress is not None:
                    progress(what, done, len(jobs))
    except EngineError as error:
        for each in judgements:
            _store(each, store)
            store.evaluations.fail(each.evaluation.id, f"the judge {judging.judge.name}: {error}")
        raise
    for each in judgements:
        _store(each, store)
    if len(refused) == len(jobs):
        for each in judgements:
            store.evaluations.fail(each.evaluation.id, f"the judge {judging.judge.name}: {refused[0]}")
        raise EngineError(f"{judging.judge.name} judged nothing: {refused[0]}")
    return dict(group.details())


def _store(each: _Judgement, store: Store) -> None:
    recording.add(store, each.evaluation.id, each.waiting)
    each.waiting.clear()


def _judged(job: _Job, answer: Generated, judging: Judging) -> Outcome:
    """A reply with the judge's verdict on it."""
    name, grades = judging.judge.name, judging.by.grades
    details: dict[str, Any] = {key: job.reply.details[key] for key in CARRIED if key in job.reply.details}
    details |= {"checks": [f"judged by {name}"], "wanted": [" | ".join(references(job.item))[:200]]}
    outcome = Outcome(job.reply.item, job.reply.sample, details=details)
    if answer.finish_reason == "error":
        said = {"message": f"the judge {name}: {answer.text}"}
        return replace(outcome, verdict="error", details={**details, **said})
    found = verdict_in(answer.text, str(job.reply.details["answer"]), grades)
    if not found.verdict and answer.finish_reason == "length":
        found = Said("", f"the judge's reply was cut off at {judging.by.max_tokens} tokens and holds no verdict")
    details |= {"judge_said": answer.text, "found": found.verdict or "no verdict", "message": found.reason}
    if not found.verdict:
        return outcome
    if grades is not None:
        return replace(outcome, value=credit_of(found.verdict, grades))
    cut = job.reply.details.get("finish_reason") == "length" and found.verdict != "correct"
    return replace(outcome, verdict="passed" if found.verdict == "correct" else "truncated" if cut else "wrong")


def judging_of(chosen: QuestionSettings, questions: QuestionSet, items: Sequence[Item], store: Store) -> Judging:
    """The judge of a test, and the items that it looks at. Raises: NotFound, ModelUnmeasurable, BenchmarkUnreadable."""
    by = chosen.judge
    if by is None:
        raise ModelUnmeasurable(f"no judge is named for {questions.name}")
    by.check_items(items, questions.name)
    return Judging(by.judge(store), by, questions.with_items(items), chosen)


def replies_of(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Those whose answers are all stored, with rules' verdicts or waiting for a judge's."""
    return [one for one in evaluations if one.status in ("finished", "unscored")]


def told_apart(found: Sequence[Evaluation], judged: Sequence[Evaluation]) -> list[Evaluation]:
    """What is shown of both: an evaluation that only waited for its judge is not, the rules' own scores are."""
    return [*(one for one in found if one.status == "finished" or not _only_judged(one)), *judged]


def _only_judged(evaluation: Evaluation) -> bool:
    return evaluation.status == "unscored" and FOR_A_JUDGE in evaluation.details
