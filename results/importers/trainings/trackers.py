"""Experiment trackers' stores: MLflow (folder and SQLite) and Trackio (SQLite). Their runs have ids of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from results.errors import ImportRefused
from results.importers.names import Called, absolute, short, source_of
from results.importers.parcels import Curves, ImportedRun, Parcel, canonical, former_run_id, metric_name
from results.importers.reading import (
    moment,
    number,
    open_sqlite,
    parse_json,
    read_text,
    read_yaml,
    table_columns,
    whole,
)
from results.importers.refusals import refused, unknown
from results.records import Run, RunStatus

STATUSES: Mapping[str, RunStatus] = {
    "FINISHED": "finished", "FAILED": "failed", "KILLED": "stopped", "RUNNING": "stopped", "SCHEDULED": "planned",
}  # fmt: skip
NUMBERED = ("", "RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
"""MLflow's run status in meta.yaml, by number."""

LARGEST_DOUBLE = 1.7976931348623157e308
"""MLflow keeps ±infinity in SQL as this."""

BASES = ("base_model", "base_model_name_or_path", "model_name_or_path", "_name_or_path", "model_name", "model")
"""Parameters that name the base, the surest first."""


@dataclass(frozen=True)
class Told:
    """What a tracker says of a run beside its curves."""

    tool: str
    name: str
    identity: str
    """The run's id in its tracker."""
    experiment: str = ""
    status: str = ""
    start: Any = None
    end: Any = None
    tags: tuple[str, ...] = ()
    notes: str = ""
    missing: tuple[str, ...] = ()
    place: str = ""
    """Where the run lies, if its tracker's id does not tell it from all others."""
    names: tuple[str, ...] = ()
    """What else it can be called."""
    former_name: str = ""
    """Its name in stores of before, where that was another."""
    rest: Any = None
    """What else is said of it: part of what makes it itself."""


def is_mlflow_folder(folder: Path) -> bool:
    """Whether a folder is an MLflow file store, one of its experiments or one of its runs."""
    return (folder / "meta.yaml").is_file() or any(folder.glob("*/meta.yaml"))


def read_mlflow_folder(folder: Path) -> Parcel:
    """A file store: experiment folders with meta.yaml, in them run folders with metrics, params and tags."""
    runs, notes = [], []
    for meta_path in sorted([*folder.glob("meta.yaml"), *folder.glob("*/meta.yaml"), *folder.glob("*/*/meta.yaml")]):
        try:
            meta = _yaml(meta_path)
            if "run_id" not in meta and "run_uuid" not in meta:
                continue
            if meta.get("lifecycle_stage") == "deleted":
                notes.append(f"{meta.get('run_name')}: deleted in MLflow, left out")
                continue
            runs.append(_mlflow_run_folder(meta_path.parent, meta, notes))
        except ImportRefused as error:
            notes.append(str(error))
    if not runs and notes:
        raise ImportRefused(f"{folder.name}: an MLflow store without runs; {'; '.join(notes)}")
    if not runs:
        raise unknown(folder, "an MLflow store without runs")
    return Parcel("MLflow file store", tuple(runs), notes=tuple(notes))


def read_sqlite(path: Path) -> Parcel:
    """A SQLite file by its tables: MLflow's or Trackio's."""
    with open_sqlite(path) as connection:
        tables = table_columns(connection)
        if {"run_uuid", "lifecycle_stage"} <= tables.get("runs", frozenset()):
            return _mlflow_sqlite(path, connection, tables)
        if {"run_name", "metrics", "step"} <= tables.get("metrics", frozenset()):
            return _trackio(path, connection, tables)
        if {"curves", "outcomes", "evaluations"} <= tables.keys():
            raise unknown(path, "is a Bakeoff store; merge it: bakeoff store merge")
    raise unknown(path, f"holds neither MLflow's nor Trackio's tables ({', '.join(sorted(tables))[:120]})")


