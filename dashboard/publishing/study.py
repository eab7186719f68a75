"""What a published page tells, read of the store once: figures with where they come from, pictures' data, answers.

Paths of this machine are not read. Names, verdicts and answers are kept as they are; `page` makes them inert.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dashboard import palette
from dashboard.publishing import evidence
from dashboard.publishing.bases import PublicBase
from dashboard.publishing.evidence import Answers, Losses, Matrix
from dashboard.views.board import NAMES
from dashboard.views.deciding import candidates, verdict
from dashboard.views.scoreboard import BADGES
from dashboard.views.tables import interval
from results import (
    Candidate,
    Decision,
    Machine,
    Model,
    PublishedResult,
    Reading,
    ScoreRow,
    Store,
    engine_words,
    question_text,
    standing,
)

MOST_MODELS = 40
"""Models whose items and scores are told one by one: of more, the best. The table of candidates has all."""


@dataclass(frozen=True)
class PageWishes:
    """What the person who publishes chooses."""

    title: str = ""
    author: str = ""
    items: tuple[str, ...] = ()
    """Items whose answers are shown; empty: those on which the models differ most."""
    answers: int = 12
    """How many items' answers, where none are named."""
    answers_by: str = ""
    """The measurement whose answers are shown; empty: the deciding one, else the first that kept any."""


@dataclass(frozen=True)
class Standing:
    """One candidate's row."""

    model: str
    colour: str
    standing: str
    quality: str
    origin: str
    """measured, imported or published: what its score is."""
    items: int
    costs: tuple[str, ...]
    """First token, tokens a second, memory, files; a dash for what is not known."""
    why: str


@dataclass(frozen=True)
class ScoreLine:
    """One score with where it comes from."""

    model: str
    test: str
    metric: str
    value: str
    items: int
    origin: str
    day: str
    engine: str
    machine: str


@dataclass(frozen=True)
class ModelCard:
    """What a model is, for the record."""

    model: str
    form: str
    base: str
    licence: str
    megabytes: str
    identity: str
    weights: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """Everything on the page."""

    title: str
    author: str
    until: str
    """Day of the newest measurement: nothing here is younger."""
    decision: Decision
    question: str
    verdict: str
    facts: tuple[tuple[str, str], ...]
    next: tuple[str, ...]
    points: pd.DataFrame
    """Rows of the chart of quality against cost."""
    along: str
    """What quality is drawn against, of AXES: seconds an answer, or where more models have one, the size."""
    styles: Mapping[str, palette.Style]
    standings: tuple[Standing, ...]
    matrix: Matrix | None
    answers: Answers | None
    losses: tuple[Losses, ...]
    scores: tuple[ScoreLine, ...]
    published: tuple[PublishedResult, ...]
    cards: tuple[ModelCard, ...]
    machines: tuple[str, ...]
    left_out: tuple[str, ...]
    """What the page does not show, and why."""

    @property
    def quality(self) -> str:
        """What the deciding score is called."""
        name = NAMES.get(self.decision.benchmark, self.decision.benchmark)
        return f"{name}, {self.decision.metric.replace('_', ' ')}" + ("" if self.percent else " (less is better)")

    @property
    def percent(self) -> bool:
        """Whether quality is a share."""
        return self.decision.metric != "bits_per_byte"


def read_study(store: Store, decision: Decision, bases: Mapping[str, PublicBase], wishes: PageWishes) -> Study:
    """What the store holds of a decision. bases: by the name that models have of them.

    Raises: BakeoffError naming items or measurements that the wishes name and nobody has.
    """
    reading = Reading(store)
    known = {one.id: one for one in reading.models}
    models = [known[one.model_id] for one in decision.candidates if one.model_id in known]
    machines = {one.id: one for one in store.machines.list()}
    styles = palette.styles(list(reading.runs), list(reading.models))
    told = models[:MOST_MODELS]
    colours = {id_: style.colour for id_, style in styles.items()}
    matrix = evidence.matrix(reading, told, decision.benchmark, colours) if models else None
    answers = evidence.answers(reading, told, decision, wishes.items, wishes.answers, wishes.answers_by)
    losses = evidence.losses(store, reading, told)
    scores = [row for row in store.evaluations.scores() if row.model_id in {one.id for one in told}]
    lines = tuple(_line(known[row.model_id], row, machines) for row in scores)
    used = dict.fromkeys([row.machine_id for row in scores if row.origin == "measured"])
    ends = [row.finished_at for row in scores if row.finished_at]
    about = machines.get(decision.machine_id or "")
    facts = verdict.facts(decision, about.cpu if about else "")
    along = _along(decision)
    beyond = f"Models beyond the best {MOST_MODELS} have no items and scores here."
    left_out = [beyond] if len(models) > len(told) else []
    return Study(
        title=wishes.title or f"Which one to ship: {decision.about or 'a published study'}",
        author=wishes.author,
        until=f"{max(ends):%Y-%m-%d}" if ends else "",
        decision=decision,
        question=question_text(decision),
        verdict=verdict.title(decision),
        facts=tuple(facts),
        next=tuple(one.sentence for one in decision.would_change[:12]),
        points=candidates.points(decision, along),
        along=along,
        styles=styles,
        standings=tuple(_standing(decision, one, colours) for one in decision.candidates),
        matrix=matrix,
        answers=answers,
        losses=losses,
        scores=lines,
        published=_published(store, decision),
        cards=tuple(_card(one, bases) for one in told),
        machines=tuple(machine_words(machines[id_]) for id_ in used if id_ in machines),
        left_out=(*left_out, *_absent(decision, matrix, answers, losses, models)),
    )


