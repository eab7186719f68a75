"""What was shipped, and whether it should still be: a decision frozen as a record and checked again later."""

from __future__ import annotations

import dataclasses
import getpass
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from results.analysis.comparison import contrast
from results.analysis.deciding.decision import decide
from results.analysis.deciding.question import asked
from results.analysis.findings import ALPHA, EVERYTHING, MARGIN, Contrast, Decision, Limit, Limits, Question
from results.analysis.json_values import plain
from results.analysis.measurements import Quality, quality_shelf
from results.analysis.snapshot import Reading
from results.analysis.statistics import holm
from results.analysis.wording import p_text, points, quantity, score_text
from results.errors import BakeoffError, NotFound
from results.records import DecisionRecord, Model, digest, now
from results.store.machines import this_machine

if TYPE_CHECKING:
    from results.store.store import Store

Kind = Literal["better", "regressed", "measured anew", "changed", "missing", "limits", "machine"]


@dataclass(frozen=True)
class Finding:
    """One thing that is no longer as it was when the model was shipped."""

    kind: Kind
    """better: a model that is new, or measured anew, beats the shipped one. regressed: a later model is worse than it.
    measured anew: a model of the decision has another measurement since. changed: the shipped model's figures or files
    are others. missing: it is gone or no longer measured. limits: it no longer meets them. machine: the latencies are
    another machine's."""
    model_id: str
    sentence: str
    contrast: Contrast | None = None