def _mlflow_run_folder(folder: Path, meta: Mapping[str, Any], notes: list[str]) -> ImportedRun:
    curves = Curves()
    metrics, given, tagged = (_files(folder / name, notes) for name in ("metrics", "params", "tags"))
    for path in metrics:
        key = path.relative_to(folder / "metrics").as_posix()
        for line, text in enumerate(read_text(path).splitlines(), 1):
            parts = text.split(" ")
            if len(parts) < 2 or len(parts) > 4:
                raise refused(path, f"line {line} is no metric: {text[:60]!r}")
            value, step = cell_number(parts[1]), cell_number(parts[2]) if len(parts) > 2 else 0.0
            if value is None or whole(step) is None:
                raise refused(path, f"line {line} is no metric: {text[:60]!r}")
            put(path, curves, key, int(step or 0), value)
    params = {path.relative_to(folder / "params").as_posix(): read_text(path) for path in given}
    tags = {path.relative_to(folder / "tags").as_posix(): read_text(path) for path in tagged}
    status = meta.get("status")
    word = NUMBERED[status] if isinstance(status, int) and 0 <= status < len(NUMBERED) else str(status)
    uuid = str(meta.get("run_id") or meta.get("run_uuid"))
    name = str(meta.get("run_name") or tags.get("mlflow.runName") or uuid[:8])
    told = Told(
        "MLflow", name, uuid, _experiment_name(folder.parent), word, meta.get("start_time"), meta.get("end_time"),
        _own_tags(tags),
    )  # fmt: skip
    return run_of(folder, told, params, curves)


def _mlflow_sqlite(path: Path, connection: sqlite3.Connection, tables: Mapping[str, frozenset[str]]) -> Parcel:
    experiments = dict(connection.execute("SELECT experiment_id, name FROM experiments"))
    name_column = "name" if "name" in tables["runs"] else "NULL"
    query = f"SELECT run_uuid, {name_column}, status, start_time, end_time, lifecycle_stage, experiment_id FROM runs"
    runs, notes = [], []
    not_a_number = "is_nan" if "is_nan" in tables.get("metrics", ()) else "0"
    for uuid, name, status, start, end, stage, experiment in connection.execute(query).fetchall():
        if stage == "deleted":
            notes.append(f"{name}: deleted in MLflow, left out")
            continue
        curves = Curves()
        # oldest first: a step that was logged again keeps its newest value
        metrics = f"SELECT key, step, value, {not_a_number} FROM metrics WHERE run_uuid = ? ORDER BY timestamp"
        for key, step, value, is_nan in connection.execute(metrics, (uuid,)):
            found = number(float("nan") if is_nan else value)
            if found is None or whole(step) is None:
                raise refused(path, f"{name}: {key!s:.60} at step {step!s:.20} is no number")
            if abs(found) >= LARGEST_DOUBLE:
                found *= 10  # overflows to the infinity that it stands for
            put(path, curves, str(key), int(step), found)
        params = dict(connection.execute("SELECT key, value FROM params WHERE run_uuid = ?", (uuid,)))
        tags = dict(connection.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (uuid,)))
        name = str(name or tags.get("mlflow.runName") or str(uuid)[:8])
        told = Told(
            "MLflow", name, str(uuid), str(experiments.get(experiment, "")), str(status), start, end, _own_tags(tags)
        )
        runs.append(run_of(path, told, params, curves))
    if not runs:
        raise unknown(path, "an MLflow store without runs")
    return Parcel("MLflow SQLite", tuple(runs), notes=tuple(notes))


