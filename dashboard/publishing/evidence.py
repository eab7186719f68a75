"""What stands behind a decision item by item: who was right where, what was answered, how the losses fell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dashboard import palette
from dashboard.escaping import plain
from dashboard.views.curves import Curve
from dashboard.views.scoring import scores
from dashboard.views.training import kin
from results import Contest, Decision, Model, Outcome, Reading, RunSummary, Store, contest
from results.errors import BakeoffError

MOST_ITEMS = 400
"""Items in the matrix: of more, those on which the models differ come first, and how many are left out is said."""
MOST_SIDES = 12
"""Models whose answers are shown, and whose pairs are in the table of wins: the best."""
MOST_CHARACTERS = 4_000
"""So much of a prompt or an answer is published; what is cut says so."""
BUCKETS = 256
BY_HAND = "Chosen by who publishes this."
BY_DIFFERENCE = "The {} items on which the models differ most: chosen by their outcome, so nothing can be counted here."
MOST_FAMILIES = 4


@dataclass(frozen=True)
class Row:
    """One model's items."""

    model: str
    colour: str
    score: str
    values: tuple[float, ...]
    """One for each item, from 0, wrong, to 1, right; NaN where there is none."""
    words: tuple[str, ...]
    """The verdicts, in words."""


@dataclass(frozen=True)
class Matrix:
    """Models down, items across: those all get right, those on which they differ, those nobody gets right."""

    items: tuple[str, ...]
    groups: Mapping[str, int]
    """What a stretch of items has in common → how many they are, in the items' order."""
    rows: tuple[Row, ...]
    beyond: int
    """Items that are not shown."""
    wins: pd.DataFrame | None
    """Words as "12 : 9 ≈": items won by the row's model and by the column's; ≈ where no test tells the two apart."""


@dataclass(frozen=True)
class Told:
    """One model's answer to one item."""

    verdict: str
    text: str
    message: str
    """What did not hold, where that was recorded."""


@dataclass(frozen=True)
class Asked:
    """One item and what the models said to it."""

    item: str
    prompt: str
    told: Mapping[str, Told]
    """The answers by the name of the model."""


@dataclass(frozen=True)
class Answers:
    """Recorded answers, to be read side by side."""

    benchmark: str
    models: tuple[str, ...]
    """The two that are shown first come first."""
    items: tuple[Asked, ...]
    chosen: str
    """How the items were chosen, in a sentence."""


@dataclass(frozen=True)
class Losses:
    """The runs behind the models that may be held against each other: of one base, over the same held-out rows."""

    name: str
    training: tuple[Curve, ...]
    validation: tuple[Curve, ...]
    runs: tuple[RunSummary, ...]
    beyond: int
    """Runs that are not drawn."""


def matrix(reading: Reading, models: Sequence[Model], benchmark: str, colours: Mapping[str, str]) -> Matrix | None:
    """Who was right where; None where nothing was measured item by item, or items are not right or wrong."""
    if not benchmark or benchmark == "heldout":
        return None
    found = contest(reading, models, benchmark)
    if not found.paired or not found.common:
        return None
    values = {one.id: found.found[one.id].items for one in found.paired}
    kinds: dict[str, list[str]] = {"all right": [], "they differ": [], "nobody right": []}
    for item in sorted(found.common, key=scores.rank):
        reached = [value for one in values.values() if not math.isnan(value := one.get(item, math.nan))]
        right = [value >= 1 for value in reached]
        kind = "all right" if all(right) else "they differ" if len(set(reached)) > 1 or any(right) else "nobody right"
        kinds[kind].append(item)
    kept, room = {}, MOST_ITEMS
    for kind in ("they differ", "all right", "nobody right"):
        kept[kind] = kinds[kind][:room]
        room -= len(kept[kind])
    items = tuple(item for kind in kinds for item in kept[kind])
    rows = tuple(_row(reading, found, one, items, colours) for one in found.paired)
    best = found.paired[:MOST_SIDES]
    wins = scores.matrix(found, best)[1] if len(best) > 1 else None
    return Matrix(items, {kind: len(kept[kind]) for kind in kinds}, rows, len(found.common) - len(items), wins)


def _row(reading: Reading, found: Contest, model: Model, items: Sequence[str], colours: Mapping[str, str]) -> Row:
    said: dict[str, str] = {}
    for item, verdict in reading.verdicts(found.found[model.id].evaluation.id):
        said.setdefault(item, str(verdict or "").replace("_", " "))
    values = tuple(found.found[model.id].items.get(item, math.nan) for item in items)
    words = tuple(
        "not asked" if math.isnan(value) else said.get(item) or f"{value:.2f}"
        for item, value in zip(items, values, strict=True)
    )
    figure = found.figures[model.id]
    imported = ", imported" if figure.origin == "imported" else ""
    score = scores.words(found.metric, figure.value, figure.n) + imported
    return Row(model.name, colours.get(model.id, palette.GREY), score, values, words)


