"""Scores as people compare them: which tests there are, who leads, and two models item by item. Reads nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dashboard.views.board import NAMES
from results import Contest, engine_words
from results.records import Model, ScoreRow, percent

PROGRAMS = ("humaneval", "humaneval+", "mbpp", "mbpp+")
NO_TESTS = frozenset(("latency", "prompts", "stopping"))
"""What is measured and is no test of quality."""

SHOWS = {
    "": "All", "different": "Different", "gained": "Gained", "lost": "Lost", "both_fail": "Both fail",
    "no_answer": "No answer",
}  # fmt: skip
"""Which items of a pair are listed, by the word that the address has."""

ALPHA = 0.05
"""Two models whose p-value is larger are not told apart."""

MOST_DRAWN = 40
"""Models in a chart: of more, the best are drawn and that is said."""
MOST_ITEMS = 400
"""Items that a matrix of verdicts can show."""
MOST_IN_MATRIX = 12
"""Models whose pairs stand in one table of wins."""


def tests(measured: Sequence[str], own: Mapping[str, bool], scores: Sequence[ScoreRow]) -> dict[str, str]:
    """Tests by name → as a reader sees them: HumanEval first, own tests, published ones, held-out, imported figures.

    measured: those that rank models. own: tests out of files, and whether they are published.
    """
    imported = {row.benchmark for row in scores if row.origin == "imported"}
    here = {row.benchmark for row in scores if row.origin == "measured"}
    every = [*measured, *sorted(imported - set(measured))]

    def kind(name: str) -> tuple[int, str]:
        if name in PROGRAMS:
            return (0 if name == "humaneval" else 2), "" if name in here else "imported"
        if name == "heldout":
            return 4, "held-out rows"
        if name in own:
            return (3, "published test") if own[name] else (1, "own test")
        return (5, "imported") if name not in here else (1, "own test")

    listed = sorted((name for name in every if name not in NO_TESTS), key=lambda name: kind(name)[0])
    return {name: f"{NAMES.get(name, name)}{f' ({said})' if (said := kind(name)[1]) else ''}" for name in listed}


def score_rows(found: Contest, chosen: Sequence[Model], own: bool) -> pd.DataFrame:
    """The chart's rows, best first. own: each model on all of its items. Columns model_id, label, value, low, high, n,
    text (what stands at the bar), engine, origin."""
    figures = found.own_figures if own else found.figures
    rows = []
    for model in chosen:
        figure = figures.get(model.id) or found.figures[model.id]
        imported = " (imported)" if figure.origin == "imported" else ""
        rows.append(
            {
                "model_id": model.id, "label": f"{model.name}{imported}", "value": figure.value, "low": figure.low,
                "high": figure.high, "n": figure.n, "text": words(found.metric, figure.value, figure.n),
                "engine": engine_words(model, found.found[model.id].evaluation), "origin": figure.origin,
            }
        )  # fmt: skip
    table = pd.DataFrame(
        rows, columns=["model_id", "label", "value", "low", "high", "n", "text", "engine", "origin"]
    ).sort_values("value", ascending=not found.higher_is_better, ignore_index=True)
    return table.astype({"low": float, "high": float})


def totals(rows: Sequence[ScoreRow], metric: str) -> pd.DataFrame:
    """Figures that no item stands behind, as others' tools wrote them: the columns of `score_rows`."""
    some = [row for row in rows if row.metric == metric]
    table = pd.DataFrame(
        [
            {
                "model_id": row.model_id, "label": f"{row.model} (imported)", "value": row.value, "low": row.low,
                "high": row.high, "n": row.n, "text": f"{row.value:.3g}", "engine": "", "origin": row.origin,
            }
            for row in some
        ]
    )  # fmt: skip
    return table.sort_values("value", ascending=False, ignore_index=True).astype({"low": float, "high": float})


def leader(found: Contest, matched: Sequence[Model]) -> str:
    """Who leads, and whether that is more than chance, in one sentence; matched: two at least, the best first."""
    first, second = matched[:2]
    figures = (found.figures[model.id] for model in (first, second))
    names = [
        f"{model.name}, {words(found.metric, one.value, one.n)}" for model, one in zip(matched, figures, strict=False)
    ]
    wins = found.wins((first, second))
    p_value = float(found.p_values((first, second))[0, 1])
    said = f"{wins[0, 1]} items won, {wins[1, 0]} lost of {len(found.common)}"
    if p_value <= ALPHA:
        return f"{names[0]}, is better than the next, {names[1]}: {said}, p = {p_value:.2g}."
    return f"{names[0]}, and {names[1]}, lead and cannot be told apart: {said}."


