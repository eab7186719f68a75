"""What an import has in common with earlier ones: whether a run or an evaluation is in the store, or has got further.

A thing is there if everything that its file says is there. A run that lies where a stored one lay and goes on from it
is that run. Everything else is new, also where a file of before lies in the same place: two things never become one.
What stores of before hold has no digest of its content; it is found by the ids of before and compared value by value.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from results.errors import NotFound
from results.importers.parcels import ImportedEvaluation, ImportedRun, canonical, same, tool_of
from results.importers.trainings.settings import ours
from results.records import Evaluation, Model, Outcome, Point, Run

if TYPE_CHECKING:
    from results.store.store import Store

Change = Literal["new", "further", "there"]


@dataclass(frozen=True)
class KnownRun:
    """The stored run that an imported one is."""

    run: Run | None
    change: Change
    difference: str = ""
    """How a new run differs from one that was imported from the same place."""


class Recognition:
    """Compares with what the store held when it was first asked, and with what was noted since."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._evaluations: dict[str, list[Evaluation]] = {}

    @cached_property
    def _all_runs(self) -> dict[str, Run]:
        return {one.run.id: one.run for one in self._store.runs.list()}

    @cached_property
    def _runs(self) -> dict[str, Run]:
        return {key: one for key, one in self._all_runs.items() if one.origin == "imported"}

    @property
    def run_names(self) -> dict[str, str]:
        """Names of all runs by id."""
        return {key: one.name for key, one in self._all_runs.items()}

    @cached_property
    def _payloads(self) -> dict[str, Mapping[str, Any]]:
        return {one.subject: one.payload for one in self._store.reports.list("import")}

    @cached_property
    def models(self) -> dict[str, Model]:
        """The store's models by id."""
        return {one.id: one for one in self._store.models.list()}

    def note_run(self, run: Run, payload: Mapping[str, Any]) -> None:
        """Remember a run that was delivered."""
        self._runs[run.id] = self._all_runs[run.id] = run
        self._payloads[run.id] = payload

    def note_evaluation(self, evaluation: Evaluation) -> None:
        """Remember an evaluation that was delivered."""
        self._of(evaluation.benchmark).append(evaluation)

    def run(self, found: ImportedRun) -> KnownRun:
        """The stored run that this one is, if any."""
        difference = ""
        for there in self._runs.values():
            payload = self._payloads.get(there.id, {})
            if "content" in payload:
                alike = payload.get("name") == found.called.names[0] and tool_of(there.source) == found.tool
                if alike and payload["content"] == found.content:
                    return KnownRun(there, "there")
                if not alike or payload.get("place") != found.called.place:
                    continue
            elif there.id != found.former_id:
                continue
            change, difference = self._compared(there, found, strictly="content" in payload)
            if change != "new":
                return KnownRun(there, change)
        return KnownRun(None, "new", difference)

    def _compared(self, there: Run, found: ImportedRun, strictly: bool) -> tuple[Change, str]:
        """Whether a run goes on from the one that lay in its place, and if not, how it differs."""
        said = [] if there.base == found.run.base or not (strictly or there.base) else ["base"]
        before, read = _renamed(there.config), _renamed(found.run.config)
        # a setting that was not read before, and all else the same: told in more words
        said += sorted(key for key in before if (strictly or key in read) and not _equal(before[key], read.get(key)))
        if said:
            return "new", f"{', '.join(said[:5])} differ{'s' if len(said) == 1 else ''}"
        stored, given = self._points(there.id), _by_metric(found.points)
        changed = [
            (step, metric)
            for metric in stored.keys() & given.keys()
            for step in stored[metric].keys() & given[metric].keys()
            if not same(stored[metric][step], given[metric][step])
        ]
        if changed:
            step, metric = min(changed)
            return "new", f"{metric} is another at step {step}"
        more, fewer = _lacking(stored, given), _lacking(given, stored)
        if (more and min(more) < _last(stored)) or (fewer and min(fewer) < _last(given)):
            return "new", f"one has values at step {min([*more, *fewer])} that the other lacks"
        if fewer and found.run.status == "finished":
            return "new", f"it had finished by step {_last(given)}"
        if fewer or not (more or strictly):
            return "there", ""
        if there.status == "finished" and more:
            return "new", f"it had finished at step {_last(stored)}, and here is more"
        if there.status != "finished":
            return "further", ""
        if _end(there) != _end(found.run) or ("training.seed" in before and there.seed != found.run.seed):
            return "new", "its end differs"
        return ("further" if _equal(there.config, found.run.config) else "there"), ""

    def _points(self, run_id: str) -> dict[str, dict[int, float]]:
        curves = self._store.curves
        return {
            metric: dict(zip(*(array.tolist() for array in curves.read(run_id, metric)), strict=True))
            for metric in curves.metrics(run_id)
        }

    def evaluation(self, found: ImportedEvaluation, measured: Model | None) -> Evaluation | None:
        """The stored evaluation that says all that this one says, of the same model; None if there is none."""
        content = found.content
        mine = self._own(found)
        if mine is not None and (measured is None or mine.model_id == measured.id):
            return mine
        for there in self._of(found.evaluation.benchmark):
            model = self.models.get(there.model_id)
            if model is None or not (model.id == measured.id if measured else _is_of(found, model)):
                continue
            if there.details.get("content") == content:
                return there
            if "content" not in there.details and self._says_the_same(there, found):
                return there
        return None

    def _own(self, found: ImportedEvaluation) -> Evaluation | None:
        """The evaluation that this very store wrote into the file, if it says now what the file says."""
        try:
            there = self._store.evaluations.get(found.own) if found.own else None
        except NotFound:
            return None
        if there is None or there.status != "finished" or repr(there.scores) != repr(found.scores):
            return None
        stored = self._store.evaluations.outcomes(there.id)
        alike = _equal(
            [dataclasses.astuple(one) for one in stored], [dataclasses.astuple(one) for one in found.outcomes]
        )
        return there if alike else None

    def _of(self, benchmark: str) -> list[Evaluation]:
        if benchmark not in self._evaluations:
            listed = self._store.evaluations.list(benchmark=benchmark)
            self._evaluations[benchmark] = [one for one in listed if one.origin == "imported"]
        return self._evaluations[benchmark]

    def _says_the_same(self, there: Evaluation, found: ImportedEvaluation) -> bool:
        """Whether an evaluation that a Bakeoff of before imported has the same answers and figures."""
        at = found.evaluation.finished_at
        if there.status != "finished" or (at is not None and there.finished_at != at):
            return False
        stored = self._store.evaluations.outcomes(there.id)
        if not stored and not found.outcomes:
            shared = there.settings.keys() & found.evaluation.settings.keys()
            settings = all(_equal(there.settings[key], found.evaluation.settings[key]) for key in shared)
            return settings and {(one.metric, one.value) for one in there.scores} == {
                (one.metric, one.value) for one in found.scores
            }
        rescored = "limits" in there.details  # the verdicts are of this sandbox since
        one, other = ({_key(each): _said(each, rescored) for each in side} for side in (stored, found.outcomes))
        return one == other


