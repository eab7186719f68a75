"""Runs of the Hugging Face Trainer, TRL and LLaMA-Factory: `trainer_state.json`, checkpoint and run folders,
`trainer_log.jsonl`, summaries alone, and TRL's reference curves. Key sets of any version: what is absent is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results.errors import ImportRefused
from results.importers.names import Called, absolute, called_after, called_as_folder, source_of
from results.importers.parcels import (
    LARGEST_STEP,
    Curves,
    ImportedRun,
    Parcel,
    beginning,
    canonical,
    former_run_id,
    same,
)
from results.importers.reading import number, read_json, read_lines, whole
from results.importers.refusals import refused
from results.importers.trainings.settings import STATE_FIELDS, card_points, ours, settings_beside, typed
from results.records import Run, RunStatus, digest

SUMMARY = re.compile(r"(train|eval|test|predict)_(runtime|loss|samples.*|steps_per_second)|total_flos|epoch|\w*runtime")
"""Figures of the last log entry that are about the whole run."""

SUMMARIES = ("all_results.json", "train_results.json", "eval_results.json")


def is_state(value: Any) -> bool:
    """Whether a JSON value is a trainer_state.json."""
    return isinstance(value, Mapping) and isinstance(value.get("log_history"), list)


def is_reference_curve(value: Any) -> bool:
    """Whether a JSON value is a curve as TRL keeps them for its own regression tests: config, env, steps."""
    steps = value.get("steps") if isinstance(value, Mapping) else None
    return isinstance(steps, list) and bool(steps) and isinstance(steps[0], Mapping) and "step" in steps[0]


def is_summary(value: Any) -> bool:
    """Whether a JSON value is all_results.json or its like: figures of a whole run."""
    return isinstance(value, Mapping) and any(key in value for key in ("train_loss", "train_runtime", "eval_loss"))


def is_run_folder(folder: Path) -> bool:
    """Whether a folder holds a trainer's state, its log or its summary, itself or in checkpoints."""
    return bool(_states(folder)) or any((folder / name).is_file() for name in ("trainer_log.jsonl", *SUMMARIES))


def read_folder(folder: Path) -> Parcel:
    """A run or checkpoint folder: the newest state that can be read, and what lies beside it."""
    notes: list[str] = []
    for path in _states(folder):
        try:
            state = read_json(path)
            if not is_state(state):
                raise refused(path, "has no log_history")
        except ImportRefused as error:
            notes.append(f"{error}; an older checkpoint is used if there is one")
            continue
        parcel = read_state(path, state, folder)
        return Parcel(parcel.format, parcel.runs, notes=(*notes, *parcel.notes))
    if (folder / "trainer_log.jsonl").is_file():
        parcel = read_log(folder / "trainer_log.jsonl")
        return Parcel(parcel.format, parcel.runs, notes=tuple(notes))
    for name in SUMMARIES:
        if (folder / name).is_file():
            return read_summary(folder / name, read_json(folder / name))
    raise ImportRefused("; ".join(notes) or f"{folder.name}: no trainer's files")


@dataclass
class _Log:
    """What the files of one run say, as they are read."""

    form: str
    tool: str
    path: Path
    curves: Curves = field(default_factory=Curves)
    summary: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    base: str = ""
    missing: list[str] = field(default_factory=list)
    reached: int | None = None
    planned: int | None = None
    rest: str = ""
    """Digest of all that the file says."""
    ended: bool = False

    def beside(self, *folders: Path) -> None:
        """Take the settings that lie in the training's folders."""
        found = settings_beside(*folders)
        self.config, self.base, self.missing = found.config, found.base, found.missing
        if found.tool:
            self.config.setdefault("tool", found.tool)

    def put(self, key: str, step: int, value: float) -> None:
        """A point. Raises: ImportRefused for an impossible step."""
        try:
            self.curves.add(key, step, value)
        except ValueError as error:
            raise refused(self.path, str(error)) from error

    def sum_up(self, key: str, value: float) -> None:
        """A figure of the whole run; another one of its name stays beside it."""
        names = [key, *(f"{key} ({number})" for number in range(2, 1000))]
        name = next((one for one in names if one not in self.summary or same(self.summary[one], value)), names[-1])
        self.summary[name] = value


