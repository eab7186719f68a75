"""Runs and results made elsewhere, into the store. `import_path` finds out what a file or folder is.

Readers (one module per family of formats) make a `Parcel` and write nothing; `import_path` delivers it. Nothing is
unpickled. What comes in is marked as imported, with its source; importing it again changes nothing.

Try: bakeoff import outputs/my-run --dry-run
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.errors import Immutable, ImportRefused, NotFound
from results.importers import benchmark_files, humaneval_files, tensorboard_events, trackers, trainer_runs
from results.importers.parcels import ImportedEvaluation, ImportedRun, Parcel
from results.importers.reading import PICKLES, check_readable, read_json, read_lines, refused, start
from results.json_values import plain
from results.records import Model, Report, now

if TYPE_CHECKING:
    from results.store.store import Store

MOST_FILES = 100_000
"""Files looked at below one folder."""

KNOWN = (
    "trainer_state.json and run folders, trainer_log.jsonl, TensorBoard events, MLflow and Trackio stores, W&B CSV, "
    "HumanEval samples and results, EvalPlus and lm-evaluation-harness results, llama-bench JSON"
)


@dataclass(frozen=True)
class ImportedItem:
    """One run or evaluation that a file held."""

    kind: str
    """run or evaluation."""
    id: str
    name: str
    """The run's, or the model's."""
    format: str
    source: str
    points: int = 0
    outcomes: int = 0
    benchmark: str = ""
    status: str = ""
    new: bool = True
    """False: the store had it already."""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportReport:
    """What an import found and did."""

    path: str
    dry_run: bool
    items: tuple[ImportedItem, ...]
    refused: tuple[str, ...] = ()
    """Files in the folder that could not be imported, with the reason."""
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return plain(self)


def import_path(path: str | Path, store: Store, dry_run: bool = False, model: str | None = None) -> ImportReport:
    """Import a file, or everything in a folder that is of a known kind.

    `model`: name or id of a model in the store that the evaluations are of; without it each file's model is registered
    under its own name. `dry_run` reads everything and writes nothing.
    Raises: ImportRefused naming the file and the reason, if there was nothing else to import; NotFound for `model`.
    """
    path = Path(path).expanduser()
    measured = store.models.find(model) if model else None
    parcels, reasons = _read_all(path)
    if not parcels:
        raise ImportRefused("; ".join(reasons[:5]) or f"{path.name}: nothing of a known kind in it. Known: {KNOWN}")
    items: list[ImportedItem] = []
    for parcel in parcels:
        for run in parcel.runs:
            items.append(_deliver_run(store, run, parcel.format, dry_run, reasons))
        for one in parcel.evaluations:
            items.append(_deliver_evaluation(store, one, parcel.format, measured, dry_run, reasons))
    notes = tuple(dict.fromkeys(note for parcel in parcels for note in parcel.notes))
    kept = tuple(item for item in items if item.id)
    if not kept:
        raise ImportRefused("; ".join(reasons[:5]))
    return ImportReport(path.name, dry_run, kept, tuple(reasons), notes)


def read_file(path: Path) -> Parcel:
    """Detect one file's format by its name and content, and read it. Raises: ImportRefused."""
    return _shaped(path, _read_file)


def _shaped(path: Path, read: Callable[[Path], Parcel]) -> Parcel:
    """Read, and refuse a file whose values are of a shape that its format does not have."""
    try:
        return read(path)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise refused(path, f"has values of an unexpected shape ({type(error).__name__}: {error!s:.120})") from error


def _read_file(path: Path) -> Parcel:
    check_readable(path)
    if tensorboard_events.is_events(path):
        return tensorboard_events.read_events(path)
    if start(path, 16) == b"SQLite format 3\x00":
        return trackers.read_sqlite(path)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".csv"):
        return trackers.read_csv(path)
    if name.endswith(".jsonl"):
        return _read_lines(path)
    if name.endswith(".json"):
        return _read_json(path)
    raise refused(path, f"not a known kind of file. Known: {KNOWN}")


def _read_json(path: Path) -> Parcel:
    value = read_json(path)
    if trainer_runs.is_state(value):
        return trainer_runs.read_state(path, value)
    if humaneval_files.is_evalplus(value):
        return humaneval_files.read_evalplus(path, value)
    if benchmark_files.is_harness(value):
        return benchmark_files.read_harness(path, value)
    if benchmark_files.is_llama_bench(value):
        return benchmark_files.read_llama_bench(path, value if isinstance(value, list) else [value])
    if trainer_runs.is_reference_curve(value):
        return trainer_runs.read_reference_curve(path, value)
    if trainer_runs.is_summary(value):
        return trainer_runs.read_summary(path, value)
    raise refused(path, f"JSON, but of no known kind. Known: {KNOWN}")


def _read_lines(path: Path) -> Parcel:
    for _, row in read_lines(path, tolerate_cut=True):
        if humaneval_files.is_answer(row):
            return humaneval_files.read_answers(path)
        if isinstance(row, dict) and "current_steps" in row:
            return trainer_runs.read_log(path)
        if benchmark_files.is_llama_bench(row):
            return benchmark_files.read_llama_bench(path, [one for _, one in read_lines(path)])
        raise refused(path, f"JSON Lines, but of no known kind. Known: {KNOWN}")
    raise refused(path, "holds no lines")


def _read_all(path: Path) -> tuple[list[Parcel], list[str]]:
    """Everything at a path: parcels, and why files of a known kind could not be read."""
    if not path.is_dir():
        return [read_file(path)], []
    parcels, reasons = [], []
    for piece in _pieces(path):
        try:
            parcels.append(_shaped(piece, _read_piece))
        except ImportRefused as error:
            reasons.append(str(error))
    return parcels, reasons