@dataclass(frozen=True)
class Recheck:
    """A frozen decision against the store of today."""

    record_id: str
    shipped: str
    """Name of the shipped model."""
    holds: bool
    """Nothing speaks against the shipped model: no better one, its limits met, its files and figures unchanged."""
    changed: tuple[str, ...]
    """What is another than it was, in words; empty: nothing."""
    findings: tuple[Finding, ...]
    decision: Decision
    """What would be decided today under the frozen limits."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return plain(self)

    def markdown(self) -> str:
        """The re-check as Markdown."""
        head = f"{self.shipped}, shipped by decision {self.record_id}, "
        head += "is still the choice." if self.holds else "should be looked at again."
        head += f" Changed since: {', '.join(self.changed)}." if self.changed else " Nothing has changed since."
        return "\n".join([head, "", *(f"- {one.sentence}" for one in self.findings)]).rstrip() + "\n"


def freeze(decision: Decision, store: Store, name: str = "", author: str = "") -> DecisionRecord:
    """Store the decision with its question, figures, identities, author (default: `whoever`) and machine.

    The same decision under the same name is the same record, with the date and author of the first.

    Raises: BakeoffError if nothing was chosen, or for a decision from published counts, which names no model here.
    """
    if decision.chosen is None or decision.published:
        raise BakeoffError("Only a decision for a measured model can be frozen: " + decision.paragraph)
    payload = {**decision.as_json(), "name": name}
    machine = this_machine()
    asked_for = decision.question
    limits = {
        "limits": payload["limits"], "machine_id": decision.machine_id, "benchmark": decision.benchmark,
        "experiment": asked_for.experiment, "tag": asked_for.tag, "models": list(asked_for.models),
        "measures": list(decision.measures), "margin": asked_for.margin,
    }  # fmt: skip
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "decision"
    identity = f"{slug}-{digest(payload)[:8]}"
    if there := [one for one in store.decisions.list() if one.id == identity]:
        return there[0]
    signed = {"author": author or whoever(), "machine": f"{machine.cpu}, {machine.cores} cores, {machine.system}"}
    record = DecisionRecord(identity, decision.chosen, limits, {**payload, **signed}, now())
    store.decisions.add(record)
    return record


def whoever() -> str:
    """Who decides: BAKEOFF_AUTHOR, else the name of the account; empty where it has none."""
    try:
        return os.environ.get("BAKEOFF_AUTHOR") or getpass.getuser()
    except (KeyError, OSError):
        return ""


def recheck(record: DecisionRecord, store: Store) -> Recheck:
    """Hold a frozen decision against the store of today.

    Every model measured comparably is contrasted with the shipped one, paired, Holm-adjusted over them all.
    Raises: NotFound if the shipped model was deleted from the store.
    """
    shipped = store.models.get(record.model_id)
    reading = Reading(store)
    today = decide(reading, _question(record, shipped, reading))
    models = [one for one in reading.models if one.id in {candidate.model_id for candidate in today.candidates}]
    then = {one["model_id"]: one for one in record.payload["candidates"]}
    moved = record.limits.get("machine_id") != today.machine_id and record.limits.get("machine_id") is not None
    findings = [*_own(then[shipped.id], shipped, today), *_rivals(then, reading, shipped, models, today)]
    if moved:
        sentence = f"Latencies were of machine {record.limits['machine_id']} and are of {today.machine_id} now."
        findings.append(Finding("machine", shipped.id, sentence))
    holds = not any(one.kind in ("better", "changed", "missing", "limits") for one in findings)
    return Recheck(record.id, shipped.name, holds, _changed(findings, then, today), tuple(findings), today)


def _changed(findings: Sequence[Finding], then: Mapping[str, Any], today: Decision) -> tuple[str, ...]:
    """What is another than it was, in words."""
    kinds = {one.kind for one in findings}
    identities = {one.model_id: one.identity for one in today.candidates}
    said = []
    if any(identities.get(id_) != one["identity"] for id_, one in then.items()):
        said.append("the models")
    if "measured anew" in kinds or (any(one.kind in ("changed", "missing") for one in findings) and not said):
        said.append("the test's outcomes")
    if "machine" in kinds:
        said.append("the machine")
    if identities.keys() - then.keys():
        said.append("who stands beside it")
    return tuple(said)


def find_record(store: Store, wanted: str) -> DecisionRecord:
    """A frozen decision by its id, or the newest frozen under that name. Raises: NotFound, listing what there is."""
    records = store.decisions.list()
    named = [one for one in records if one.id == wanted or one.payload.get("name") == wanted]
    if named:
        return max(named, key=lambda one: one.created_at.timestamp() if one.created_at else 0.0)
    known = ", ".join(one.id for one in records) or "none yet; freeze one: bakeoff decide --freeze NAME"
    raise NotFound(f"No frozen decision {wanted!r}. There are: {known}")


def _question(record: DecisionRecord, shipped: Model, reading: Reading) -> Question:
    """The question of a record, to be asked again: of its models that are there, the shipped one even if archived."""
    stored, there = record.limits, {one.id for one in reading.models}
    limits = Limits(
        others=tuple(Limit(one["metric"], one["bound"], one["at_most"]) for one in stored.get("limits") or ())
    )
    question = Question(
        experiment=stored.get("experiment") or EVERYTHING,
        tag=stored.get("tag") or "",
        models=tuple(one for one in stored.get("models") or () if one in there),
        measures=tuple(stored.get("measures") or [stored["benchmark"]]),
        limits=limits,
        margin=stored.get("margin") or MARGIN,
        machine_id=stored.get("machine_id"),
    )
    models = [one.id for one in asked(reading, question).models]
    return question if shipped.id in models else dataclasses.replace(question, models=(*models, shipped.id))


def _own(then: Mapping[str, Any], shipped: Model, today: Decision) -> list[Finding]:
    """The shipped model against itself when it was frozen."""
    at_present = today.candidate(shipped.id)
    found = []
    if then["identity"] != shipped.identity:
        found.append(
            Finding("changed", shipped.id, f"{shipped.name}: its weights, adapter or template are others now.")
        )
    if not at_present.qualifies:
        found.append(Finding("limits", shipped.id, f"{shipped.name}: {'; '.join(at_present.reasons)}."))
    before, after = then["quality"], at_present.quality
    if before and after is None:
        found.append(Finding("missing", shipped.id, f"{shipped.name}: its quality is no longer measured comparably."))
    elif before and after and before["n"] == after.n and abs(before["value"] - after.value) > 1e-9:
        sentence = (
            f"{shipped.name}: {after.metric} was {score_text(after.metric, before['value'])} and is "
            f"{score_text(after.metric, after.value)} on {after.n} items."
        )
        found.append(Finding("changed", shipped.id, sentence))
    then_figures = {one["metric"]: one["value"] for one in then["figures"]}
    for figure in at_present.figures:
        old = then_figures.get(figure.metric)
        if old and figure.metric.startswith(("ttft", "tpot")) and figure.low is not None and figure.low > old:
            sentence = f"{shipped.name}: {figure.metric} was {quantity(figure.metric, old)} and is slower now: "
            found.append(Finding("changed", shipped.id, sentence + f"{quantity(figure.metric, figure.value)}."))
    return found


def _rivals(
    then: Mapping[str, Any], reading: Reading, shipped: Model, models: Sequence[Model], today: Decision
) -> list[Finding]:
    """What is new about the others: who is better than the shipped model, who has regressed, who was measured anew.

    A model that is what it was, with the measurement that it had, is no news however it stands.
    """
    shelf = quality_shelf(reading, models, today.benchmark)
    mine = shelf.found.get(shipped.id)
    if mine is None:
        return []
    found: list[tuple[Model, Contrast]] = []
    for model in models:
        theirs = shelf.found.get(model.id)
        if theirs is None or model.id == shipped.id or not today.candidate(model.id).qualifies:
            continue
        if not _is_news(then.get(model.id), theirs) and not _is_news(then[shipped.id], mine):
            continue
        difference = contrast(theirs, mine)
        if difference is not None:
            found.append((model, difference))
    findings = []
    for (model, difference), p in zip(found, holm([one.p_value for _, one in found]), strict=True):
        spread = f"{points(difference, difference.difference)} on {difference.items} items, adjusted {p_text(p, 3)}"
        if p <= ALPHA and difference.better == "a":
            findings.append(Finding("better", model.id, f"{model.name} is better than it: {spread}.", difference))
        elif model.id not in then and p <= ALPHA and difference.better == "b":
            sentence = f"{model.name} has regressed against the shipped model: {spread}."
            findings.append(Finding("regressed", model.id, sentence, difference))
        elif model.id in then:
            sentence = f"{model.name} was measured anew: {spread} against the shipped model."
            findings.append(Finding("measured anew", model.id, sentence, difference))
    return findings


def _is_news(then: Mapping[str, Any] | None, quality: Quality) -> bool:
    """Whether a model, or its measurement, is another than when the decision was frozen."""
    if then is None or then["identity"] != quality.model.identity:
        return True
    return (then["quality"] or {}).get("evaluation_id") != quality.evaluation.id
