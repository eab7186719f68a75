"""HumanEval as people compare it: who passed what, paired, task by task. Records in, frames out; reads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dashboard import inert
from results import statistics
from results.records import Evaluation


@dataclass(frozen=True)
class Paired:
    """Two models on the tasks that both answered."""

    tasks: int
    passed_a: int
    passed_b: int
    only_a: int
    only_b: int
    p_value: float
    """Exact McNemar, two-sided."""
    difference: float
    """Share that B passes more than A, with its paired interval."""
    low: float
    high: float
    tasks_needed: int | None
    """To tell them apart with 80 % power if the difference is real; None where there is none to see."""


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


def paired(a: pd.Series[str], b: pd.Series[str]) -> Paired:
    """Compare two rows of `verdicts` on the tasks that both have."""
    shared = a.notna() & b.notna() & (a != "error") & (b != "error")
    won_a, won_b = (a[shared] == "passed").to_numpy(), (b[shared] == "passed").to_numpy()
    n, only_a, only_b = int(shared.sum()), int((won_a & ~won_b).sum()), int((won_b & ~won_a).sum())
    change = statistics.Estimate(0.0, -1.0, 1.0)
    needed = None
    if n:
        change = statistics.pass_rate_difference(
            int((won_a & won_b).sum()), only_b, only_a, int((~won_a & ~won_b).sum())
        )
        needed = statistics.tasks_to_separate((only_b - only_a) / n, (only_a + only_b) / n)
    return Paired(
        tasks=n,
        passed_a=int(won_a.sum()),
        passed_b=int(won_b.sum()),
        only_a=only_a,
        only_b=only_b,
        p_value=statistics.mcnemar_exact(only_a, only_b),
        difference=change.value,
        low=change.low,
        high=change.high,
        tasks_needed=needed,
    )


def contaminated(evaluations: Sequence[Evaluation], reports: Sequence[Mapping[str, object]]) -> list[str]:
    """Tasks that some model's training data holds: from the evaluations' details and the contamination reports."""
    found: set[str] = set()
    for source in [*(one.details.get("contamination") or {} for one in evaluations), *reports]:
        tasks = source.get("tasks") or source.get("contaminated") if isinstance(source, Mapping) else None
        if isinstance(tasks, (list, tuple)):
            found |= {str(task["item"] if isinstance(task, Mapping) and "item" in task else task) for task in tasks}
        elif isinstance(tasks, Mapping):
            found |= {str(task) for task in tasks}
    return sorted(found, key=rank)


def sentence(a: str, b: str, pair: Paired) -> str:
    """The comparison in words, as Markdown with the names made inert."""
    first, second = inert.label(a), inert.label(b)
    if not pair.tasks:
        return f"**{first}** and **{second}** have no task in common."
    verdict = "tells them apart" if pair.p_value < 0.05 else "does not tell them apart"
    more = (
        f" About {pair.tasks_needed:,} tasks would, if the difference is real."
        if pair.p_value >= 0.05 and pair.tasks_needed
        else ""
    )
    return (
        f"On {pair.tasks} common tasks **{first}** passed {pair.passed_a}, **{second}** {pair.passed_b}. "
        f"Only {first} passed {pair.only_a}, only {second} {pair.only_b}: difference "
        f"{pair.difference:+.1%} ({pair.low:+.1%} to {pair.high:+.1%}), exact McNemar p = {pair.p_value:.3g}. "
        f"This {verdict}.{more}"
    )