def _read_piece(piece: Path) -> Parcel:
    if not piece.is_dir():
        return read_file(piece)
    if trainer_runs.is_run_folder(piece):
        return trainer_runs.read_folder(piece)
    if trackers.is_mlflow_folder(piece):
        return trackers.read_mlflow_folder(piece)
    return tensorboard_events.read_events(piece)


def _pieces(folder: Path) -> Iterator[Path]:
    """Folders that are one run or one store, and single files of a known kind, below a folder. No link is followed."""
    seen = 0
    for place, folders, files in os.walk(folder, followlinks=False):
        here = Path(place)
        seen += len(files)
        if seen > MOST_FILES:
            raise ImportRefused(f"{folder.name}: more than {MOST_FILES} files; name a folder further down")
        if trainer_runs.is_run_folder(here):
            # its TensorBoard events and checkpoints tell the same curves again
            folders[:] = [one for one in folders if one not in ("runs", "logs") and not one.startswith("checkpoint-")]
            yield here
            files = [one for one in files if one.endswith(("_samples.jsonl", "_results.jsonl"))]
        elif trackers.is_mlflow_folder(here):
            folders.clear()
            yield here
            continue
        elif any("tfevents" in name for name in files):
            yield here
        folders.sort()
        for name in sorted(files):
            if "tfevents" not in name and _plausible(here / name):
                yield here / name


def _plausible(path: Path) -> bool:
    """Whether a file in a folder is worth opening: a known ending, no link, no pickle, none of a model's own files."""
    name = path.name.lower().removesuffix(".gz")
    if path.is_symlink() or not path.is_file() or path.suffix.lower() in PICKLES:
        return False
    if name.endswith((".json", ".jsonl", ".csv")):
        return _recognised(path)
    return name.endswith((".db", ".sqlite", ".sqlite3"))


def _recognised(path: Path) -> bool:
    """Whether the start of a text file has a key of a known format: folders hold many other JSON files."""
    head = start(path, 65536)
    if path.suffix == ".gz":
        return True
    if path.suffix == ".csv":
        first = head.split(b"\n", 1)[0].lower()
        return any(step.encode() in first for step in trackers.STEPS)
    keys = (b'"log_history"', b'"task_id"', b'"current_steps"', b'"avg_ts"', b'"results"', b'"steps"', b'"eval"')
    return any(key in head for key in (*keys, b'"train_runtime"', b'"train_loss"', b'"best_metric"'))


def _deliver_run(store: Store, found: ImportedRun, form: str, dry_run: bool, reasons: list[str]) -> ImportedItem:
    """One run into the store, whole, in one transaction; with a report of what was missing."""
    run, new = found.run, True
    try:
        there = store.runs.get(run.id)
        # what people edited since stays
        run = dataclasses.replace(run, name=there.name, tags=there.tags, notes=there.notes, archived=there.archived)
        new = False
    except NotFound:
        pass
    item = ImportedItem(
        "run", run.id, run.name, form, run.source, points=len(found.points), status=run.status, new=new,
        missing=found.missing,
    )  # fmt: skip
    if dry_run:
        return item
    try:
        store.runs.add(run, found.points)
    except Immutable as error:
        reasons.append(f"{run.source}: was imported before with other contents ({error})")
        return dataclasses.replace(item, id="")
    payload = {"format": form, "source": run.source, "missing": list(found.missing), "summary": dict(found.summary)}
    store.reports.put(Report(run.id, "import", payload, now()))
    return item


def _deliver_evaluation(
    store: Store, found: ImportedEvaluation, form: str, measured: Model | None, dry_run: bool, reasons: list[str]
) -> ImportedItem:
    """One evaluation into the store, under the model it is of."""
    model = measured or _registered(store, found.model)
    evaluation = found.evaluation
    if measured:
        evaluation = dataclasses.replace(
            evaluation, id=f"{evaluation.id[:23]}-{measured.identity[:8]}", model_id=measured.id
        )
    try:
        new = store.evaluations.get(evaluation.id).status != "finished"
    except NotFound:
        new = True
    item = ImportedItem(
        "evaluation", evaluation.id, model.name, form, evaluation.source, outcomes=len(found.outcomes),
        benchmark=evaluation.benchmark, status="finished", new=new, missing=found.missing,
    )  # fmt: skip
    if dry_run or not new:
        return item
    try:
        store.machines.add(found.machine)
        if not measured:
            store.models.add(model)
        details = {**evaluation.details, "missing": list(found.missing), "machine": "of the import, not this one"}
        store.evaluations.begin(dataclasses.replace(evaluation, details=details))
        store.evaluations.add_outcomes(evaluation.id, found.outcomes)
        store.evaluations.finish(evaluation.id, found.scores, at=evaluation.finished_at)
    except Immutable as error:
        reasons.append(f"{evaluation.source}: was imported before with other contents ({error})")
        return dataclasses.replace(item, id="")
    return item


def _registered(store: Store, model: Model) -> Model:
    """The foreign model under a name of its own: one that is taken by another model is not taken from it."""
    known = store.models.list()
    for there in known:
        if there.id == model.id:
            return there
    if any(there.name == model.name for there in known):
        return dataclasses.replace(model, name=f"{model.name} (imported {model.identity[:6]})")
    return model


__all__ = ["ImportReport", "ImportedItem", "import_path", "read_file"]