def _along(decision: Decision) -> str:
    """The axis that most models with a score can be drawn along; seconds where it is all the same."""
    return max(("", "bytes"), key=lambda axis: len(candidates.points(decision, axis)))


def machine_words(machine: Machine) -> str:
    """What a machine is, without a name of its own."""
    gpu = f", {machine.gpu}" if machine.gpu else ""
    return f"{machine.cpu}, {machine.cores} cores, {machine.ram_bytes / 2**30:.0f} GiB{gpu}, {machine.system}"


def _standing(decision: Decision, one: Candidate, colours: Mapping[str, str]) -> Standing:
    known = {figure.metric: figure for figure in one.figures}
    percent = decision.metric != "bits_per_byte"
    quality = one.quality
    shown = interval(quality.value, quality.low, quality.high, percent) if quality else "not measured"
    units = (("ttft_seconds_p90", "s", 1.0), ("tokens_per_second_p50", "", 1.0), ("peak_rss_bytes", "GB", 1e9))
    costs = [f"{known[name].value / unit:.3g} {word}".strip() if name in known else "–" for name, word, unit in units]
    costs.append(f"{one.bytes / 1e9:.3g} GB" if one.bytes else "–")
    origin = "published" if decision.published else quality.origin if quality else ""
    if one.timed_elsewhere:
        origin += ", times imported"
    out = next((each.reason for each in verdict.relaxations(decision) if each.model == one.model), "")
    colour = colours.get(one.model_id, palette.GREY)
    items = quality.n if quality else 0
    stands = standing(decision, one.model_id)
    return Standing(one.model, colour, stands, shown, origin, items, tuple(costs), out or " ".join(one.reasons))


def _line(model: Model, row: ScoreRow, machines: Mapping[str, Machine]) -> ScoreLine:
    percent = row.metric.startswith("pass") or row.metric in ("accuracy", "score")
    value = interval(row.value, row.low, row.high, percent) if math.isfinite(row.value) else str(row.value)
    if row.metric.endswith("_bytes") or row.metric == "bytes":
        value = f"{row.value / 1e9:.3g} GB"
    machine = machines.get(row.machine_id)
    return ScoreLine(
        model=row.model,
        test=row.benchmark + (f" ({row.subset})" if row.subset else ""),
        metric=row.metric.replace("_", " "),
        value=value,
        items=row.n,
        origin=row.origin,
        day=f"{row.finished_at:%Y-%m-%d}" if row.finished_at else "",
        engine=engine_words(model, row),
        machine=f"{machine.cpu}, {machine.cores} cores" if machine and row.origin == "measured" else "",
    )


def _card(model: Model, bases: Mapping[str, PublicBase]) -> ModelCard:
    base = bases.get(model.base, PublicBase(model.base))
    licence = str(model.details.get("license") or base.licence or "")
    notes = []
    if model.archived:
        notes.append("archived: a newer model has its name, or its run was put away")
    if model.form == "remote":
        notes.append("an endpoint: its weights are elsewhere, and no digest of them is known")
    elif not model.weights_sha256 and not model.adapter_sha256 and not model.identity:
        notes.append("no digest was recorded")
    if base.gated:
        notes.append("its base's licence must be accepted on the Hub before its weights may be fetched")
    if not licence:
        notes.append("no licence was recorded")
    form = BADGES.get(model.form, model.form)
    size = f"{model.bytes / 1e6:,.0f}" if model.bytes else "–"
    digest = model.adapter_sha256 or model.weights_sha256
    return ModelCard(model.name, form, base.name, licence, size, model.identity, digest, tuple(notes))


def _published(store: Store, decision: Decision) -> tuple[PublishedResult, ...]:
    """Others' figures in the store of the quantity that decides; they decide nothing."""
    if decision.published:
        return ()
    names = {"humaneval": ("pass@1", "passed"), "heldout": ("bits_per_byte",)}.get(decision.benchmark, ())
    return tuple(one for one in store.published.list() if one.metric in names)[:40]


def _absent(
    decision: Decision,
    matrix: Matrix | None,
    answers: Answers | None,
    losses: Sequence[Losses],
    models: Sequence[Model],
) -> list[str]:
    """What is not on the page, each with its reason."""
    found = []
    if decision.published:
        return ["The figures are a published study's totals: there are no items, answers or curves behind them."]
    if matrix is None:
        found.append("No matrix of items: what decides has no right or wrong an item, or nobody's items are recorded.")
    if answers is None:
        found.append("No answers: none of the measurements kept any.")
    if not losses:
        found.append("No loss curves: no run behind these models recorded losses.")
    without = [one.name for one in models if one.run_id is None and one.form != "base"]
    if losses and without:
        found.append(f"No loss curve of models that were made elsewhere: {', '.join(without[:12])}.")
    return found