def _trackio(path: Path, connection: sqlite3.Connection, tables: Mapping[str, frozenset[str]]) -> Parcel:
    """Trackio's project file. Older ones know runs by name only, newer ones by an id."""
    key = "run_id" if "run_id" in tables["metrics"] else "run_name"
    rows = connection.execute(f"SELECT {key}, run_name, step, metrics, timestamp FROM metrics ORDER BY id").fetchall()
    curves: dict[str, Curves] = {}
    names: dict[str, str] = {}
    times: dict[str, list[str]] = {}
    words: dict[str, dict[str, None]] = {}
    for identity, name, step, text, time in rows:
        values = parse_json(path, text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text))
        if not isinstance(values, Mapping) or whole(step) is None:
            raise refused(path, f"run {name!s:.60}: a row of metrics is no object, or its step no number")
        for metric, value in values.items():
            found = number(value)
            if found is not None:
                put(path, curves.setdefault(identity, Curves()), metric, int(step), found)
            elif value is not None:
                words.setdefault(identity, {})[f"{str(metric)[:60]}: its values are no numbers"] = None
        names[identity] = str(name)
        times.setdefault(identity, []).append(str(time))
    configs: dict[str, Mapping[str, Any]] = {}
    if "configs" in tables and key in tables["configs"]:
        for identity, text in connection.execute(f"SELECT {key}, config FROM configs"):
            found = parse_json(path, text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text))
            configs[identity] = found if isinstance(found, Mapping) else {}
    if not curves:
        raise refused(path, "a Trackio project without metrics")
    runs = []
    for identity, collected in curves.items():
        config = {one: value for one, value in _flat(configs.get(identity, {})) if not one.startswith("_")}
        start, end = _time(times[identity][0]), _time(times[identity][-1])
        place = "" if key == "run_id" else f"{absolute(path)} {identity}"
        told = Told(
            "Trackio", names[identity], str(identity), path.stem, start=start, end=end,
            missing=("whether the run had ended: Trackio does not say", *words.get(identity, ())), place=place,
        )  # fmt: skip
        runs.append(run_of(path, told, config, collected))
    empty = [
        f"Trackio run {name[:60]}: no metric of it is a number, left out"
        for one, name in names.items()
        if one not in curves
    ]
    return Parcel("Trackio", tuple(runs), notes=tuple(empty))


def run_of(
    path: Path, told: Told, config: Mapping[str, Any], curves: Curves, summary: Mapping[str, Any] | None = None
) -> ImportedRun:
    """A tracker's run; its id there, in that store, is its place."""
    said = [*told.missing, *curves.said()]
    if "loss" not in curves:
        said.append("the training loss: no metric is named loss or train/loss")
    base = next((str(config[key]) for key in BASES if config.get(key)), "")
    if not base and config:
        said.append("the base model's name")
    known = STATUSES.get(told.status, "stopped")
    seed = whole(number(cell_number(str(config.get("seed", "")))))
    name = told.name.strip() or "imported"
    run = Run(
        id="",
        name=name,
        experiment=told.experiment or "imported",
        base=base,
        config=canonical(dict(sorted(config.items()))),
        seed=seed if seed is not None and abs(seed) < 2**62 else 0,
        status=known,
        reason="" if known in ("finished", "planned") else f"{told.tool}: {told.status.lower() or 'end not recorded'}",
        started_at=_time(told.start),
        finished_at=_time(told.end),
        origin="imported",
        source=f"{source_of(path)} ({told.tool})",
        tags=told.tags,
        notes=told.notes,
    )
    called = Called(
        (name, *told.names, short(f"{name} ({told.identity})")), told.place or f"{told.tool} {told.identity}"
    )
    former = former_run_id(told.tool, told.former_name or told.name, told.identity)
    return ImportedRun(run, curves.points(), called, former, tuple(said), canonical(dict(summary or {})), told.rest)


def cell_number(text: Any) -> float | None:
    """A CSV cell's number; None for an empty cell or a word."""
    try:
        return float(text) if str(text).strip() and "_" not in str(text) else None
    except ValueError:
        return None


def put(path: Path, curves: Curves, key: str, step: int, value: float) -> None:
    try:
        curves.add(key, step, value)
    except ValueError as error:
        raise refused(path, f"{metric_name(key)[:60]}: {error}") from error


def _files(folder: Path, notes: list[str]) -> Iterator[Path]:
    """Plain files below a folder, links left out: a store must not lead to files elsewhere."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            notes.append(f"{folder.name}/{path.name}: a link, which is not followed")
        elif path.is_file():
            yield path


def _yaml(path: Path) -> Mapping[str, Any]:
    found = read_yaml(path)
    if not isinstance(found, Mapping):
        raise refused(path, "not a YAML mapping")
    return found


def _experiment_name(folder: Path) -> str:
    try:
        return str(_yaml(folder / "meta.yaml").get("name") or "")
    except ImportRefused:
        return ""


def _own_tags(tags: Mapping[str, str | None]) -> tuple[str, ...]:
    """Tags that people set, as "key: value"."""
    return tuple(f"{key}: {value}" for key, value in sorted(tags.items()) if not key.startswith("mlflow."))


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted keys."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _time(value: Any) -> datetime | None:
    """Milliseconds since 1970 (MLflow), an ISO text (Trackio), or a datetime; None for anything else."""
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str):
            return moment(value)
        if isinstance(value, int) and value > 0:
            return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