def read_state(path: Path, state: Mapping[str, Any], folder: Path | None = None) -> Parcel:
    """One trainer_state.json, with the configuration files beside it."""
    log = _Log("trainer_state.json", "Hugging Face Trainer", path)
    log.beside(path.parent, folder or path.parent)
    entries = state["log_history"]
    if not all(isinstance(entry, Mapping) for entry in entries):
        raise refused(path, "an entry of log_history is no object")
    steps = [entry.get("step") if entry.get("step") is not None else entry.get("current_steps") for entry in entries]
    if all(step is None for step in steps) and sum("loss" in entry for entry in entries) > 1:
        steps = list(range(1, len(entries) + 1))
        log.missing.append("the steps: no entry of log_history has one, so they are numbered in their order")
    unplaced: dict[str, None] = {}
    for entry, step in zip(entries, steps, strict=True):
        _take_entry(log, entry, None if step is None else _step(path, step), unplaced)
    if unplaced:
        log.missing.append(f"the step of some entries; their figures are in the summary: {', '.join(unplaced)[:200]}")
    log.rest = digest(canonical(state))
    log.reached, log.planned = whole(state.get("global_step")), whole(state.get("max_steps"))
    log.config |= {ours(key): canonical(state[key]) for key in STATE_FIELDS if state.get(key) is not None}
    best = ("best_metric", "best_global_step", "total_flos")
    log.summary |= {key: canonical(state[key]) for key in best if state.get(key) is not None}
    log.ended = "train_runtime" in log.summary
    return _parcel(log, _called(folder or path.parent), _run_name(folder or path.parent))


def _take_entry(log: _Log, entry: Mapping[str, Any], step: int | None, unplaced: dict[str, None]) -> None:
    """One entry of log_history. The one that ends a run repeats its step with averages of the whole: no points."""
    final = "train_runtime" in entry
    for key, value in entry.items():
        found = number(value)
        if key in ("step", "current_steps") or found is None:
            continue
        if step is None:
            log.sum_up(key, found)
            if not SUMMARY.fullmatch(key):
                unplaced[key] = None
        elif final and SUMMARY.fullmatch(key):
            log.sum_up(key, found)
        else:
            log.put(key, step, found)


def read_log(path: Path) -> Parcel:
    """LLaMA-Factory's trainer_log.jsonl. A last line that was cut off is left out; one without a step is a summary."""
    log = _Log("trainer_log.jsonl", "LLaMA-Factory", path, reached=0)
    log.beside(path.parent)
    rows = []
    for line, row in read_lines(path, tolerate_cut=True, said=log.missing):
        if not isinstance(row, Mapping):
            raise refused(path, f"line {line} has no current_steps")
        rows.append(row)
        told = row.get("current_steps")
        step = None if told is None else _step(path, told)
        log.planned = whole(row.get("total_steps")) or log.planned
        log.reached = max(log.reached or 0, step or 0)
        for key, value in row.items():
            seconds = clock_seconds(value) if key == "elapsed_time" else number(value)
            if key in ("current_steps", "total_steps", "percentage", "remaining_time") or seconds is None:
                continue
            if step is None:
                log.sum_up(key, seconds)
            else:
                log.put(key, step, seconds)
    log.rest = digest(canonical(rows))
    return _parcel(log, _called(path.parent), _run_name(path.parent))


def read_reference_curve(path: Path, value: Mapping[str, Any]) -> Parcel:
    """TRL's reference curve: config.args as strings, env with versions, steps with loss and grad_norm."""
    log = _Log("reference curve", "TRL", path)
    for row in value["steps"]:
        if not isinstance(row, Mapping):
            raise refused(path, "an entry of steps is no object")
        step = _step(path, row.get("step"))
        for key, one in row.items():
            found = number(one)
            if key != "step" and found is not None:
                log.put(key, step, found)
    config = _object(value.get("config"))
    args = _object(config.get("args"))
    env = {f"env.{key}": one for key, one in _object(value.get("env")).items()}
    log.config = {**{key: _typed(one) for key, one in args.items()}, **env}
    log.rest = digest(canonical(value))
    log.reached, log.planned = log.curves.last_step(), whole(number(_typed(args.get("max_steps"))))
    log.base = str(args.get("model_name_or_path") or "")
    name = str(config.get("name") or path.stem)
    beside = called_after(path, name)
    return _parcel(log, Called(beside.names, str(absolute(path))), name)


def read_summary(path: Path, value: Mapping[str, Any]) -> Parcel:
    """all_results.json alone: figures of the whole run, without a curve."""
    log = _Log(path.name, "Hugging Face Trainer", path)
    log.beside(path.parent)
    log.summary = {key: found for key, one in value.items() if (found := number(one)) is not None}
    log.rest = digest(canonical(value))
    step = whole(value.get("step") or value.get("global_step")) or 0
    if "eval_loss" in log.summary:
        log.put("eval_loss", step, log.summary["eval_loss"])
    log.missing.insert(0, "only a summary: there is no loss curve; import trainer_state.json for one")
    log.ended = "train_runtime" in log.summary
    return _parcel(log, _called(path.parent), _run_name(path.parent))


