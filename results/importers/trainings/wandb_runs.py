"""W&B's table of runs, or MLflow's: one row a run, with its settings and the last value of each of its metrics.

The export does not say which column is a setting and which a metric; their names do. Numbers that look like neither are
settings, and nothing is left out. The last values are points at the run's last step.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from results.importers.names import absolute
from results.importers.parcels import Curves, ImportedRun, Parcel
from results.importers.reading import moment, whole
from results.importers.refusals import refused
from results.importers.trainings.trackers import Told, cell_number, put, run_of
from results.records import digest

NAME = ("name", "display name", "display_name", "run name", "run_name", "tags.mlflow.runname")
_OF_EVERY_RUN = """
    id state notes user tags created runtime sweep group project updated end_time heartbeat description commit github
    hostname host job_type jobtype entity storageid created_at started_at finished_at duration status run_id start_time
    experiment_id artifact_uri
"""
ABOUT = frozenset([*_OF_EVERY_RUN.split(), "run id", "start time"])
"""Columns that W&B or MLflow has for every run."""

STEP = ("train/global_step", "trainer/global_step", "global_step", "_step", "step")
"""Columns that say at which step the last values stood."""

LOGGED = re.compile(r"(train|eval|val|valid|validation|test|predict|trainer|rewards?)/", re.IGNORECASE)
"""How the names of metrics begin that were logged under a heading."""

_MEASURED = """
    loss acc accuracy f1 precision recall ppl perplexity bleu rouge rouge1 rouge2 rougel rougelsum reward rewards
    entropy kl mae mse rmse auc score em runtime flos second seconds tokens norm bytes epoch pass@1 pass@10
"""
MEASURED = frozenset(_MEASURED.split())
"""Words of metrics' names."""

_CHOSEN = """
    alpha args at batch beta coef coefficient dir every factor file fraction freq function inputs interval kwargs
    len length lr max metric min name num on path per ratio scale scaling scheduler size split start steps strategy
    target threshold type use weight window
"""
CHOSEN = frozenset(_CHOSEN.split())
"""Words of settings' names, also where a metric's word stands beside: loss_type, eval_steps."""

WHOLE = frozenset(
    ["samples_per_second", "steps_per_second", "tokens_per_second", "num_tokens", "bits_per_byte", "epoch"]
)
"""Ends of metrics' names that have a setting's word in them."""

STATES = {"finished": "FINISHED", "crashed": "FAILED", "failed": "FAILED", "killed": "KILLED", "running": "RUNNING"}


def is_runs_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether each row is a run: a column of names has W&B's own columns beside it, or each name once."""
    lower = [cell.lower() for cell in header]
    name = next((lower.index(one) for one in NAME if one in lower), None)
    if name is None or any(" - " in cell for cell in header):
        return False
    told = next((lower.index(one) for one in ("id", "run id", "run_id") if one in lower), None)
    if told is not None and len({row[told] for row in rows}) < len(rows):
        return False  # several rows of one run: a history
    if ABOUT & set(lower):
        return True
    names = [row[name].strip() for row in rows]
    return len(set(names)) == len(names)


def read_runs_table(path: Path, header: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]]) -> Parcel:
    """A run for each row. Raises: ImportRefused naming the file and the line."""
    if len(set(header)) != len(header):
        twice = next(cell for cell in header if header.count(cell) > 1)
        raise refused(path, f"two columns have one name: {twice[:60]!r}")
    runs = [_row(path, line, dict(zip(header, map(str.strip, row), strict=True))) for line, row in rows]
    if not runs:
        raise refused(path, "a table of runs without a run")
    return Parcel("W&B runs table", tuple(runs))


def _row(path: Path, line: int, row: dict[str, str]) -> ImportedRun:
    """One run: what W&B says of it, its settings, and its last values as points at its last step."""
    about: dict[str, str] = {}
    others: dict[str, str] = {}
    for key, cell in row.items():
        low = key.lower()  # a setting may be called as W&B's own column but for its case
        if low in (*ABOUT, *NAME) and low not in about:
            about[low] = cell
        elif cell:
            others[key] = cell
    name = next((about[key] for key in NAME if about.get(key)), "")
    about = _as_wandb(about)
    name = name or about.get("id", "")
    metrics = {key: cell for key, cell in others.items() if _is_metric(key, cell)}
    steps = {key.lower(): whole(cell_number(cell)) for key, cell in metrics.items() if key.lower() in STEP}
    step = next((steps[one] for one in STEP if steps.get(one) is not None), None)
    curves = Curves()
    for key, cell in metrics.items():
        value = cell_number(cell)
        if value is not None and key.lower() not in STEP:
            put(path, curves, key.removeprefix("metrics."), step or 0, value)
    missing = ["the curve: a table of runs has one row a run; import the run's history for it"]
    if step is None:
        missing.append("the step at which its last values stood; they stand at step 0")
    created = moment(about.get("created", ""))
    seconds = cell_number(about.get("runtime", "")) or 0.0
    known = ("state", "tags", "notes", "created", *NAME, *(("runtime",) if seconds else ()))
    summary: dict[str, Any] = {key: _typed(cell) for key, cell in about.items() if key not in known and cell}
    summary |= {key.removeprefix("metrics."): _typed(cell) for key, cell in metrics.items()}
    summary |= {"runtime_seconds": seconds} if seconds else {}
    told = Told(
        "W&B", name or f"{path.stem} line {line}", about.get("id") or name or str(line), about.get("project", ""),
        STATES.get(about.get("state", "").lower(), about.get("state", "")), created,
        created + timedelta(seconds=min(seconds, 1e9)) if created and seconds else None,
        tuple(one.strip() for one in about.get("tags", "").split(",") if one.strip()), about.get("notes", ""),
        tuple(missing),
    )  # fmt: skip
    # without W&B's id nothing but its row tells a run from another of its name
    place = f"W&B {about['id']}" if about.get("id") else f"{absolute(path)} {name} {about.get('created', '')}"
    config = {key.removeprefix("params."): _typed(cell) for key, cell in others.items() if key not in metrics}
    names = () if about.get("id") else (f"{told.name} (line {line})",)
    return run_of(path, dataclasses.replace(told, place=place, names=names, rest=digest(row)), config, curves, summary)


def _as_wandb(about: dict[str, str]) -> dict[str, str]:
    """What MLflow tells of a run, by W&B's names."""
    names = {
        "id": ("run_id", "run id"), "state": ("status",), "runtime": ("duration",),
        "created": ("created_at", "started_at", "start_time", "start time"),
    }  # fmt: skip
    taken = {ours: next((about[one] for one in theirs if about.get(one)), "") for ours, theirs in names.items()}
    kept = {key: cell for key, cell in about.items() if not any(key in theirs for theirs in names.values())}
    return {**taken, **{key: cell for key, cell in kept.items() if cell or key not in taken}}


def _is_metric(key: str, cell: str) -> bool:
    """Whether a column is a metric: by its name, and by a number in its cell."""
    if key.lower() in STEP or key.startswith("_"):
        return True
    if cell_number(cell) is None or key.startswith("params."):
        return False
    if key.startswith("metrics."):
        return True
    name = key.lower()
    words = set(re.split(r"[/_. -]+", name))
    return LOGGED.match(key) is not None or name.endswith(tuple(WHOLE)) or bool(words & MEASURED and not words & CHOSEN)


def _typed(cell: str) -> Any:
    """A cell's value: a number, a truth, or its text."""
    if cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    found = cell_number(cell)
    if found is None:
        return cell
    return int(cell) if re.fullmatch(r"-?\d{1,18}", cell) else found
