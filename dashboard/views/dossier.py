"""What is known of one fine-tune, as tables and as a card: its formats, settings, scores, history. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from dashboard.views import settings as readable
from results.records import DecisionRecord, Evaluation, Model, RunSummary


def facts(formats: Sequence[Model]) -> pd.DataFrame:
    """A row a format: what ships first."""
    return pd.DataFrame(
        [
            {
                "Model": one.name,
                "Format": one.form,
                "MB": round(one.bytes / 1e6, 1) if one.bytes else None,
                "Base": one.base,
                "SHA-256": one.identity[:16],
                "Registered": one.created_at,
                "Path": one.path,
                **{
                    name: str(one.details[key])
                    for name, key in (("License", "license"), ("Parameters", "parameters"))
                    if one.details.get(key)
                },
            }
            for one in formats
        ]
    ).dropna(axis=1, how="all")


def settings(runs: Sequence[RunSummary], formats: Sequence[Model], baseline: Sequence[Model]) -> pd.DataFrame:
    """Setting, value, the baseline's value and whether they differ; without the latter two where no run made that."""
    by_id = {one.run.id: one.run for one in runs}
    mine, other = (
        next((by_id[one.run_id] for one in models if one.run_id in by_id), None) for models in (formats, baseline)
    )
    if mine is None:
        return pd.DataFrame()
    values = readable.flatten(mine.config) | {"base": mine.base, "seed": mine.seed}
    if other is None or other.id == mine.id:
        return pd.DataFrame([{"Setting": key, "Value": readable.shown(value)} for key, value in sorted(values.items())])
    theirs = readable.flatten(other.config) | {"base": other.base, "seed": other.seed}
    rows: list[dict[str, Any]] = [
        {
            "Setting": key,
            "Value": readable.shown(values.get(key)),
            "Baseline": readable.shown(theirs.get(key)),
            "Differs": values.get(key) != theirs.get(key),
        }
        for key in sorted(values.keys() | theirs.keys())
    ]
    rows.sort(key=lambda row: not row["Differs"])
    return pd.DataFrame(rows)


def scores(rows: pd.DataFrame, machines: Mapping[str, str]) -> pd.DataFrame:
    """Every score of its formats, with the interval, the items and where it was measured. rows: as `data.scores`."""
    columns = {
        "model": "Model", "benchmark": "Test", "metric": "Metric", "value": "Value", "low": "Low", "high": "High",
        "n": "Items", "subset": "Subset", "origin": "Origin",
    }  # fmt: skip
    found = pd.DataFrame(rows, columns=list(columns)).rename(columns=columns)
    found["Machine"] = [machines.get(id_, id_) for id_ in rows["machine_id"]]
    return found.sort_values(["Test", "Metric", "Model"], ignore_index=True)


def history(
    formats: Sequence[Model],
    runs: Sequence[RunSummary],
    evaluations: Sequence[Evaluation],
    decisions: Sequence[DecisionRecord],
) -> pd.DataFrame:
    """What happened to it, the newest first: trained, registered, measured, decided."""
    names = {one.id: one.name for one in formats}
    made = {one.run_id for one in formats if one.run_id}
    events: list[tuple[datetime | None, str]] = []
    for row in runs:
        if row.run.id in made:
            events.append((row.run.started_at, f"training of {row.run.name} began"))
            why = f": {row.run.reason}" if row.run.reason else ""
            events.append((row.run.finished_at, f"training {row.run.status} after {row.steps:,} steps{why}"))
    events += [(one.created_at, f"{one.name} was registered as {one.form}") for one in formats]
    for evaluation in evaluations:
        if evaluation.model_id in names:
            when = evaluation.finished_at or evaluation.started_at
            part = f", {evaluation.subset}" if evaluation.subset else ""
            events.append(
                (when, f"{names[evaluation.model_id]} by {evaluation.benchmark}{part}: {evaluation.status}")
            )  # fmt: skip
    events += [(one.created_at, f"frozen as {one.id}: to be shipped") for one in decisions if one.model_id in names]
    dated = sorted(((when, what) for when, what in events if when is not None), reverse=True)
    return pd.DataFrame(dated, columns=["When", "What"])


def card(
    name: str,
    formats: Sequence[Model],
    runs: Sequence[RunSummary],
    evaluations: Sequence[Evaluation],
    machines: Mapping[str, str],
) -> str:
    """The fine-tune on one page of Markdown: formats with their digests, settings, scores with intervals."""
    lines = [f"# {name}", "", f"Base: {formats[0].base}", "", "## Formats", ""]
    lines += ["| model | format | MB | SHA-256 |", "|---|---|---|---|"]
    lines += [f"| {one.name} | {one.form} | {one.bytes / 1e6:,.1f} | {one.identity[:16]} |" for one in formats]
    found = settings(runs, formats, ())
    if len(found):
        lines += ["", "## Settings", ""]
        lines += [f"- {row['Setting']}: {row['Value']}" for row in found.to_dict("records")]
    lines += [
        "",
        "## Scores",
        "",
        "| model | test | score | 95 % interval | n | machine |",
        "|---|---|---|---|---|---|",
    ]
    names = {one.id: one.name for one in formats}
    for evaluation in evaluations:
        for score in evaluation.scores if evaluation.model_id in names else ():
            ends = "" if score.low is None or score.high is None else f"{score.low:.4g} to {score.high:.4g}"
            where = machines.get(evaluation.machine_id, evaluation.machine_id)
            test = f"{evaluation.benchmark}, {score.metric}" + (f", {evaluation.subset}" if evaluation.subset else "")
            lines.append(
                f"| {names[evaluation.model_id]} | {test} | {score.value:.4g} | {ends} | {score.n} | {where} |"
            )  # fmt: skip
    return "\n".join(lines) + "\n"
