"""Measuring until it is decided: models are asked the same items in one order, block by block, and losers stop.

    race(models, question_test(questions, store), store, workspace, Until(margin=0.02), progress, tell)

Who leaves, when and why is `results.analysis.racing.rule`; here the questions are asked, through the way that all tests
take (`evaluator.asking.measurement`). The order is drawn once, from a seed and the items' ids. All that a race knows
is in the store: the terms and the order's seed in a report of kind "race", each model's answers in an evaluation of its
own, so that the same call after a kill asks what is left and decides as it would have. Answers that another measurement
has to the same questions under the same settings are taken from there.

Not here: held-out rows and choices by likelihood, which one pass over a text measures anyway.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from engines import Generated
from evaluator import recording
from evaluator.asking.backends import Group, groups
from evaluator.asking.kept import Grouped, kept_open
from evaluator.asking.measurement import Asking, Item, Judge, measure_by
from evaluator.asking.prompts import Prompting
from evaluator.asking.questions import Question
from evaluator.errors import ModelUnmeasurable
from evaluator.sandbox.bubblewrap import sandbox_available
from results import (
    MARGIN,
    Departure,
    Evaluation,
    Model,
    Outcome,
    Progress,
    RaceEntry,
    RaceStanding,
    RaceTerms,
    Report,
    Store,
    Workspace,
    contaminated_items,
    digest,
    now,
    stand,
    this_machine,
)

if TYPE_CHECKING:
    from evaluator.humaneval.evaluate import Programs
    from evaluator.question_sets.evaluate import Questions

    AnyTest: TypeAlias = Programs | Questions

RULE = 3
"""Counts up where the rule changes: a race that was begun under another is another race."""


@dataclass(frozen=True)
class Until:
    """When a race is decided."""

    margin: float = MARGIN
    """The smallest difference that matters, a share of 1."""
    budget: int | None = None
    """Answers of all models together, at most; None: as many as it takes."""
    seed: int = 0
    """Draws the order of the items."""


@dataclass(frozen=True)
class Look:
    """A race after a block, as its listener is told."""

    race: str
    benchmark: str
    names: Mapping[str, str]
    """Names of the models by id."""
    standing: RaceStanding
    departed: tuple[Departure, ...]
    """Who left at this look."""
    terms: RaceTerms
    answers: int
    """Answers so far, of all models."""
    at_most: int
    """Answers that it can come to, as it stands."""
    brought: int
    """Answers of those that were taken from other measurements."""
    seconds_left: float | None
    """Seconds until it is over at the latest, at the speed so far; None before there is one."""


Tell = Callable[[Look], None]


@dataclass(frozen=True)
class _Placed(Asking):
    """Asking from a place on: seeds are those of an item's place in the race, whatever block it is in."""

    first: int = 0

    def seed_of(self, place: int, sample: int) -> int:
        return super().seed_of(self.first + place, sample)


@dataclass(frozen=True)
class _Block:
    """A part of a test, asked in a race; nothing is concluded after it."""

    test: Any
    """Programs or Questions: what both have is `evaluator.asking.measurement.Test`."""
    items: Sequence[Item]
    first: int
    race: str
    most: int
    judge: Judge
    details: dict[str, Mapping[str, Any]]
    """Filled with how each evaluation was asked last, by id."""

    @property
    def benchmark(self) -> str:
        return str(self.test.benchmark)

    @property
    def subset(self) -> str:
        return f"race over {self.most:,} items"

    @property
    def asking(self) -> Asking:
        return _Placed(**dataclasses.asdict(self.test.asking), first=self.first)

    def settings(self, prompting: Prompting, engine: str) -> dict[str, Any]:
        return {**self.test.settings(prompting, engine), "tasks": None, "race": self.race}

    def question(self, model: Model, prompting: Prompting, item: Item, seed: int) -> Question:
        question: Question = self.test.question(model, prompting, item, seed)
        return question

    def outcome(self, item: Item, sample: int, generated: Generated, prompt: str, prompting: Prompting) -> Outcome:
        outcome: Outcome = self.test.outcome(item, sample, generated, prompt, prompting)
        return outcome

    def judging(self) -> AbstractContextManager[Judge]:
        """The judge of the whole race."""
        return nullcontext(self.judge)

    def completed(self, evaluation: Evaluation, store: Store, details: Mapping[str, Any]) -> Evaluation:
        """The evaluation as it is: it goes on."""
        if details:
            self.details[evaluation.id] = details
        return store.evaluations.get(evaluation.id)


