"""What the page Scores reads of the store, kept until somebody writes to it."""

from __future__ import annotations

import pandas as pd

import results
from dashboard.views import data, kept
from dashboard.views.scoring import scores
from results.errors import BakeoffError


@kept.until_written(8, shared=True)
def contest(benchmark: str, clean: bool, archived: bool) -> results.Contest:
    """All models by one test, item by item. clean: without the items that are in somebody's training data."""
    return results.contest(data.snapshot(), data.models(archived), benchmark, None if clean else ())


@kept.until_written(32, shared=True)
def comparison(model_id: str, other_id: str, benchmark: str) -> results.Comparison | str:
    """Two models by id, paired item by item; else why they cannot be compared, in words."""
    known = data.models_by_id()
    try:
        return results.compare(data.snapshot(), known[model_id], known[other_id], benchmark)
    except BakeoffError as error:
        return str(error)


@kept.until_written(32, shared=True)
def tags(model_id: str, other_id: str, benchmark: str) -> tuple[results.TagContrast, ...]:
    """Two models by id on each tag of a test, with p-values adjusted over the tags."""
    known = data.models_by_id()
    return results.contrasts_by_tag(data.snapshot(), known[model_id], known[other_id], benchmark)


@kept.until_written(4)
def own_tests() -> dict[str, bool]:
    """Tests out of files by name, and whether they are published ones."""
    return {one.subject: bool(one.payload.get("published")) for one in kept.store().reports.list(kind="question_set")}


def answer_lines(benchmark: str) -> bytes:
    """All models' answers to a test with their verdicts, as another Bakeoff imports them."""
    return results.answer_lines(kept.store(), benchmark)


def verdicts(found: results.Contest, chosen: list[str]) -> pd.DataFrame:
    """First answers' verdicts on the common items: a row a model's name, a column an item in order."""
    common = sorted(found.common, key=scores.rank)
    rows = {}
    for id_ in chosen:
        first: dict[str, str | None] = {}
        for item, verdict in data.snapshot().verdicts(found.found[id_].evaluation.id):
            first.setdefault(item, verdict)
        rows[found.found[id_].model.name] = [first.get(item) for item in common]
    return pd.DataFrame.from_dict(rows, orient="index", columns=common)


@kept.until_written(16)
def unfinished(benchmark: str) -> list[tuple[str, str, int, str]]:
    """(model id, status, answers so far, reason) of models that were measured by a test, but not to its end."""
    return [
        (one.model_id, one.status, data.answered(one), one.reason)
        for one in data.newest(benchmark)
        if one.status != "finished"
    ]
