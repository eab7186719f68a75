"""Experiment trackers' stores: MLflow (folder and SQLite), Trackio (SQLite), and W&B's CSV exports."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from results.errors import ImportRefused
from results.importers.parcels import Curves, ImportedRun, Parcel, canonical, metric_name, run_id
from results.importers.reading import number, open_sqlite, parse_json, read_text, refused, table_columns, whole
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

STEPS = ("step", "_step", "global_step", "train/global_step", "trainer/global_step", "current_steps")


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
            runs.append(_mlflow_run_folder(meta_path.parent, meta))
        except ImportRefused as error:
            notes.append(str(error))
    if not runs:
        raise ImportRefused(f"{folder.name}: an MLflow store without runs" + "".join(f"; {one}" for one in notes))
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
            raise refused(path, "is a Bakeoff store; merge it: bakeoff store merge")
    raise refused(path, f"holds neither MLflow's nor Trackio's tables ({', '.join(sorted(tables))[:120]})")


def read_csv(path: Path) -> Parcel:
    """W&B's export of one chart ("Step", "run - metric", …) or of one run's history (step and metric columns)."""
    rows = csv.reader(io.StringIO(read_text(path), newline=""))
    try:
        header = [cell.strip() for cell in next(rows)]
        body = list(rows)
    except (csv.Error, StopIteration) as error:
        raise refused(path, f"not CSV: {error}") from error
    steps = [index for index, cell in enumerate(header) if cell.lower() in STEPS]
    if not steps:
        raise refused(path, f"no step column ({', '.join(STEPS[:3])}) among: {', '.join(header)[:120]}")
    if len(set(header)) != len(header):
        raise refused(path, "two columns have one name")
    runs: dict[str, Curves] = {}
    columns = [(index, *_column(cell, path.stem)) for index, cell in enumerate(header) if index not in steps]
    columns = [one for one in columns if not one[2].endswith(("__MIN", "__MAX"))]
    for line, row in enumerate(body, 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise refused(path, f"line {line} has {len(row)} cells, the header {len(header)}")
        step = whole(_cell(row[steps[0]]))
        if step is None:
            raise refused(path, f"line {line}: the step is {row[steps[0]][:40]!r}")
        for index, name, metric in columns:
            value = _cell(row[index])
            if value is not None:
                _put(path, runs.setdefault(name, Curves()), metric, step, value)
    if not runs:
        raise refused(path, "holds no numbers beside its steps")
    note = ("minima and maxima (__MIN, __MAX) that W&B adds to a sampled curve are left out",)
    sampled = any(cell.endswith("__MIN") for cell in header)
    found = [
        _run("W&B", path, name, "", {}, curves, name, missing=["the configuration: a CSV export has none"])
        for name, curves in runs.items()
    ]
    return Parcel("W&B CSV", tuple(found), notes=note if sampled else ())


def _mlflow_run_folder(folder: Path, meta: Mapping[str, Any]) -> ImportedRun:
    curves = Curves()
    for path in _files(folder / "metrics"):
        key = path.relative_to(folder / "metrics").as_posix()
        for line, text in enumerate(read_text(path).splitlines(), 1):
            parts = text.split(" ")
            if len(parts) < 2 or len(parts) > 4:
                raise refused(path, f"line {line} is no metric: {text[:60]!r}")
            value, step = _cell(parts[1]), _cell(parts[2]) if len(parts) > 2 else 0.0
            if value is None or whole(step) is None:
                raise refused(path, f"line {line} is no metric: {text[:60]!r}")
            _put(path, curves, key, int(step or 0), value)
    params = {path.relative_to(folder / "params").as_posix(): read_text(path) for path in _files(folder / "params")}
    tags = {path.relative_to(folder / "tags").as_posix(): read_text(path) for path in _files(folder / "tags")}
    status = meta.get("status")
    word = NUMBERED[status] if isinstance(status, int) and 0 <= status < len(NUMBERED) else str(status)
    uuid = str(meta.get("run_id") or meta.get("run_uuid"))
    name = str(meta.get("run_name") or tags.get("mlflow.runName") or uuid[:8])
    experiment = _experiment_name(folder.parent)
    return _run(
        "MLflow", folder, name, experiment, params, curves, uuid, word, meta.get("start_time"), meta.get("end_time"),
        _own_tags(tags),
    )  # fmt: skip


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
            _put(path, curves, str(key), int(step), found)
        params = dict(connection.execute("SELECT key, value FROM params WHERE run_uuid = ?", (uuid,)))
        tags = dict(connection.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (uuid,)))
        name = str(name or tags.get("mlflow.runName") or str(uuid)[:8])
        own = _own_tags(tags)
        runs.append(
            _run(
                "MLflow",
                path,
                name,
                str(experiments.get(experiment, "")),
                params,
                curves,
                str(uuid),
                str(status),
                start,
                end,
                own,
            )
        )
    if not runs:
        raise refused(path, "an MLflow store without runs")
    return Parcel("MLflow SQLite", tuple(runs), notes=tuple(notes))


def _trackio(path: Path, connection: sqlite3.Connection, tables: Mapping[str, frozenset[str]]) -> Parcel:
    """Trackio's project file. Older ones know runs by name only, newer ones by an id."""
    key = "run_id" if "run_id" in tables["metrics"] else "run_name"
    rows = connection.execute(f"SELECT {key}, run_name, step, metrics, timestamp FROM metrics ORDER BY id").fetchall()
    curves: dict[str, Curves] = {}
    names: dict[str, str] = {}
    times: dict[str, list[str]] = {}
    for identity, name, step, text, time in rows:
        values = parse_json(path, text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text))
        if not isinstance(values, Mapping) or whole(step) is None:
            raise refused(path, f"run {name!s:.60}: a row of metrics is no object, or its step no number")
        for metric, value in values.items():
            found = number(value)
            if found is not None:
                _put(path, curves.setdefault(identity, Curves()), metric, int(step), found)
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
        missing = ["whether the run had ended: Trackio does not say"]
        runs.append(
            _run(
                "Trackio",
                path,
                names[identity],
                path.stem,
                config,
                collected,
                str(identity),
                start=start,
                end=end,
                missing=missing,
            )
        )
    return Parcel("Trackio", tuple(runs))


