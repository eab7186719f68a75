"""What was shipped, and whether it should still be: a decision frozen as a record and checked again later."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from results.analysis.comparison import contrast
from results.analysis.deciding.decision import decide
from results.analysis.deciding.question import asked
from results.analysis.findings import EVERYTHING, MARGIN, Contrast, Decision, Limit, Limits, Question
from results.analysis.json_values import plain
from results.analysis.measurements import quality_shelf
from results.analysis.snapshot import Reading
from results.analysis.statistics import holm
from results.analysis.wording import points, quantity
from results.errors import BakeoffError, NotFound
from results.records import DecisionRecord, Model, digest, now

if TYPE_CHECKING:
    from results.store.store import Store

Kind = Literal["better", "regressed", "changed", "missing", "limits"]


@dataclass(frozen=True)
class Finding:
    """One thing that is no longer as it was when the model was shipped."""

    kind: Kind
    """better: a model beats the shipped one. regressed: a later model is worse than it. changed: its figures or files
    are others. missing: it is gone or no longer measured. limits: it no longer meets them."""
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
        return "\n".join([head, "", *(f"- {one.sentence}" for one in self.findings)]).rstrip() + "\n"


def freeze(decision: Decision, store: Store, name: str = "") -> DecisionRecord:
    """Store the decision with its limits, figures and identities; the same decision and name give the same record.

    Raises: BakeoffError if nothing was chosen, or for a decision from published counts, which names no model here.
    """
    if decision.chosen is None or decision.published:
        raise BakeoffError("Only a decision for a measured model can be frozen: " + decision.paragraph)
    payload = {**decision.as_json(), "name": name}
    asked_for = decision.question
    limits = {
        "limits": payload["limits"], "machine_id": decision.machine_id, "benchmark": decision.benchmark,
        "experiment": asked_for.experiment, "tag": asked_for.tag, "models": list(asked_for.models),
        "measures": list(decision.measures), "margin": asked_for.margin,
    }  # fmt: skip
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "decision"
    record = DecisionRecord(f"{slug}-{digest(payload)[:8]}", decision.chosen, limits, payload, now())
    store.decisions.add(record)
    return record


def recheck(record: DecisionRecord, store: Store) -> Recheck:
    """Hold a frozen decision against the store of today.

    Every model measured comparably is contrasted with the shipped one, paired, Holm-adjusted over them all.
    Raises: NotFound if the shipped model was deleted from the store.
    """
    shipped = store.models.get(record.model_id)
    reading = Reading(store)
    today = decide(reading, _question(record, shipped, reading))
    models = [one for one in reading.models if one.id in {candidate.model_id for candidate in today.candidates}]
    findings = [*_own(record, shipped, today), *_rivals(reading, shipped, models, today)]
    holds = not any(one.kind != "regressed" for one in findings)
    return Recheck(record.id, shipped.name, holds, tuple(findings), today)


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


def _own(record: DecisionRecord, shipped: Model, today: Decision) -> list[Finding]:
    """The shipped model against itself when it was frozen."""
    then = next(one for one in record.payload["candidates"] if one["model_id"] == shipped.id)
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
            f"{shipped.name}: {after.metric} was {before['value']:.3f} and is {after.value:.3f} on {after.n} items."
        )
        found.append(Finding("changed", shipped.id, sentence))
    then_figures = {one["metric"]: one["value"] for one in then["figures"]}
    for figure in at_present.figures:
        old = then_figures.get(figure.metric)
        if old and figure.metric.startswith(("ttft", "tpot")) and figure.low is not None and figure.low > old:
            sentence = f"{shipped.name}: {figure.metric} was {quantity(figure.metric, old)} and is slower now: "
            found.append(Finding("changed", shipped.id, sentence + f"{quantity(figure.metric, figure.value)}."))
    return found


def _rivals(reading: Reading, shipped: Model, models: list[Model], today: Decision) -> list[Finding]:
    """Who is better than the shipped model, and who has regressed against it."""
    shelf = quality_shelf(reading, models, today.benchmark)
    mine = shelf.found.get(shipped.id)
    if mine is None:
        return []
    found: list[tuple[Model, Contrast]] = []
    for model in models:
        theirs = shelf.found.get(model.id)
        if theirs is None or model.id == shipped.id or not today.candidate(model.id).qualifies:
            continue
        difference = contrast(theirs, mine)
        if difference is not None:
            found.append((model, difference))
    findings = []
    for (model, difference), p in zip(found, holm([one.p_value for _, one in found]), strict=True):
        if p > 0.05 or difference.better is None:
            continue
        spread = f"{points(difference, difference.difference)} on {difference.items} items, adjusted p = {p:.3g}"
        if difference.better == "a":
            findings.append(Finding("better", model.id, f"{model.name} is better than it: {spread}.", difference))
        else:
            sentence = f"{model.name} has regressed against the shipped model: {spread}."
            findings.append(Finding("regressed", model.id, sentence, difference))
    return findings
