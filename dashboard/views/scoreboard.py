"""The scoreboard's rows: one a fine-tune, whatever formats it has, sorted by how it stands. Pure.

What a row shows of a format is that of the one that stands best, else of the one that ships; another format's figure
says whose it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dashboard.jobs import commands
from results import Candidate, Decision, Evaluation, Model, Scored, by_shipping, standing

ELSEWHERE = "another question"
"""How a model stands that the question is not about."""
ORDER: tuple[str, ...] = (
    "ship", "highest score", "highest score, a guess", "as good", "not told apart", "behind", "fails a limit",
    "not measured", "not compared", ELSEWHERE,
)  # fmt: skip
"""Every standing, best first: the order of the rows."""
BADGES = {
    "base": "base", "adapter": "adapter", "merged": "merged", "lora-gguf": "LoRA", "gguf-f16": "F16",
    "gguf-q8_0": "Q8", "gguf-q4_0": "Q4", "gguf-other": "GGUF", "ggml": "GGML", "remote": "endpoint",
}  # fmt: skip
"""Each form in a word that fits a badge."""
COSTS = {"first_token": "ttft_seconds_p50", "speed": "tokens_per_second_p50"}
"""The columns of cost that a limit's figures fill, and their metric."""


@dataclass(frozen=True)
class Cell:
    """One figure of a row; every number in the metric's own unit."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    difference: float | None = None
    """The value minus the baseline's, where both are on the same items."""
    gained: int | None = None
    lost: int | None = None
    note: str = ""
    """What must be known to read it: another format's, another set of items."""


@dataclass(frozen=True)
class Row:
    """One fine-tune, or base."""

    id: str
    """Id of the model that its figures are of."""
    name: str
    base: str
    formats: tuple[tuple[str, str], ...]
    """(badge, model's name) of each format, what would ship first."""
    standing: str
    baseline: bool
    scores: Mapping[str, Cell] = field(default_factory=dict)
    """Cell by test; a test that measured none of its formats is not there."""
    first_token: Cell | None = None
    speed: Cell | None = None
    bytes: int = 0
    votes: int = 0
    members: tuple[str, ...] = ()
    """Ids of all its formats."""


def families(models: Sequence[Model]) -> list[list[Model]]:
    """The models by fine-tune, each with what would ship first."""
    found: dict[str, list[Model]] = {}
    for model in models:
        found.setdefault(model.fine_tune or model.name, []).append(model)
    return [by_shipping(formats) for formats in found.values()]


def rows(
    models: Sequence[Model],
    decision: Decision | None,
    scores: Mapping[str, Mapping[str, Scored]],
    votes: Mapping[str, int],
    baseline: str = "",
) -> list[Row]:
    """A row a fine-tune, best standing first.

    decision: the question's; None where nothing was measured. scores: by test, then model id. votes: by model id.
    baseline: the name of the fine-tune whose row is marked.
    """
    asked = {one.model_id: one for one in decision.candidates} if decision else {}
    places = {id_: place for place, id_ in enumerate(asked)}
    found = []
    for formats in families(models):
        ordered = sorted(formats, key=lambda one: ORDER.index(standing_of(decision, one.id, asked)))
        shown = ordered[0]
        found.append(
            Row(
                id=shown.id,
                name=shown.fine_tune or shown.name,
                base=shown.base,
                formats=tuple((BADGES.get(one.form, one.form), one.name) for one in formats),
                standing=standing_of(decision, shown.id, asked),
                baseline=bool(baseline) and (shown.fine_tune or shown.name) == baseline,
                scores={test: cell for test, known in scores.items() if (cell := _score(ordered, known))},
                bytes=shown.bytes,
                votes=sum(votes.get(one.id, 0) for one in formats),
                members=tuple(one.id for one in formats),
                **{column: _cost(ordered, asked, metric) for column, metric in COSTS.items()},
            )
        )
    return sorted(found, key=lambda row: (ORDER.index(row.standing), places.get(row.id, len(places)), row.name))