def race(
    models: Sequence[Model],
    test: AnyTest,
    store: Store,
    workspace: Workspace,
    until: Until,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> list[Evaluation]:
    """Measure the models by the test until it is decided which is best; an evaluation each, with what it was asked.

    Raises: ModelUnmeasurable for what cannot be raced, and all that measuring the models whole would; what was answered
    before is stored, and the same call goes on after it.
    """
    _check(models, test, until)
    under_way = _Race(models, test, store, workspace, until)
    with test.judging() as judge:
        return under_way.run(judge, progress, tell)


def _check(models: Sequence[Model], test: AnyTest, until: Until) -> None:
    if len(models) < 2:
        named = models[0].name if models else "nobody"
        raise ModelUnmeasurable(f"A race needs two models, and there is {named}: name more, or leave until decided out")
    if not 0 < until.margin <= 0.5:
        raise ModelUnmeasurable(f"A margin is a share of 1, above 0 and at most 0.5, such as 0.02: {until.margin:g}")
    if until.budget is not None and until.budget < 2 * len(models):
        raise ModelUnmeasurable(
            f"A budget of {until.budget} answers is too little for {len(models)} models: {2 * len(models)} at least"
        )
    if test.in_one_pass:
        raise ModelUnmeasurable(
            "Choices by likelihood, and answers that a model judges, are read in one pass: leave until decided out"
        )
    labels = Counter(label for item in test.items if (label := getattr(item, "group", "")))
    if any(count > 1 for count in labels.values()):
        raise ModelUnmeasurable(
            f"Items of {len(labels)} groups are related, and a race bets on each by itself: leave until decided out"
        )
    available, why = sandbox_available()
    if test.runs_programs and not available:
        raise ModelUnmeasurable(
            f"A race needs verdicts as it goes, and no program can be run here: {why} Or leave until decided out"
        )


class _Pace:
    """Progress of a race as one piece of work, and how fast it goes."""

    def __init__(self, progress: Progress | None, benchmark: str) -> None:
        self._progress, self._what = progress, f"race by {benchmark}"
        self._before = self._at_most = self._asked = self._done = 0
        self._began = time.perf_counter()

    def begin(self, answers: int, at_most: int) -> None:
        """A block begins after so many answers, of so many at most."""
        self._before, self._at_most, self._done = answers, at_most, 0

    def __call__(self, what: str, done: int, _: int) -> None:
        if not what.startswith("answers to "):
            return
        self._asked += done if done <= self._done else done - self._done  # models apart are asked in turn
        self._before += done if done <= self._done else done - self._done
        self._done = done
        if self._progress is not None:
            self._progress(self._what, min(self._before, self._at_most), self._at_most)

    def seconds(self, answers: int) -> float | None:
        """Time for so many more answers at the speed so far; None before there is one."""
        return (time.perf_counter() - self._began) / self._asked * answers if self._asked else None


class _Race:
    """One race under way."""

    def __init__(
        self, models: Sequence[Model], test: AnyTest, store: Store, workspace: Workspace, until: Until
    ) -> None:
        self._models, self._test, self._store, self._workspace = models, test, store, workspace
        excluded = contaminated_items(store, models, test.benchmark)
        items = sorted((item for item in test.items if item.id not in excluded), key=lambda item: item.id)
        if not items:
            raise ModelUnmeasurable(f"All items of {test.benchmark} are in training data: nothing is left to race")
        self._until = until
        self._order: list[Any] = [items[place] for place in np.random.default_rng(until.seed).permutation(len(items))]
        self._terms = RaceTerms(len(items), until.margin, until.budget)
        self._ids = [model.id for model in models]
        what: list[Any] = [sorted(model.id + model.identity for model in models), test.benchmark, RULE]
        what += [test.settings("raw", ""), [item.id for item in self._order], dataclasses.asdict(until)]
        self._id = digest(what)[:16]
        self._scores: NDArray[np.float64] = np.full((len(models), len(items)), np.nan)
        self._found: dict[str, Evaluation] = {}
        self._details: dict[str, Mapping[str, Any]] = {}
        self._donated: dict[str, Mapping[str, Sequence[Outcome]]] = {}
        self._brought = 0

    def run(self, judge: Judge, progress: Progress | None, tell: Tell | None) -> list[Evaluation]:
        """Block by block until it is over, in engines that stay open. The evaluations, in the models' order."""
        pace, standing = _Pace(progress, self._test.benchmark), self._standing(0)
        self._report(standing)
        with kept_open(self._models, self._workspace, self._test.asking.engine, self._questions) as grouped:
            standing = self._blocks(standing, judge, pace, tell, grouped)
        for model_id in standing.inside:
            self._conclude(model_id, standing.items)
        self._report(standing)
        return [self._found[model.id] for model in self._models]

    def _standing(self, items: int) -> RaceStanding:
        """The race after so many items."""
        return stand(self._ids, self._scores[:, :items], self._terms)

    def _blocks(
        self, standing: RaceStanding, judge: Judge, pace: _Pace, tell: Tell | None, grouped: Grouped
    ) -> RaceStanding:
        """Ask and look until it is over; who leaves is concluded at once. standing: that of the beginning."""
        while (look := standing.next_look) is not None:
            block = self._block(standing.items, look, judge)
            inside = [model for model in self._models if model.id in standing.inside]
            self._bring(block, inside)
            pace.begin(_answers(standing), self._at_most(standing))
            for one in measure_by(block, inside, self._store, self._workspace, pace, grouped=grouped):
                self._found[one.model_id] = one
            self._fill(inside, block)
            before, standing = standing, self._standing(look)
            departed = standing.left[len(before.left) :]
            for gone in departed:
                self._conclude(gone.model, gone.items, gone)
            if tell is not None:
                tell(self._look(standing, departed, pace))
        return standing

    def _questions(self, group: Group) -> list[Question]:
        """All that a group can be asked in the race."""
        modes = group.prompting(self._test.asking.prompting)
        seed_of, samples = self._test.asking.seed_of, range(self._test.asking.samples)
        return [
            self._test.question(model, modes[model.id], item, seed_of(place, sample))
            for model in group.members
            for place, item in enumerate(self._order)
            for sample in samples
        ]

    def _block(self, first: int, look: int, judge: Judge) -> _Block:
        items = self._order[first:look]
        return _Block(self._test, items, first, self._id, self._terms.most, judge, self._details)

    def _at_most(self, standing: RaceStanding) -> int:
        """Answers that it can come to."""
        most = _answers(standing) + len(standing.inside) * (self._terms.most - standing.items)
        return min(most, self._terms.budget or most)

    def _fill(self, inside: Sequence[Model], block: _Block) -> None:
        """The scores of a block's items."""
        for model in inside:
            values = recording.item_values(self._store.evaluations.outcomes(self._found[model.id].id))
            row = self._scores[self._ids.index(model.id)]
            for place, item in enumerate(block.items, block.first):
                row[place] = values.get(item.id, np.nan)

    def _conclude(self, model_id: str, items: int, gone: Departure | None = None) -> None:
        """Close the evaluation of a model that is asked no more, with the race that it was in."""
        evaluation = self._found[model_id]
        if evaluation.status == "finished":
            return
        why, p_value = (gone.why, gone.p_value) if gone else (None, 1.0)
        entry = RaceEntry(
            self._id, self._terms.most, items, len(self._ids), why, p_value, now().isoformat(timespec="seconds")
        )
        asked: Any = dataclasses.replace(cast(Any, self._test), items=tuple(self._order[:items]))
        details = {**self._details.get(evaluation.id, {}), **entry.details()}
        self._found[model_id] = asked.completed(evaluation, self._store, details)

    def _look(self, standing: RaceStanding, departed: Sequence[Departure], pace: _Pace) -> Look:
        answers, at_most = _answers(standing), self._at_most(standing)
        return Look(
            self._id,
            self._test.benchmark,
            {model.id: model.name for model in self._models},
            standing,
            tuple(departed),
            self._terms,
            answers,
            at_most,
            self._brought,
            0.0 if standing.over else pace.seconds(at_most - answers),
        )

    def _report(self, standing: RaceStanding) -> None:
        """What was drawn before the race, and how it stands."""
        payload = {
            "benchmark": self._test.benchmark, "models": self._ids, "order": [item.id for item in self._order],
            "until": dataclasses.asdict(self._until), "rule": RULE, "end": standing.end,
            "inside": list(standing.inside), "left": [dataclasses.asdict(one) for one in standing.left],
        }  # fmt: skip
        self._store.reports.put(Report(self._id, "race", payload))

    def _bring(self, block: _Block, inside: Sequence[Model]) -> None:
        """Take what other measurements under the same settings hold of a block's items, instead of asking again."""
        for group in groups(inside, self._workspace, self._test.asking.engine):
            modes = group.prompting(self._test.asking.prompting)
            for model in group.members:
                settings = block.settings(modes[model.id], group.engine)
                if model.id not in self._donated:
                    self._donated[model.id] = self._answers_elsewhere(model, settings)
                given = [one for item in block.items for one in self._donated[model.id].get(item.id, ())]
                if not given:
                    continue
                wanted = recording.planned(model, block.benchmark, settings, this_machine().id, block.subset)
                begun = recording.begun(wanted, self._store)
                there = {(one.item, one.sample) for one in self._store.evaluations.outcomes(begun.id)}
                fresh = [one for one in given if (one.item, one.sample) not in there]
                if fresh and begun.status != "finished":
                    recording.add(self._store, begun.id, fresh)
                    self._brought += len(fresh)

    def _answers_elsewhere(self, model: Model, settings: Mapping[str, Any]) -> dict[str, list[Outcome]]:
        """Outcomes by item of this model under the same settings, in whatever measurement; the fullest first."""
        found: dict[str, list[Outcome]] = {}
        for one in self._store.evaluations.list(model_id=model.id, benchmark=self._test.benchmark):
            if one.origin == "measured" and _alike(one.settings, settings) and one.settings.get("race") != self._id:
                outcomes: dict[str, list[Outcome]] = {}
                for outcome in self._store.evaluations.outcomes(one.id):
                    if outcome.verdict != "error" and (outcome.verdict is not None or outcome.value is not None):
                        outcomes.setdefault(outcome.item, []).append(outcome)
                found = {**found, **outcomes} if len(outcomes) >= len(found) else {**outcomes, **found}
        return found


def _answers(standing: RaceStanding) -> int:
    """Items that were asked, of all models."""
    return sum(one.items for one in standing.left) + len(standing.inside) * standing.items


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two measurements asked alike, whatever items."""
    texts = [
        json.dumps({key: value for key, value in settings.items() if key not in ("tasks", "race")}, sort_keys=True)
        for settings in (one, other)
    ]
    return texts[0] == texts[1]
