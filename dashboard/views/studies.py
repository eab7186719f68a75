"""Published figures beside one's own: the same quantity, side by side, never under one name."""

from __future__ import annotations

import pandas as pd

from results import Decision, decide_counts
from results.analysis.statistics import wilson_interval

SAME = {"pass@1": ("humaneval", "pass@1"), "bits_per_byte": ("heldout", "bits_per_byte")}
"""Published metric → (benchmark, metric) of what Bakeoff measures alike."""


def judged(rows: pd.DataFrame) -> Decision | None:
    """What a study's own pass counts support; None where it published fewer than two."""
    counts = {row["subject"]: (round(row["value"]), int(row["n"])) for row in _counts(rows).to_dict("records")}
    return decide_counts(counts) if len(counts) > 1 else None


def with_intervals(rows: pd.DataFrame) -> pd.DataFrame:
    """Published pass counts as rates with the intervals that the studies did not print."""
    made = []
    for row in _counts(rows).to_dict("records"):
        passed, n = round(row["value"]), int(row["n"])
        low, high = wilson_interval(passed, n)
        made.append(
            {
                "model_id": "",
                "label": f"{row['subject']} (published)",
                "value": passed / n,
                "low": low,
                "high": high,
                "n": n,
            }
        )
    return pd.DataFrame(made)


def _counts(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["metric"] == "passed") & rows["n"].notna()]


def answer_seconds(rows: pd.DataFrame) -> pd.DataFrame:
    """Published seconds per answer: prompts down, subjects across."""
    found = rows[rows["metric"] == "answer_seconds"]
    return found.pivot_table(index="item", columns="subject", values="value", sort=False).reset_index(names="Prompt")


def curve(rows: pd.DataFrame) -> pd.DataFrame:
    """A published curve: columns step, value; empty without one."""
    points = [
        (row["subject"], row["metric"], int(row["details"]["step"]), row["value"])
        for row in rows.to_dict("records")
        if row["details"].get("step") is not None
    ]
    return pd.DataFrame(sorted(points), columns=["subject", "metric", "step", "value"])


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """All of a study's figures but its curves, as it printed them."""
    plain = rows[[not details.get("step") for details in rows["details"]]]
    shown = plain[["subject", "metric", "item", "value", "unit", "n"]].dropna(axis=1, how="all")
    return shown.loc[:, [column for column in shown if (shown[column] != "").any()]]
