"""Runs of the Hugging Face Trainer, TRL and LLaMA-Factory: `trainer_state.json`, checkpoint and run folders,
`trainer_log.jsonl`, summaries alone, and TRL's reference curves. Key sets of any version: what is absent is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from results.errors import ImportRefused
from results.importers.parcels import LARGEST_STEP, Curves, ImportedRun, Parcel, beginning, canonical, run_id
from results.importers.reading import number, read_json, read_lines, read_text, refused, whole
from results.records import Run, RunStatus

SUMMARY = re.compile(r"(train|eval|test|predict)_(runtime|loss|samples.*|steps_per_second)|total_flos|epoch|\w*runtime")
"""Figures of the last log entry that are about the whole run."""

STATE_FIELDS = ("num_train_epochs", "train_batch_size", "logging_steps", "eval_steps", "save_steps")
"""Of trainer_state.json, into the configuration."""

SUMMARIES = ("all_results.json", "train_results.json", "eval_results.json")

HINTS = {
    "adapter_config.json": ("lora", ("r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "bias", "peft_type")),
    "training_args.yaml": ("training", ()),
    "training_args.json": ("training", ()),
    "llamaboard_config.yaml": ("training", ()),
}
"""Files beside a trainer's state that say how it trained: the section of the configuration, and the keys taken."""


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


def read_state(path: Path, state: Mapping[str, Any], folder: Path | None = None) -> Parcel:
    """One trainer_state.json, with the configuration files beside it."""
    name = _run_name(folder or path.parent)
    curves, summary = Curves(), {}
    for entry in state["log_history"]:
        if not isinstance(entry, Mapping):
            raise refused(path, "an entry of log_history is no object")
        step = _step(path, entry.get("step", entry.get("current_steps")))
        # the entry that ends a run repeats its step with averages of the whole: no point of any curve
        final = "train_runtime" in entry
        for key, value in entry.items():
            found = number(value)
            if key in ("step", "current_steps") or found is None:
                continue
            if final and SUMMARY.fullmatch(key):
                summary[key] = found
            else:
                _put(path, curves, key, step, found)
    reached = whole(state.get("global_step"))
    planned = whole(state.get("max_steps"))
    config, base, missing = _surroundings(path.parent, folder)
    config |= {key: canonical(state[key]) for key in STATE_FIELDS if state.get(key) is not None}
    best = ("best_metric", "best_global_step", "total_flos")
    summary |= {key: canonical(state[key]) for key in best if state.get(key) is not None}
    return _parcel(
        "trainer_state.json", "Hugging Face Trainer", path, name, base, config, curves, summary, missing, reached,
        planned, ended="train_runtime" in summary,
    )  # fmt: skip


def read_log(path: Path) -> Parcel:
    """LLaMA-Factory's trainer_log.jsonl. A last line that was cut off is left out."""
    curves, planned, reached = Curves(), None, 0
    for line, row in read_lines(path, tolerate_cut=True):
        if not isinstance(row, Mapping) or "current_steps" not in row:
            raise refused(path, f"line {line} has no current_steps")
        step = _step(path, row["current_steps"])
        planned, reached = whole(row.get("total_steps")) or planned, max(reached, step)
        for key, value in row.items():
            seconds = clock_seconds(value) if key == "elapsed_time" else number(value)
            if key not in ("current_steps", "total_steps", "percentage", "remaining_time") and seconds is not None:
                _put(path, curves, key, step, seconds)
    config, base, missing = _surroundings(path.parent, path.parent)
    return _parcel(
        "trainer_log.jsonl", "LLaMA-Factory", path, _run_name(path.parent), base, config, curves, {}, missing, reached,
        planned,
    )  # fmt: skip


def read_reference_curve(path: Path, value: Mapping[str, Any]) -> Parcel:
    """TRL's reference curve: config.args as strings, env with versions, steps with loss and grad_norm."""
    curves = Curves()
    for row in value["steps"]:
        if not isinstance(row, Mapping):
            raise refused(path, "an entry of steps is no object")
        step = _step(path, row.get("step"))
        for key, one in row.items():
            found = number(one)
            if key != "step" and found is not None:
                _put(path, curves, key, step, found)
    config = _object(value.get("config"))
    args = _object(config.get("args"))
    env = {f"env.{key}": one for key, one in _object(value.get("env")).items()}
    planned = whole(number(_typed(args.get("max_steps"))))
    base = str(args.get("model_name_or_path") or "")
    return _parcel(
        "reference curve", "TRL", path, str(config.get("name") or path.stem), base,
        {**{key: _typed(one) for key, one in args.items()}, **env}, curves, {}, [], curves.last_step(), planned,
    )  # fmt: skip