def read_settings(folder: Path) -> Parcel | None:
    """A training of which only the settings are left, and perhaps the table in its README; None without either."""
    files = [folder / name for name in ("README.md", "adapter_config.json") if (folder / name).is_file()]
    log = _Log("settings alone", "settings alone", (*files, folder / "README.md")[0])
    log.beside(folder)
    for metric, step, value in card_points(folder):
        log.put(metric, step, value)
    if not log.config:
        return None
    if "loss" in log.curves or "validation_loss" in log.curves:
        log.missing.insert(0, "all but the few points of the loss curve that its README has")
    else:
        log.missing.insert(0, "the loss curve: no trainer_state.json lies beside the weights")
    log.rest, log.ended = digest(canonical(log.config)), True  # what saved the weights had ended
    return _parcel(log, _called(folder), _run_name(folder))


def clock_seconds(value: Any) -> float | None:
    """Seconds of a duration written "0:01:05" or "1 day, 2:03:04"; None for anything else."""
    found = (
        re.fullmatch(r"(?:(\d{1,6}) days?, )?(\d{1,6}):(\d\d):(\d\d(?:\.\d+)?)", value)
        if isinstance(value, str)
        else None
    )
    if not found:
        return None
    days, hours, minutes, seconds = found.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _states(folder: Path) -> list[Path]:
    """trainer_state.json of a folder and of its checkpoints, the furthest checkpoint first."""
    found = [folder / "trainer_state.json"]
    numbered = [
        (int(match[1]), one)
        for one in folder.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d{1,12})", one.name))
    ]
    found += [one / "trainer_state.json" for _, one in sorted(numbered, reverse=True)]
    return [path for path in found if path.is_file()]


def _run_name(folder: Path) -> str:
    """A run's name: that of its folder, not of a checkpoint in it."""
    folder = folder.absolute()
    return folder.parent.name if re.fullmatch(r"checkpoint-\d+", folder.name) else folder.name


def _called(folder: Path) -> Called:
    """A run after its folder, or the one above a folder that tools name; the folder is its place."""
    folder = absolute(folder)
    folder = folder.parent if re.fullmatch(r"checkpoint-\d+", folder.name) else folder
    return called_as_folder(folder)


def _step(path: Path, value: Any) -> int:
    found = whole(value)
    if found is None:
        raise refused(path, f"a log entry's step is {str(value)[:40]!r}, not a whole number")
    return found


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _typed(value: Any) -> Any:
    """A command line's word as the value it meant: "50" → 50, "True" → True."""
    if not isinstance(value, str):
        return value
    if value in ("True", "False"):
        return value == "True"
    return typed(value)


def _parcel(log: _Log, called: Called, former_name: str) -> Parcel:
    """One run as a parcel; its status from how far it came."""
    said = [*log.missing, *log.curves.said()]
    if "loss" not in log.curves and log.form not in (*SUMMARIES, "settings alone"):
        said.insert(0, "the training loss: no entry has one")
    status, reason = _status(log.curves, log.reached, log.planned, log.ended)
    points = log.curves.points()
    run = Run(
        id="",
        name=called.names[0],
        experiment="imported",
        base=log.base,
        config=dict(log.config),
        seed=_seed(log.config),
        status=status,
        reason=reason,
        total_steps=log.planned if log.planned and 0 < log.planned <= LARGEST_STEP else None,
        origin="imported",
        source=f"{source_of(log.path)} ({log.tool})",
    )
    former = former_run_id(log.tool, former_name, [log.base, beginning(points) or canonical(log.summary)])
    return Parcel(log.form, (ImportedRun(run, points, called, former, tuple(said), canonical(log.summary), log.rest),))


def _seed(config: Mapping[str, Any]) -> int:
    for key in ("seed", "training.seed"):
        found = whole(config.get(key))
        if found is not None and abs(found) < 2**62:
            return found
    return 0


def _status(curves: Curves, reached: int | None, planned: int | None, ended: bool) -> tuple[RunStatus, str]:
    last = curves.last()
    if last is not None and not math.isfinite(last):
        return "diverged", f"the loss was {last} at step {curves.last_step()}"
    if ended or (planned and planned > 0 and (reached or 0) >= planned):
        return "finished", ""
    if planned and planned > 0:
        return "stopped", f"at step {reached or 0} of {planned} when it was imported"
    return "stopped", "the file does not say whether it had ended"