def answers(
    reading: Reading, models: Sequence[Model], decision: Decision, items: Sequence[str], most: int, by: str
) -> Answers | None:
    """Answers of the best models to the chosen items, else to those on which they differ most; None without any.

    by: the measurement; empty for the deciding one, else the first by name that kept answers.
    Raises: BakeoffError for a measurement or an item that no model here was asked.
    """
    first = [id_ for id_ in (decision.chosen, decision.best) if id_]
    ordered = sorted(models, key=lambda one: one.id not in first)[:MOST_SIDES]
    measured = sorted({one.benchmark for model in ordered for one in reading.evaluations(model.id)})
    if by and by not in measured:
        raise BakeoffError(f"--answers-by {by}: none of these models was asked it. There are: {', '.join(measured)}")
    for benchmark in [by] if by else [decision.benchmark, *(one for one in measured if one != decision.benchmark)]:
        kept = {one.name: kept for one in ordered if (kept := _kept(reading, one, benchmark))}
        if not kept:
            continue
        known = sorted({item for each in kept.values() for item in each}, key=scores.rank)
        if unknown := [item for item in items if item not in known]:
            raise BakeoffError(
                f"--item {unknown[0]!r}: no answer to it by {benchmark} is stored. There are {len(known)}: "
                f"{', '.join(known[:5])}, …"
            )
        picked = list(items) or _telling(kept, known, most)
        asked = tuple(_asked(item, kept) for item in picked)
        how = BY_HAND if items else BY_DIFFERENCE.format(len(picked))
        return Answers(benchmark, tuple(kept), asked, how) if asked else None
    return None


def _kept(reading: Reading, model: Model, benchmark: str) -> dict[str, Outcome]:
    """Item → its first answer, of the fullest finished evaluation that kept answers."""
    best: dict[str, Outcome] = {}
    for one in reading.evaluations(model.id, benchmark):
        if one.status != "finished":
            continue
        found: dict[str, Outcome] = {}
        for row in reading.outcomes(one.id):
            if isinstance(row.details.get("answer"), str):
                found.setdefault(row.item, row)
        best = found if len(found) >= len(best) else best
    return best


def _telling(kept: Mapping[str, Mapping[str, Outcome]], known: Sequence[str], most: int) -> list[str]:
    """The items whose verdicts differ most, in the items' order; those of most answers where none has a verdict."""

    def worth(item: str) -> tuple[float, int]:
        passed = [one[item].verdict == "passed" for one in kept.values() if item in one and one[item].verdict]
        share = sum(passed) / len(passed) if passed else 0.0
        return share * (1 - share), sum(item in one for one in kept.values())

    best = sorted(known, key=worth, reverse=True)[:most]  # stable: of equal ones the first
    return sorted(best, key=scores.rank)


def _asked(item: str, kept: Mapping[str, Mapping[str, Outcome]]) -> Asked:
    rows = {name: one[item] for name, one in kept.items() if item in one}
    prompts: Iterable[Any] = (row.details.get("prompt") for row in rows.values())
    prompt = next((one for one in prompts if isinstance(one, str)), "")
    told = {
        name: Told(str(row.verdict or "").replace("_", " "), cut(str(row.details["answer"])), _message(row))
        for name, row in rows.items()
    }
    return Asked(item, cut(prompt), told)


def _message(row: Outcome) -> str:
    return plain(row.details.get("message") or "", 300)


def cut(text: str) -> str:
    """A text as far as it is published."""
    over = len(text) - MOST_CHARACTERS
    return text if over <= 0 else f"{text[:MOST_CHARACTERS]}\n[… {over:,} more characters are not published]"


def losses(store: Store, reading: Reading, models: Sequence[Model]) -> tuple[Losses, ...]:
    """The loss curves of the runs behind the models, at screen resolution, by what may be compared."""
    wanted = {one.run_id for one in models}
    behind = [row for row in reading.runs if row.run.id in wanted]
    found = []
    for name, members in list(kin.families(behind).items())[:MOST_FAMILIES]:
        drawn = members[: palette.CROWD]
        ids = [row.run.id for row in drawn]
        training, validation = (_curves(store, ids, metric) for metric in ("loss", "validation_loss"))
        if training or validation:
            found.append(Losses(name, training, validation, tuple(drawn), len(members) - len(drawn)))
    return tuple(found)


def _curves(store: Store, run_ids: Sequence[str], metric: str) -> tuple[Curve, ...]:
    views = store.curves.overview(run_ids, metric, buckets=BUCKETS)
    made = (
        Curve(
            one.run_id, one.steps.astype(np.float64), (one.low + one.high) / 2, one.low, one.high,
            one.marks.astype(np.float64),
        )
        for one in (views[id_] for id_ in run_ids if id_ in views)
    )  # fmt: skip
    return tuple(one for one in made if one.steps.size)