def published(rows: pd.DataFrame, test: str) -> pd.DataFrame:
    """Others' figures that are of a test: columns as `PublishedResult`, and label."""
    some = rows[rows["metric"] == "pass@1"] if test == "humaneval" else rows[:0]
    return some.assign(label=some["study"] + ", " + some["subject"])


def words(metric: str, value: float, n: int) -> str:
    """A score as it stands at its bar."""
    if metric == "bits_per_byte":
        return f"{value:.3f}"
    return f"{percent(value)} ({round(value * n)} of {n})" if metric == "pass@1" else percent(value, 1)


def matrix(found: Contest, chosen: Sequence[Model]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(wins of the row's model minus the column's; both in words, "12 : 9", ≈ where no test tells the two apart)."""
    wins, p_values = found.wins(chosen), found.p_values(chosen)
    names = [model.name for model in chosen]
    said = [
        [
            ""
            if row == column
            else f"{wins[row, column]} : {wins[column, row]}{' ≈' if p_values[row, column] > ALPHA else ''}"
            for column in range(len(chosen))
        ]
        for row in range(len(chosen))
    ]
    return pd.DataFrame(wins - wins.T, names, names), pd.DataFrame(said, names, names)


def rank(item: object) -> tuple[str, int, str]:
    """Order of items: HumanEval/2 before HumanEval/10."""
    name = str(item)
    number = re.search(r"\d+", name)
    return (name[: number.start()], int(number.group()), name) if number else (name, -1, name)


def verdict_of(row: Mapping[str, Any]) -> str:
    """What an outcome says, in a word or a number."""
    verdict, value = row.get("verdict"), row.get("value")
    if isinstance(verdict, str) and verdict:
        return verdict.replace("_", " ")
    return f"{value:.3f}" if isinstance(value, float) and value == value else "not answered"


def first_answers(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Item → the columns of its first sample."""
    if frame.empty:
        return {}
    some = frame[frame["sample"] == frame["sample"].min()]
    return {str(row["item"]): row for row in some.to_dict("records")}


def pair_rows(
    found: Contest, model: Model, other: Model, outcomes: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> pd.DataFrame:
    """Two models item by item: item, mine, theirs (verdicts), what (gained, lost, both fail, same), no_answer, tags.

    outcomes: by model id, item → columns of the first answer.
    """
    mine, theirs = found.found[model.id].items, found.found[other.id].items
    sign = 1 if found.higher_is_better else -1
    rows = []
    for item in sorted(found.common, key=rank):
        a, b = (dict(outcomes[one.id].get(item, {})) for one in (model, other))
        ahead = sign * (mine[item] - theirs[item])
        same = "both_fail" if found.higher_is_better and mine[item] == theirs[item] == 0 else "same"
        tags = a.get("tags")
        rows.append(
            {
                "item": item, "mine": verdict_of(a), "theirs": verdict_of(b),
                "what": "gained" if ahead > 1e-12 else "lost" if ahead < -1e-12 else same,
                "no_answer": "no_answer" in (a.get("verdict"), b.get("verdict")),
                "tags": [str(one) for one in tags] if isinstance(tags, list | tuple) else [],
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=["item", "mine", "theirs", "what", "no_answer", "tags"])


def counts(rows: pd.DataFrame) -> dict[str, int]:
    """How many items each of SHOWS lists."""
    return {name: len(shown(rows, name)) for name in SHOWS}


def shown(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    """The rows that one of SHOWS lists."""
    if what == "different":
        return rows[rows["what"].isin(["gained", "lost"])]
    if what == "no_answer":
        return rows[rows["no_answer"].astype(bool)]
    return rows[rows["what"] == what] if what else rows


def preferences(
    rows: pd.DataFrame, model: Model, other: Model, outcomes: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> str:
    """JSON Lines of pairs to train on by DPO: items of which one of the two passed and the other did not.

    prompt (as `model` was given it), chosen, rejected; then item and whose answers they are. An error of ours is no
    answer, and an answer that is not stored makes no pair.
    """
    lines = []
    for item in rows["item"]:
        both = {one.name: outcomes[one.id].get(str(item), {}) for one in (model, other)}
        passed = [name for name, row in both.items() if row.get("verdict") == "passed"]
        failed = [name for name, row in both.items() if row.get("verdict") not in ("passed", "error", None)]
        if len(passed) != 1 or len(failed) != 1:
            continue
        chosen, rejected = both[passed[0]].get("answer"), both[failed[0]].get("answer")
        prompt = both[model.name].get("prompt")
        if all(isinstance(text, str) and text.strip() for text in (prompt, chosen, rejected)):
            said = {"prompt": prompt, "chosen": chosen, "rejected": rejected, "item": str(item)}
            lines.append(json.dumps({**said, "chosen_by": passed[0], "rejected_by": failed[0]}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)