def _is_of(found: ImportedEvaluation, model: Model) -> bool:
    """Whether a stored foreign model is the one that a file's results are of, by identity or by default name."""
    if model.identity in (found.model.identity, found.former):
        return True
    name, tool = model.details.get("imported_as"), model.details.get("imported_by")
    return (name, tool) == (found.called.names[0], found.model.details.get("imported_by"))


def _key(outcome: Outcome) -> tuple[str, int]:
    return outcome.item.lower(), outcome.sample  # Mbpp/2 is MBPP/2


def _said(outcome: Outcome, rescored: bool) -> Any:
    text = outcome.details.get("answer", outcome.details.get("code"))
    return text if rescored else (text, outcome.verdict, None if outcome.value is None else repr(outcome.value))


def _renamed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings under the names of today."""
    return {ours(key): value for key, value in config.items()}


def _by_metric(points: Sequence[Point]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for one in points:
        found.setdefault(one.metric, {})[one.step] = one.value
    return found


def _lacking(one: Mapping[str, Iterable[int]], other: Mapping[str, Iterable[int]]) -> set[int]:
    """Steps at which `one` lacks a metric that `other` has."""
    return {step for metric, steps in other.items() for step in set(steps) - set(one.get(metric, ()))}


def _end(run: Run) -> tuple[str, str, int | None]:
    return run.experiment, run.status, run.total_steps


def _last(points: Mapping[str, Mapping[int, float]]) -> int:
    return max((step for steps in points.values() for step in steps), default=0)


def _equal(one: Any, other: Any) -> bool:
    return json.dumps(canonical(one), sort_keys=True, default=str) == json.dumps(
        canonical(other), sort_keys=True, default=str
    )
