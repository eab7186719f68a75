"""Stored replies get the verdicts of today's checks, and no model is asked: what changed is said item by item.

A right answer that was wrong in the file, or another check, makes another test of the same questions. Its evaluations
stand beside those of before, which stay as they were. A reply is a reply to the question that its model was given: an
item whose question reads otherwise now, or that is new, is left for the models, and the evaluation waits for them.

Not here: programs of HumanEval's shape (`evaluator.humaneval.concluding.rescore`).
Try: bakeoff evaluate demo-rank8 --benchmark mine.csv --check contains --rescore
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engines import Generated
from evaluator import recording
from evaluator.errors import ModelUnmeasurable, SandboxUnavailable
from evaluator.question_sets.concluding import conclude, outcome_of, sandboxed
from evaluator.question_sets.items import Item, QuestionSet
from evaluator.question_sets.likelihood import chosen_of
from evaluator.question_sets.measured import measured_items, remember
from evaluator.question_sets.settings import QuestionSettings, continued, turns_of_chat
from evaluator.sandbox.bubblewrap import sandbox_available
from results import Evaluation, Model, Outcome, Store

NAMED = 5
"""Items that a reason names."""


@dataclass(frozen=True)
class Change:
    """What another look at a reply came to."""

    item: str
    sample: int
    was: str
    """The verdict of before, or the share."""
    now: str
    answer: str
    message: str
    """Why it does not pass now."""


@dataclass(frozen=True)
class Rescored:
    """One model's stored replies, checked again."""

    evaluation: Evaluation
    """Finished; or failed, with the reason, where items are left for the models."""
    changes: tuple[Change, ...]
    replies: int
    """Replies that were checked again."""
    left: tuple[str, ...]
    """Items that no reply is stored to as they are asked now."""
    gone: tuple[str, ...]
    """Items of before that the set has no more."""

    @property
    def sentence(self) -> str:
        """What changed, in one line."""
        gained = sum(one.now == "passed" for one in self.changes)
        lost = sum(one.was == "passed" for one in self.changes)
        said = f"{len(self.changes)} of {self.replies} replies are judged otherwise: {gained} gained, {lost} lost"
        if self.gone:
            said += f"; the set has no more: {_listed(self.gone)}"
        return f"{said}; {self.evaluation.reason}" if self.evaluation.reason else said


def rescore_questions(models: Sequence[Model], questions: QuestionSet, store: Store, skip_bad: bool) -> list[Rescored]:
    """Check again what is stored of each model; of one that was asked in several ways, each way's newest replies.

    Raises: ModelUnmeasurable where no named model has a stored reply, SandboxUnavailable where programs are to be run,
    BenchmarkUnreadable as `evaluate_questions`.
    """
    available, why = sandbox_available()
    if not available and any(check.kind == "code" for item in questions.items for check in item.checks):
        raise SandboxUnavailable(why)
    remember(questions, store)
    found = [
        _rescored(model, evaluation, questions, store, skip_bad)
        for model in models
        for evaluation in _newest(model, questions, store)
    ]
    if not found:
        names = ", ".join(model.name for model in models[:NAMED]) or "none"
        raise ModelUnmeasurable(
            f"No stored replies to {questions.name} of: {names}. Ask first: the same command without --rescore"
        )
    return found


def _newest(model: Model, questions: QuestionSet, store: Store) -> list[Evaluation]:
    """One evaluation for each way of asking: by the set of today, else the newest by another state of it."""
    ways: dict[str, Evaluation] = {}
    for one in store.evaluations.list(model_id=model.id, benchmark=questions.name):
        if one.origin != "measured" or one.status not in ("finished", "unscored") or "set_sha256" not in one.settings:
            continue
        way = repr(sorted((key, repr(value)) for key, value in one.settings.items() if key != "set_sha256"))
        known = ways.get(way)
        if known is None or known.settings["set_sha256"] != questions.digest:
            ways[way] = one
    return list(ways.values())


