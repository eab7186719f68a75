"""HumanEval as people compare it: who passed what, task by task. Frames in, frames out; reads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from results import engine_words
from results.analysis import statistics
from results.records import Evaluation, Model


def rank(item: object) -> tuple[str, int, str]:
    """Order of task ids: HumanEval/2 before HumanEval/10."""
    name = str(item)
    number = re.search(r"\d+", name)
    return name.split("/")[0], int(number.group()) if number else -1, name


def verdicts(outcomes: Mapping[str, pd.DataFrame], excluded: Sequence[str] = ()) -> pd.DataFrame:
    """First answers' verdicts: a row a model (the mapping's keys), a column a task in order."""
    rows = {}
    for label, frame in outcomes.items():
        if not frame.empty:
            first = frame[(frame["sample"] == frame["sample"].min()) & ~frame["item"].isin(list(excluded))]
            rows[label] = dict(zip(first["item"], first["verdict"], strict=True))
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table[sorted(table.columns, key=rank)] if len(table.columns) else table


def score_rows(outcomes: Mapping[str, tuple[str, pd.DataFrame]], excluded: Sequence[str] = ()) -> pd.DataFrame:
    """pass@1 with Wilson's interval a model, without the excluded tasks and without Bakeoff's own failures.

    outcomes: model id → (label, frame). Columns model_id, label, value, low, high, passed, n.
    """
    rows = []
    for model_id, (label, frame) in outcomes.items():
        if frame.empty:
            continue
        counted = frame[(frame["verdict"] != "error") & frame["verdict"].notna() & ~frame["item"].isin(list(excluded))]
        n, passed = len(counted), int((counted["verdict"] == "passed").sum())
        if n:
            low, high = statistics.wilson_interval(passed, n)
            rows.append((model_id, label, passed / n, low, high, passed, n))
    table = pd.DataFrame(rows, columns=["model_id", "label", "value", "low", "high", "passed", "n"])
    return table.sort_values("value", ascending=False, ignore_index=True)


def through(found: Sequence[tuple[Model, Evaluation]]) -> str:
    """What answered, in words, and for which models where that differs."""
    by_engine: dict[str, list[str]] = {}
    for model, evaluation in found:
        by_engine.setdefault(engine_words(model, evaluation) or "an engine that was not recorded", []).append(
            model.name
        )
    if len(by_engine) == 1:
        return next(iter(by_engine))
    return "; ".join(f"{engine}: {', '.join(names)}" for engine, names in sorted(by_engine.items()))
