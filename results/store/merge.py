"""Two stores become one: what another machine measured is taken in, and nothing is doubled.

What both have stays as it is here, unless the other store's has got further (a run finished there, an evaluation done
there). Merging again takes nothing. Files of models are not copied: see `results.artifacts`.

Imports of before were known by a run's beginning and by verdicts alone, so that two different ones may have one id in
two stores: both are kept, the one taken in under an id of its content. Measurements of one id that differ are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from results.errors import Immutable
from results.records import Model, Outcome, Point, PublishedResult, Report, RunSummary, digest
from results.store.store import Store

Record = TypeVar("Record")


@dataclass
class MergeReport:
    """What a merge did, by noun (runs, models, …)."""

    taken: dict[str, int] = field(default_factory=dict)
    """New here, or further there."""
    present: dict[str, int] = field(default_factory=dict)
    """Were here already."""
    differences: list[str] = field(default_factory=list)
    """What is not the same in both stores, a sentence each; it stays as it was here."""

    def count(self, noun: str, taken: bool) -> None:
        """Count one record."""
        self.taken.setdefault(noun, 0)
        self.present.setdefault(noun, 0)
        (self.taken if taken else self.present)[noun] += 1


def merge(target: Store, source: Store) -> MergeReport:
    """Take everything of `source` that `target` lacks. Can be repeated, and resumed if it was interrupted.

    Raises what the stores raise.
    """
    report = MergeReport()
    _lacking(report, "machines", source.machines.list(), target.machines.list(), _id, target.machines.add)
    renamed = _runs(target, source, report)
    _models(target, source, report)
    renamed |= _evaluations(target, source, report)
    _lacking(report, "votes", source.votes.list(), target.votes.list(), _id, target.votes.add)
    _lacking(report, "decisions", source.decisions.list(), target.decisions.list(), _id, target.decisions.add)
    figures = source.published.list(), target.published.list()
    _lacking(report, "published results", *figures, _figure, lambda each: target.published.add([each]))
    for finding in source.reports.list():
        finding = replace(finding, subject=renamed.get(finding.subject, finding.subject))
        known = target.reports.get(finding.subject, finding.kind)
        newer = known is None or _moment(finding) > _moment(known)
        report.count("reports", newer)
        if newer:
            target.reports.put(finding)
    return report


def _lacking(
    report: MergeReport,
    noun: str,
    there: Sequence[Record],
    here: Sequence[Record],
    key: Callable[[Record], Any],
    add: Callable[[Record], object],
) -> None:
    """Add the records whose key is not here yet."""
    known = {key(record) for record in here}
    for record in there:
        report.count(noun, key(record) not in known)
        if key(record) not in known:
            add(record)


def _runs(target: Store, source: Store, report: MergeReport) -> dict[str, str]:
    """Take runs in; the new ids of imported ones that are others than those here."""
    here = {each.run.id: each for each in target.runs.list()}
    renamed: dict[str, str] = {}
    for there in source.runs.list():
        points = _points(source, there.run.id)
        known = here.get(there.run.id)
        if known is not None and "imported" == known.run.origin == there.run.origin:
            other = _apart(points, _points(target, known.run.id))
            if other:
                run_id = f"{there.run.id[:60]}-{other}"
                report.differences.append(f"another run {there.run.id!r} was imported there; it is {run_id!r} here")
                renamed[there.run.id], known = run_id, here.get(run_id)
                there = replace(there, run=replace(there.run, id=run_id))
        both_finished = known is not None and known.run.status == there.run.status == "finished"
        taken = known is None or (not both_finished and _progress(there) > _progress(known))
        report.count("runs", taken)
        try:
            if taken or both_finished:  # what both have finished is compared, and refused if it differs
                target.runs.add(there.run, points)
        except Immutable as difference:
            report.differences.append(str(difference))
    return renamed


def _apart(there: Sequence[Point], here: Sequence[Point]) -> str:
    """Digest of the points there if a step has another value here; empty where one curve can be both."""
    known = {(each.metric, each.step): repr(each.value) for each in here}
    apart = any(known.get((each.metric, each.step), repr(each.value)) != repr(each.value) for each in there)
    return digest([[each.metric, each.step, repr(each.value)] for each in there])[:8] if apart else ""


def _evaluations(target: Store, source: Store, report: MergeReport) -> dict[str, str]:
    """Take evaluations in; the new ids of imported ones that are others than those here."""
    here = {each.id: each for each in target.evaluations.list()}
    renamed: dict[str, str] = {}
    for there in source.evaluations.list():
        outcomes = source.evaluations.outcomes(there.id)
        known = here.get(there.id)
        if known is not None and known.status == there.status == "finished":
            if "imported" == known.origin == there.origin:
                if _told(outcomes) != _told(target.evaluations.outcomes(known.id)):
                    renamed[there.id] = digest([there.id, _told(outcomes)])[:32]
                    report.differences.append(f"another evaluation {there.id!r} was imported there; both are kept")
                    there = replace(there, id=renamed[there.id])
            elif repr(known.scores) != repr(there.scores):
                report.differences.append(f"evaluation {there.id!r} has other scores there; it stays as it was here")
        report.count("evaluations", target.evaluations.bring(there, outcomes))
    return renamed


def _told(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """What was answered, item by item."""
    text = ("answer", "code")
    return sorted(
        [
            each.item,
            str(each.sample),
            str(each.verdict),
            repr(each.value),
            *(str(each.details.get(key)) for key in text),
        ]
        for each in outcomes
    )


def _models(target: Store, source: Store, report: MergeReport) -> None:
    here, theirs = target.models.list(), source.models.list(as_stored=True)
    names = {model.name for model in here}
    roots = {model.name: model.id for model in here if model.name == model.fine_tune}
    others = {
        model.name: f"{model.name}@{model.identity[:8] or model.id}"
        for model in theirs
        if model.name == model.fine_tune and roots.get(model.name, model.id) != model.id
    }
    """Fine-tunes that share no more than their name with one here; with all their formats they get another."""

    def add(model: Model) -> None:
        name, fine_tune = model.name, model.fine_tune
        if fine_tune in others:
            name, fine_tune = others[fine_tune] + name.removeprefix(fine_tune), others[fine_tune]
        elif name in names:
            name = f"{name}@{model.identity[:8] or model.id}"
        if name != model.name:
            report.differences.append(f"another model is called {model.name!r} here; the one taken in is {name!r}")
        model = replace(model, name=name, fine_tune=fine_tune)
        names.add(target.models.add(model).name)

    _lacking(report, "models", theirs, here, _id, add)


def _points(store: Store, run_id: str) -> list[Point]:
    return [
        Point(metric, step, value)
        for metric in store.curves.metrics(run_id)
        for step, value in zip(*(array.tolist() for array in store.curves.read(run_id, metric)), strict=True)
    ]


def _progress(summary: RunSummary) -> tuple[bool, int]:
    return summary.run.status == "finished", summary.steps


def _id(record: Any) -> str:
    return str(record.id)


def _figure(result: PublishedResult) -> tuple[str, ...]:
    return result.study, result.subject, result.metric, result.item


def _moment(report: Report) -> float:
    return report.created_at.timestamp() if report.created_at else 0.0