def _rescored(model: Model, before: Evaluation, questions: QuestionSet, store: Store, skip_bad: bool) -> Rescored:
    told = {key: value for key, value in before.settings.items() if key not in ("engine", "set_sha256", "k")}
    chosen = QuestionSettings.model_validate({**told, "skip_bad": skip_bad})
    items, subset = measured_items(questions, chosen)
    settings = {**before.settings, "set_sha256": questions.digest}
    wanted = recording.planned(model, questions.name, settings, before.machine_id, subset)
    same = before.settings == settings and before.subset == subset
    if same:
        wanted = replace(wanted, id=before.id)
    stored = store.evaluations.outcomes(before.id)
    outcomes, changes, left = _judged_again(stored, items, chosen, same)
    known = {item.id for item in items}
    gone = tuple(dict.fromkeys(one.item for one in stored if one.item not in known))
    details = {key: before.details[key] for key in ("reached",) if key in before.details}
    store.evaluations.begin(replace(wanted, details={**wanted.details, **details}), replace=same)
    recording.add(store, wanted.id, outcomes)
    if left:
        reason = (
            f"{len(left)} items have no stored reply as they are asked now: {_listed(left)}. "
            "Ask them: the same command without --rescore"
        )
        store.evaluations.fail(wanted.id, reason)
        after = store.evaluations.get(wanted.id)
    else:
        after = conclude(wanted.id, questions.with_items(items), store, {})
    return Rescored(after, tuple(changes), len(outcomes), tuple(left), gone)


def _judged_again(
    stored: Sequence[Outcome], items: Sequence[Item], chosen: QuestionSettings, same: bool
) -> tuple[list[Outcome], list[Change], list[str]]:
    """(outcomes by today's checks, what changed, ids of items that are left for the models). same: the set is the one
    that was asked, so every reply is one to its item."""
    by_key = {(one.item, one.sample): one for one in stored}
    outcomes: list[Outcome] = []
    left: dict[str, None] = {}
    for item in items:
        for sample in range(chosen.samples):
            before = by_key.get((item.id, sample))
            if before is None or not (same or _asked_so(item, before, chosen)):
                left[item.id] = None
            else:
                outcomes.append(_judged(item, before) if "answer" in before.details else before)
    with sandboxed(items) as run_programs:
        outcomes = run_programs(outcomes) if run_programs else outcomes
    changes = [
        Change(one.item, one.sample, was, now, str(one.details.get("answer", "")), str(one.details.get("message", "")))
        for one in outcomes
        if (was := _words(by_key[one.item, one.sample])) != (now := _words(one))
    ]
    return outcomes, changes, list(left)


def _judged(item: Item, before: Outcome) -> Outcome:
    details: Mapping[str, Any] = before.details
    prompt = str(details.get("prompt", ""))
    if "nats_of_choices" in details:
        return chosen_of(item, prompt, details["nats_of_choices"])
    generated = Generated(
        str(details["answer"]),
        int(details.get("tokens", 0)),
        details.get("finish_reason") or "stop",
        details.get("near_tie"),
    )
    return outcome_of(item, before.sample, generated, prompt)


def _asked_so(item: Item, before: Outcome, chosen: QuestionSettings) -> bool:
    """Whether a reply is one to the item as it is asked now; of likelihoods, to its choices as they are now."""
    if "nats_of_choices" in before.details and list(before.details.get("choices", ())) != list(item.choices):
        return False
    prompt = str(before.details.get("prompt", ""))
    if chosen.prompting == "raw":
        return prompt.strip() == continued(item, chosen).strip()
    return all(turn["content"].strip() in prompt for turn in turns_of_chat(item, chosen))


def _words(outcome: Outcome) -> str:
    if outcome.verdict is not None:
        return outcome.verdict
    return "not run" if outcome.value is None else f"{outcome.value:.3f}"


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(items[:NAMED]) + more