def _run(
    tool: str,
    path: Path,
    name: str,
    experiment: str,
    config: Mapping[str, Any],
    curves: Curves,
    identity: str,
    status: str = "",
    start: Any = None,
    end: Any = None,
    tags: tuple[str, ...] = (),
    missing: Iterable[str] = (),
) -> ImportedRun:
    said = list(missing)
    if "loss" not in curves:
        said.append("the training loss: no metric is named loss or train/loss")
    base = next((str(config[key]) for key in BASES if config.get(key)), "")
    if not base and config:
        said.append("the base model's name")
    known = STATUSES.get(status, "stopped")
    seed = whole(number(_cell(str(config.get("seed", "")))))
    run = Run(
        id=run_id(tool, name, identity),
        name=name,
        experiment=experiment or "imported",
        base=base,
        config=canonical(dict(sorted(config.items()))),
        seed=seed if seed is not None and abs(seed) < 2**62 else 0,
        status=known,
        reason="" if known in ("finished", "planned") else f"{tool}: {status.lower() or 'end not recorded'}",
        started_at=_time(start),
        finished_at=_time(end),
        origin="imported",
        source=f"{path.parent.name}/{path.name} ({tool})",
        tags=tags,
    )
    return ImportedRun(run, curves.points(), tuple(said))


def _column(header: str, stem: str) -> tuple[str, str]:
    """(run, metric) of a CSV column: "run - metric", or a metric of the run that the file is named after."""
    name, dash, metric = header.rpartition(" - ")
    return (name, metric) if dash else (stem, header)


def _cell(text: Any) -> float | None:
    """A CSV cell's number; None for an empty cell or a word."""
    try:
        return float(text) if str(text).strip() and "_" not in str(text) else None
    except ValueError:
        return None


def _put(path: Path, curves: Curves, key: str, step: int, value: float) -> None:
    try:
        curves.add(key, step, value)
    except ValueError as error:
        raise refused(path, f"{metric_name(key)[:60]}: {error}") from error


def _files(folder: Path) -> Iterator[Path]:
    """Plain files below a folder, links left out: a store must not lead to files elsewhere."""
    if folder.is_dir():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path


def _yaml(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise refused(path, f"not valid YAML: {str(error).splitlines()[0]}") from error
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
            found = datetime.fromisoformat(value)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        if isinstance(value, int) and value > 0:
            return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
