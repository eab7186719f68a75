"""Parcels into the store: each thing once, under an id of its content and a name that is free.

A run is stored whole, in one transaction, with a report of what its file lacks. An evaluation is stored under the model
that it is of: the one that the caller names, else one that is registered under the file's own name for it.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from results.errors import Immutable, ImportRefused, NotFound
from results.importers.names import Called, short
from results.importers.parcels import ImportedEvaluation, ImportedRun, Parcel, foreign_model, slug
from results.importers.recognition import Change, Recognition
from results.records import Evaluation, Model, Report, Run, digest, now

if TYPE_CHECKING:
    from results.store.store import Store


@dataclass(frozen=True)
class ImportedItem:
    """One run or evaluation that a file held."""

    kind: str
    """run or evaluation."""
    id: str
    name: str
    """The run's, or the model's."""
    format: str
    source: str
    points: int = 0
    outcomes: int = 0
    benchmark: str = ""
    status: str = ""
    new: bool = True
    """False: the store had it already, or had its beginning."""
    change: Change = "new"
    """further: the store had its beginning, and has all of it now."""
    missing: tuple[str, ...] = ()


class Delivery:
    """Delivers the parcels of one import. `notes`, `refused` and `unnamed` grow while it does."""

    def __init__(self, store: Store, parcels: Sequence[Parcel], model: str | None, dry_run: bool) -> None:
        """model: name or id of a model in the store that all evaluations are of, or the name of a new one.

        Raises: ImportRefused if that would make one model of several.
        """
        self._store, self._parcels, self._dry_run = store, parcels, dry_run
        self._known = Recognition(store)
        self._stored = set(self._known.models)
        self.notes: list[str] = []
        self.refused: list[str] = []
        self.unnamed: list[str] = []
        evaluations = [one for parcel in parcels for one in parcel.evaluations]
        self._model = self._named(model, evaluations) if model else None
        models = {one.model.id: one.called.names[0] for one in evaluations}
        runs = {(one.called.names[0], one.content) for parcel in parcels for one in parcel.runs}
        self._shared = {name for name, times in Counter(models.values()).items() if times > 1}
        self._shared |= {name for name, times in Counter(name for name, _ in runs).items() if times > 1}

    def items(self) -> list[ImportedItem]:
        """Deliver everything; what was found, in order."""
        found = []
        for parcel in self._parcels:
            for run in parcel.runs:
                found.append(self._run(run, parcel.format))
            for one in parcel.evaluations:
                found.append(self._evaluation(one, parcel.format))
        return [item for item in found if item is not None]

    def _named(self, name: str, evaluations: Sequence[ImportedEvaluation]) -> Model:
        """The model that the caller names, in the store or new."""
        apart = sorted({f"{one.called.names[0]} ({one.evaluation.source})" for one in evaluations})
        if len({one.model.id for one in evaluations}) > 1:
            listed = ", ".join(apart[:4]) + (", …" if len(apart) > 4 else "")
            raise ImportRefused(
                f"--model {name}: these are results of several models: {listed}. Import them one by one"
            )
        try:
            return self._store.models.find(name)
        except NotFound:
            if not evaluations:
                raise
            self.notes.append(f"the store had no model {name!r}: it is registered as a new one")
            first = evaluations[0].model
            model = foreign_model("", Called((short(name),), ""), first.base, first.form, first.bytes)
            return dataclasses.replace(model, details={**first.details, "named": True})

    def _run(self, found: ImportedRun, form: str) -> ImportedItem | None:
        """One run, whole, in one transaction; with a report of what was missing."""
        known = self._known.run(found)
        run = self._as_stored(found, known.run)
        item = ImportedItem(
            "run", run.id, run.name, form, run.source, points=len(found.points), status=run.status,
            new=known.change == "new", change=known.change, missing=found.missing,
        )  # fmt: skip
        if known.difference:
            self.notes.append(
                f"{run.source}: another run than the one that lay there before ({known.difference}); both are kept"
            )
        payload = {
            "format": form, "source": run.source, "missing": list(found.missing), "summary": dict(found.summary),
            "name": found.called.names[0], "place": found.called.place, "content": found.content,
        }  # fmt: skip
        self._known.note_run(run, payload)
        if known.change == "there" or self._dry_run:
            return item
        try:
            self._store.runs.add(run, found.points)
        except Immutable as error:
            self.refused.append(f"{run.source}: {error}")
            return None
        self._store.reports.put(Report(run.id, "import", payload, now()))
        return item

    def _as_stored(self, found: ImportedRun, there: Run | None) -> Run:
        """The run under its id and name: those that it has, what people edited with them, or new ones."""
        if there is not None:
            edited = {name: getattr(there, name) for name in ("id", "name", "tags", "notes", "archived")}
            return dataclasses.replace(found.run, **edited)
        run_id = f"{slug(found.called.names[0])}-{found.content[:8]}"
        taken = {name for known, name in self._known.run_names.items() if known != run_id}
        return dataclasses.replace(found.run, id=run_id, name=self._free(found.called, taken, run_id))

    def _evaluation(self, found: ImportedEvaluation, form: str) -> ImportedItem | None:
        """One evaluation under the model it is of."""
        there = self._known.evaluation(found, self._model)
        model = self._model_of(found, there)
        content = found.content
        evaluation = dataclasses.replace(
            found.evaluation, id=digest([model.id, content])[:32], model_id=model.id, machine_id=found.machine.id,
            details={**found.evaluation.details, "content": content, "missing": list(found.missing),
                     "machine": "of the import, not this one"},
        )  # fmt: skip
        new = there is None or there.status not in ("finished", "unscored")
        item = ImportedItem(
            "evaluation", evaluation.id if there is None else there.id, model.name, form, evaluation.source,
            outcomes=len(found.outcomes), benchmark=evaluation.benchmark, status="finished", new=new,
            change="new" if new else "there", missing=found.missing,
        )  # fmt: skip
        if not new:
            return item
        self._known.note_evaluation(dataclasses.replace(evaluation, status="finished"))
        self._known.models[model.id] = model
        if self._dry_run:
            return item
        try:
            self._store_evaluation(found, evaluation, model)
        except Immutable as error:  # another process has finished it meanwhile
            self.refused.append(f"{evaluation.source}: {error}")
            return None
        return item

    def _store_evaluation(self, found: ImportedEvaluation, evaluation: Evaluation, model: Model) -> None:
        self._store.machines.add(found.machine)
        if model.id not in self._stored:
            self._store.models.add(model)
            self._stored.add(model.id)
        begun = self._store.evaluations.begin(evaluation)
        if begun.status == "finished":
            return
        self._store.evaluations.add_outcomes(evaluation.id, found.outcomes)
        if evaluation.status == "unscored":
            command = f"bakeoff evaluate {shlex.quote(model.name)} --benchmark {evaluation.benchmark} --rescore"
            self._store.evaluations.set_aside(evaluation.id, f"{evaluation.reason} Score them: {command}")
        else:
            self._store.evaluations.finish(evaluation.id, found.scores, at=evaluation.finished_at)

    def _model_of(self, found: ImportedEvaluation, there: Evaluation | None) -> Model:
        """The model in the store, or the foreign one under a name that no other has."""
        if self._model is not None:
            return self._model
        if there is not None:
            return self._known.models[there.model_id]
        alike = [one for one in self._known.models.values() if one.identity == found.model.identity]
        if alike:
            return min(alike, key=lambda one: one.archived)
        measured = {one.name for one in self._known.models.values() if not one.details.get("imported_by")}
        names = found.called.names
        if names[0] in measured:
            names = (f"{names[0]} (imported {found.model.identity[:6]})", *names[1:])
        taken = {one.name for one in self._known.models.values()}
        free = self._free(dataclasses.replace(found.called, names=names), taken, found.model.identity)
        if found.called.by_place:
            self.notes.append(f"{found.evaluation.source}: does not name its model; called {free!r} after its place")
            self.unnamed.append(free)
        # an id holds the beginning of the identity: another model may have the same one, and keeps it
        longer = f"{slug(found.called.names[0])}-{found.model.identity}"
        id_ = longer if found.model.id in self._known.models else found.model.id
        return dataclasses.replace(found.model, id=id_, name=free)

    def _free(self, called: Called, taken: Iterable[str], identity: str) -> str:
        """The shortest name that is free, and that this import's other files do not have as well."""
        names = called.names[1:] if called.names[0] in self._shared and len(called.names) > 1 else called.names
        numbered = f"{called.names[0]} ({identity[-8:]})"
        return next((one for one in names if one not in taken), numbered)
