"""Measurements of quality in the store: found again wherever they were made, resumed, concluded.

What a model answers does not depend on the machine's name, so a measurement of quality has none in its key: on another
machine, such as tomorrow's rented one, it is found and not made again. The machine that made it is recorded. Latency
depends on the machine and keeps it in its key (`evaluator.latency.evaluate`).

    measurements = Measurements("stopping", store, anew=False)
    for group, left in measurements.each_open(groups, settings_of):
        with group.opened() as asked:
            self_test(left, asked.check, store)
            …
    return measurements.of(models)
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from results import (
    LEFT_OUT,
    Evaluation,
    Model,
    Outcome,
    RaceEntry,
    Score,
    Store,
    digest,
    makers_settings,
    raced_scores,
    this_machine,
)
from results.errors import Immutable

WORTH = {"finished": 3, "unscored": 2, "running": 1, "failed": 1}
"""Which of several records of one measurement is gone on with."""


@dataclass(frozen=True)
class Open:
    """A model whose measurement is not finished."""

    model: Model
    evaluation: Evaluation


class _Group(Protocol):
    """Models that are measured together."""

    @property
    def members(self) -> Sequence[Model]: ...


G = TypeVar("G", bound=_Group)


class Measurements:
    """The measurements of one benchmark that one call makes: found where they are there already, else begun."""

    def __init__(self, benchmark: str, store: Store, anew: bool, subset: str = "") -> None:
        """`anew`: what is finished is measured again. `subset`: what the store says of the items, where not all are."""
        self._benchmark = benchmark
        self._store = store
        self._anew = anew
        self._subset = subset
        self._machine = this_machine()
        store.machines.add(self._machine)
        self.found: dict[str, Evaluation] = {}
        """The evaluations by model id; what is concluded is put here."""

    def each_open(
        self, groups: Iterable[G], settings: Callable[[G], Mapping[str, Mapping[str, Any]]]
    ) -> Iterator[tuple[G, list[Open]]]:
        """The groups that have work left, each with its unfinished members.

        `settings`: a group's, by model id, as they are stored: what two measurements share that are one.
        Raises: NotFound (no such model).
        """
        for group in groups:
            left, stored = [], settings(group)
            for model in group.members:
                wanted = planned(model, self._benchmark, stored[model.id], self._machine.id, self._subset)
                evaluation = self.found[model.id] = begun(wanted, self._store, self._anew)
                if evaluation.status != "finished":
                    left.append(Open(model, evaluation))
            if left:
                yield group, left

    @property
    def finished(self) -> int:
        """How many of those that were looked for so far are finished."""
        return sum(one.status == "finished" for one in self.found.values())

    def of(self, models: Sequence[Model]) -> list[Evaluation]:
        """The evaluations of these models, in their order."""
        return [self.found[model.id] for model in models]


def self_test(left: Iterable[Open], check: Callable[[Model], object], store: Store) -> None:
    """Check that each model is what it says it is, before it is measured. Raises what `check` raises."""
    for one in left:
        try:
            check(one.model)
        except Exception as error:
            store.evaluations.fail(one.evaluation.id, f"self-test: {error}")
            raise


def planned(model: Model, benchmark: str, settings: Mapping[str, Any], machine_id: str, subset: str = "") -> Evaluation:
    """The evaluation as it will be stored, with the id that finds it again on any machine."""
    identity = digest([model.id, model.identity, benchmark, dict(settings), subset])
    own = makers_settings(model.details)
    details = {LEFT_OUT: own} if own else {}
    return Evaluation(identity[:24], model.id, benchmark, settings, machine_id, subset=subset, details=details)


def begun(wanted: Evaluation, store: Store, anew: bool = False) -> Evaluation:
    """Begin a measurement, or take the one that is there: of the same model, benchmark, settings and items.

    A record of before, whose id holds a machine's name, is found too. Look at the status: a finished one is left alone
    unless `anew`. Answers that only wait for verdicts stay those of the machine that gave them.
    Raises: NotFound (no such model).
    """
    there = [
        one
        for one in store.evaluations.list(model_id=wanted.model_id, benchmark=wanted.benchmark)
        if one.origin == "measured" and one.subset == wanted.subset and _text(one.settings) == _text(wanted.settings)
    ]
    best = max(there, key=lambda one: (WORTH[one.status], one.id == wanted.id), default=wanted)
    if best.status == "unscored":
        kept = {key: value for key, value in best.details.items() if key != "unscored"}
        best = dataclasses.replace(best, details=kept)
    else:
        best = dataclasses.replace(wanted, id=best.id)
    return store.evaluations.begin(best, replace=anew)


def add(store: Store, evaluation_id: str, outcomes: Sequence[Outcome]) -> None:
    """Store outcomes. Where another process has finished the same measurement meanwhile, its own stay."""
    try:
        store.evaluations.add_outcomes(evaluation_id, outcomes)
    except Immutable:
        return


def finish(
    store: Store, evaluation_id: str, scores: Sequence[Score], details: Mapping[str, Any] | None = None
) -> Evaluation:
    """Close the evaluation. Where another process has finished it meanwhile, its scores are returned.

    Of one that a race may have stopped the intervals hold at every look.
    """
    there = store.evaluations.get(evaluation_id)
    entry = RaceEntry.of(dataclasses.replace(there, details={**there.details, **(details or {})}))
    if entry is not None and there.status != "finished":
        values = item_values(store.evaluations.outcomes(evaluation_id))
        scores = raced_scores(scores, list(values.values()), entry.most)
    try:
        return store.evaluations.finish(evaluation_id, scores, details)
    except Immutable:
        return store.evaluations.get(evaluation_id)


def item_values(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """What each item counts, in [0, 1]: the mean of its answers. Errors of ours and what waits for a verdict do not."""
    answers: dict[str, list[float]] = {}
    for outcome in outcomes:
        if outcome.verdict is not None and outcome.verdict != "error":
            answers.setdefault(outcome.item, []).append(float(outcome.verdict == "passed"))
        elif outcome.verdict is None and outcome.value is not None:
            answers.setdefault(outcome.item, []).append(outcome.value)
    return {item: sum(values) / len(values) for item, values in answers.items()}


def _text(settings: Mapping[str, Any]) -> str:
    """Settings as the store gives them back: a tuple is a list."""
    return json.dumps(dict(settings), sort_keys=True, default=str)