def read_summary(path: Path, value: Mapping[str, Any]) -> Parcel:
    """all_results.json alone: figures of the whole run, without a curve."""
    summary = {key: found for key, one in value.items() if (found := number(one)) is not None}
    curves = Curves()
    step = whole(value.get("step") or value.get("global_step")) or 0
    if "eval_loss" in summary:
        curves.add("eval_loss", step, summary["eval_loss"])
    config, base, missing = _surroundings(path.parent, path.parent)
    missing.insert(0, "only a summary: there is no loss curve; import trainer_state.json for one")
    return _parcel(
        path.name, "Hugging Face Trainer", path, _run_name(path.parent), base, config, curves, summary, missing, None,
        None, ended="train_runtime" in summary,
    )  # fmt: skip


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


def _step(path: Path, value: Any) -> int:
    found = whole(value)
    if found is None:
        raise refused(path, f"a log entry's step is {str(value)[:40]!r}, not a whole number")
    return found


def _put(path: Path, curves: Curves, key: str, step: int, value: float) -> None:
    try:
        curves.add(key, step, value)
    except ValueError as error:
        raise refused(path, str(error)) from error


def _surroundings(folder: Path, other: Path | None) -> tuple[dict[str, Any], str, list[str]]:
    """(configuration, base, what is missing) from the files beside a state, in its folder or the run's."""
    config: dict[str, Any] = {}
    base, missing = "", []
    for name, (section, keys) in HINTS.items():
        for place in dict.fromkeys([folder, other or folder]):
            if not (place / name).is_file() or any(key.startswith(f"{section}.") for key in config):
                continue
            try:
                found = read_json(place / name) if name.endswith(".json") else yaml.safe_load(read_text(place / name))
            except (ImportRefused, yaml.YAMLError, RecursionError) as error:
                missing.append(f"{name} was not read: {str(error).splitlines()[0]}")
                continue
            if isinstance(found, Mapping):
                config |= {
                    f"{section}.{key}": canonical(found[key]) for key in keys or found if _scalar(found.get(key))
                }
                base = base or str(found.get("base_model_name_or_path") or found.get("model_name_or_path") or "")
    if not any(key.startswith("training.") for key in config):
        kept = " (training_args.bin is a pickle and is never loaded)" if (folder / "training_args.bin").exists() else ""
        missing.append(f"the training arguments{kept}")
    if not base:
        missing.append("the base model's name (no adapter_config.json)")
    return config, base, missing


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _scalar(value: Any) -> bool:
    return value is not None and isinstance(value, bool | int | float | str)


def _typed(value: Any) -> Any:
    """A command line's word as the value it meant: "50" → 50, "True" → True."""
    if not isinstance(value, str):
        return value
    if value in ("True", "False"):
        return value == "True"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _parcel(
    form: str,
    tool: str,
    path: Path,
    name: str,
    base: str,
    config: Mapping[str, Any],
    curves: Curves,
    summary: Mapping[str, Any],
    missing: Iterable[str],
    reached: int | None,
    planned: int | None,
    ended: bool = False,
) -> Parcel:
    """One run as a parcel; its status from how far it came."""
    said = list(missing)
    if "loss" not in curves and form not in SUMMARIES:
        said.insert(0, "the training loss: no entry has one")
    status, reason = _status(curves, reached, planned, ended)
    points = curves.points()
    run = Run(
        id=run_id(tool, name, [base, beginning(points) or canonical(summary)]),
        name=name,
        experiment="imported",
        base=base,
        config=dict(config),
        seed=_seed(config),
        status=status,
        reason=reason,
        total_steps=planned if planned and 0 < planned <= LARGEST_STEP else None,
        origin="imported",
        source=f"{path.parent.name}/{path.name} ({tool})",
    )
    return Parcel(form, (ImportedRun(run, points, tuple(said), canonical(summary)),))


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