def standing_of(decision: Decision | None, model_id: str, asked: Mapping[str, Candidate]) -> str:
    """How a model stands in a decision, or that it is not asked about. asked: the candidates by model id."""
    if decision is None or model_id not in asked:
        return ELSEWHERE if decision else "not measured"
    return standing(decision, model_id)


def _score(formats: Sequence[Model], known: Mapping[str, Scored]) -> Cell | None:
    """The score of the first format that has a comparable one, else of the first that has any."""
    having = [one for one in formats if one.id in known]
    if not having:
        return None
    model = next((one for one in having if known[one.id].comparable), having[0])
    found, notes = known[model.id], []
    if model is not formats[0]:
        notes.append(f"of {model.name}")
    if not found.comparable:
        notes.append(f"not comparable: {found.why}" if found.why else "not comparable")
    if found.figure.origin != "measured":
        notes.append(found.figure.origin)
    figure = found.figure
    return Cell(
        figure.value, _finite(figure.low), _finite(figure.high), figure.n, found.difference, found.gained, found.lost,
        "; ".join(notes),
    )  # fmt: skip


def _cost(formats: Sequence[Model], asked: Mapping[str, Candidate], metric: str) -> Cell | None:
    for model in formats:
        for figure in asked[model.id].figures if model.id in asked else ():
            if figure.metric == metric:
                note = "" if model is formats[0] else f"of {model.name}"
                return Cell(figure.value, _finite(figure.low), _finite(figure.high), figure.n, note=note)
    return None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def usual_baseline(models: Sequence[Model], decision: Decision | None) -> str:
    """The fine-tune that others are held against unless another is named: a base that is asked about, the newest.

    Empty without one.
    """
    asked = {one.model_id for one in decision.candidates} if decision else set()
    bases = [one for one in models if one.form == "base" or (one.run_id is None and not one.details.get("added"))]
    among = [one for one in bases if one.id in asked] or bases
    return (among[-1].fine_tune or among[-1].name) if among else ""


def measured_by(row: Row, test: str, models: Mapping[str, Model], before: Sequence[Evaluation]) -> list[str] | None:
    """The command that fills a row's missing figure; None where none can. models: by id.

    test: a benchmark, or a key of COSTS. before: the store's evaluations, oldest first: under their settings.
    """
    formats = [models[one] for one in row.members]
    if test in COSTS:
        files = [one for one in formats if one.path.endswith(".gguf") or one.form in ("lora-gguf", "ggml")]
        return commands.latency([files[0].name]) if files else None
    done = [one for one in reversed(before) if one.benchmark == test and one.status == "finished"]
    if test == "heldout":  # the rows are those of a run
        run = next((run for one in done if (run := _run_behind(one, models))), None)
        return commands.held_out([models[row.id].name], run) if run else None
    return commands.evaluate([models[row.id].name], test, done[0]) if done else None


def _run_behind(measured: Evaluation, models: Mapping[str, Model]) -> str | None:
    """The run that trained what was measured here; None for what others trained or measured."""
    model = models.get(measured.model_id)
    return model.run_id if model is not None and measured.origin == "measured" else None


KEYS = ("standing", "name", "first_token", "speed", "bytes", "votes")
"""What rows can be sorted by, besides the tests."""


def ordered(found: Sequence[Row], by: str, down: bool) -> list[Row]:
    """The rows by a column, or by a test's score; a row without it comes last whichever way. By standing as they come.

    down: the greatest first.
    """
    if by in ("", "standing"):
        return list(found)[::-1] if down else list(found)
    if by in ("name", "bytes", "votes"):
        return sorted(found, key=lambda row: getattr(row, by), reverse=down)

    def cell(row: Row) -> Cell | None:
        present = getattr(row, by) if by in COSTS else row.scores.get(by)
        return present if isinstance(present, Cell) else None

    known = [(one.value, row) for row in found if (one := cell(row))]
    known.sort(key=lambda pair: pair[0], reverse=down)
    return [*(row for _, row in known), *(row for row in found if cell(row) is None)]
