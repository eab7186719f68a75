"""Tables as people read them: records in, frames out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from results import Ratings, duration
from results.records import RunSummary


def eta(row: RunSummary, at: datetime) -> str:
    """Time left at the pace so far; says so when nothing was heard for five minutes."""
    run = row.run
    if row.updated_at is not None and (at - row.updated_at).total_seconds() > 300:
        return f"silent for {duration((at - row.updated_at).total_seconds())}"
    if not run.total_steps or not row.steps or run.started_at is None:
        return "unknown"
    pace = (at - run.started_at).total_seconds() / row.steps
    return duration(pace * (run.total_steps - row.steps))


def interval(value: float, low: float | None, high: float | None, percent: bool = False) -> str:
    """`45.7 % (38.3–53.4)`, or the bare value where no interval is defined."""
    scale, digits, unit = (100, 1, " %") if percent else (1, 3, "")
    shown = f"{value * scale:.{digits}f}{unit}"
    if low is None or high is None or np.isnan(low) or np.isnan(high):
        return shown
    return f"{shown} ({low * scale:.{digits}f}–{high * scale:.{digits}f})"


def noise(results: pd.DataFrame) -> float | None:
    """Standard deviation that seeds alone cause, pooled over runs alike in all else. None without repeats.

    results: columns `setting` (everything but the seed) and `result`.
    """
    groups = [rows["result"].to_numpy(float) for _, rows in results.groupby("setting") if len(rows) > 1]
    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return None
    return float(np.sqrt(sum(((group - group.mean()) ** 2).sum() for group in groups) / freedom))


def settings_table(settings: Mapping[str, Mapping[str, str]], names: Mapping[str, str]) -> pd.DataFrame:
    """Settings down, runs across: differences only."""
    return pd.DataFrame(
        [
            {"Setting": setting, **{names.get(run, run): value for run, value in values.items()}}
            for setting, values in settings.items()
        ]
    )


def swept(settings: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Settings worth a chart: those with few values first, the seed last."""
    return sorted(settings, key=lambda name: (name == "seed", len(set(settings[name].values())), name))


def fastest(requests: pd.DataFrame, quantity: str, most: int) -> pd.DataFrame:
    """The requests of the models that are fastest by the median of a quantity, at most so many models.

    requests: with the columns label and `quantity`; of a rate more is faster, of seconds less.
    """
    medians = requests.groupby("label", sort=False)[quantity].median()
    order = medians.sort_values(ascending="per_second" not in quantity, kind="stable")
    return requests[requests["label"].isin(order.index[:most])]


def quickest(requests: pd.DataFrame) -> str:
    """The answer in a sentence: who begins first, and how long an answer takes it. requests: label, the timings."""
    columns = [name for name in ("ttft_seconds", "tokens_per_second") if name in requests]
    medians = requests.groupby("label")[columns].median().dropna() if "ttft_seconds" in columns else pd.DataFrame()
    if medians.empty:
        return ""
    first = medians.reset_index().sort_values("ttft_seconds").iloc[0]
    said = f"{first['label']} begins first: its first token comes after {first['ttft_seconds']:.2f} s"
    if "tokens_per_second" in columns:
        said += f", then {first['tokens_per_second']:.0f} tokens/s"
    return f"{said} (medians)."


def percentiles(requests: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """p50, p90 and p99 of a quantity for each model; p99 of fewer than 100 requests is left out."""
    rows = []
    for label, group in requests.groupby("label", sort=False):
        values = group[quantity].dropna().to_numpy(float)
        if values.size:
            p50, p90, p99 = np.percentile(values, [50, 90, 99])
            rows.append((label, p50, p90, p99 if values.size >= 100 else None, values.size))
    return pd.DataFrame(rows, columns=["Model", "p50", "p90", "p99", "Requests"])


def ranking(rated: Ratings, names: Mapping[str, str]) -> pd.DataFrame:
    """A ranking's rows, best first: strength is the chance to win against the average opponent, with its interval."""
    return pd.DataFrame(
        [
            {
                "model_id": one.model_id,
                "name": names.get(one.model_id, one.model_id),
                **dict(zip(("strength", "low", "high"), one.chance, strict=True)),
                "votes": one.votes,
                "rank": f"{one.rank} ({one.rank_low}–{one.rank_high})",
            }
            for one in sorted(rated.ratings, key=lambda one: one.rank)
        ]
    )
