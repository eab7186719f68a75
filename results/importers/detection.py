"""What a foreign file is, by its name and content, and which files below a folder are worth opening."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results.errors import FileUnreadable, ImportRefused
from results.files.reading import below, leads_out
from results.files.values import parse_json
from results.importers.parcels import Parcel
from results.importers.reading import PICKLES, check_readable, read_json, read_lines, read_text, start
from results.importers.refusals import UnknownKind, refused, unknown
from results.importers.scores import (
    bakeoff_answers,
    bigcode_files,
    harness_files,
    harness_samples,
    humaneval_files,
    llama_bench,
)
from results.importers.trainings import (
    settings,
    tensorboard_events,
    tensorboard_runs,
    trackers,
    trainer_runs,
    wandb_tables,
)

MOST_FILES = 100_000
"""Files looked at below one folder."""

KNOWN = (
    "Known: trainer_state.json and run folders, trainer_log.jsonl, TensorBoard events, MLflow and Trackio stores, "
    "histories as CSV or JSON Lines with a step, HumanEval samples and results, EvalPlus, bigcode, lighteval and "
    "lm-evaluation-harness results, llama-bench's output, Bakeoff's own answers. "
    "Others' answers: JSON Lines with task_id and completion"
)

TEXTS = (".json", ".jsonl", ".csv", ".tsv", ".md", ".txt", ".sql", ".log")
"""Endings of text files of a known kind."""


@dataclass
class Found:
    """Everything at a path."""

    parcels: list[Parcel] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why files of a known kind could not be read."""
    passed_over: list[str] = field(default_factory=list)
    """What was not read for being nothing that is known, or told twice."""


def read_file(path: Path) -> Parcel:
    """Detect one file's format by its name and content, and read it. Raises: ImportRefused."""
    with below(path.parent, named=path):
        return _shaped(path, _read_file)


def read_all(path: Path) -> Found:
    """Everything at a path. Raises: ImportRefused for a single file that cannot be read."""
    found = Found()
    if not path.is_dir():
        found.parcels.append(read_file(path))
        return found
    with below(path):
        for piece in _pieces(path, found.passed_over):
            try:
                found.parcels.append(_shaped(piece, _read_piece))
            except UnknownKind as error:
                found.passed_over.append(error.what)
            except ImportRefused as error:
                found.refused.append(str(error))
    return found


def _shaped(path: Path, read: Callable[[Path], Parcel]) -> Parcel:
    """Read, and refuse a file whose values are of a shape that its format does not have."""
    try:
        return read(path)
    except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise refused(path, f"has values of an unexpected shape ({type(error).__name__}: {error!s:.120})") from error


def _read_file(path: Path) -> Parcel:
    check_readable(path)
    if tensorboard_events.is_events(path):
        return tensorboard_runs.read_events(path)
    if start(path, 16) == b"SQLite format 3\x00":
        return trackers.read_sqlite(path)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".json", ".jsonl")):
        return _read_lines(path) if _is_lines(path, name.endswith(".jsonl")) else _read_json(path, read_json(path))
    if name.endswith((".csv", ".tsv")):
        return _read_csv(path)
    if name.endswith(TEXTS):
        return _read_text(path)
    if start(path, 4) == b"PAR1":
        raise unknown(path, "a Parquet file, which nothing is imported from", f"{bakeoff_answers.IN_LINES}. {KNOWN}")
    raise unknown(path, "not a known kind of file", KNOWN)


def _is_lines(path: Path, named: bool) -> bool:
    """Whether a file holds a JSON value a line, whatever its name: people save either under both endings."""
    text = read_text(path).strip()
    first, _, rest = text.partition("\n")
    if _parses(first, path):
        # one array in lines: lm-evaluation-harness wrote it so before 0.4.2
        return not first.startswith("[") and (named or bool(rest))
    return named and not _parses(text, path)


def _parses(text: str, path: Path) -> bool:
    try:
        parse_json(text, path)
    except FileUnreadable:
        return False
    return True


def _read_json(path: Path, value: Any) -> Parcel:
    if trainer_runs.is_state(value):
        return trainer_runs.read_state(path, value)
    if humaneval_files.is_evalplus(value):
        return humaneval_files.read_evalplus(path, value)
    if harness_files.is_harness(value):
        return harness_files.read_harness(path, value)
    if llama_bench.is_llama_bench(value):
        return llama_bench.read_llama_bench(path, value if isinstance(value, list) else [value])
    if bigcode_files.is_generations(value):
        return bigcode_files.read_generations(path, value)
    if bigcode_files.is_results(value):
        return bigcode_files.read_results(path, value)
    if isinstance(value, list) and value:
        rows = list(enumerate(value, 1))
        if bakeoff_answers.is_answer(value[0]):
            return bakeoff_answers.read_answers(path, ((f"answer {number}", row) for number, row in rows))
        if harness_samples.is_sample(value[0]):
            return harness_files.read_samples_file(path, rows)
        if humaneval_files.is_answer(value[0]):
            return humaneval_files.answers_parcel(path, ((f"answer {number}", row) for number, row in rows))
    if trainer_runs.is_reference_curve(value):
        return trainer_runs.read_reference_curve(path, value)
    if trainer_runs.is_summary(value):
        return trainer_runs.read_summary(path, value)
    raise unknown(path, "JSON, but of no known kind", KNOWN)


def _read_lines(path: Path) -> Parcel:
    for _, row in read_lines(path, tolerate_cut=True):
        if bakeoff_answers.is_answer(row):
            return bakeoff_answers.read_answers(path, ((f"line {line}", row) for line, row in read_lines(path)))
        if humaneval_files.is_answer(row):
            return humaneval_files.read_answers(path)
        if harness_samples.is_sample(row):
            return harness_files.read_samples_file(path, list(read_lines(path)))
        if isinstance(row, dict) and "current_steps" in row:
            return trainer_runs.read_log(path)
        if llama_bench.is_llama_bench(row):
            return llama_bench.read_llama_bench(path, [one for _, one in read_lines(path)])
        if wandb_tables.is_history_line(row):
            return wandb_tables.read_history_lines(path, read_lines(path, tolerate_cut=True))
        raise unknown(path, "JSON Lines, but of no known kind", KNOWN)
    raise refused(path, "holds no lines")


def _read_csv(path: Path) -> Parcel:
    text = read_text(path)
    if bakeoff_answers.is_table(text.lstrip("\ufeff").split("\n", 1)[0]):
        raise refused(path, bakeoff_answers.NO_TABLE)
    if llama_bench.is_csv_header(text.split("\n", 1)[0].replace('"', "").strip().split(",")):
        return llama_bench.read_llama_bench(path, llama_bench.csv_rows(path, text))
    return wandb_tables.read_csv(path)


def _read_text(path: Path) -> Parcel:
    """What llama-bench printed, among whatever else stands in a log."""
    text = read_text(path)
    if llama_bench.is_markdown(text):
        return llama_bench.read_llama_bench(path, llama_bench.markdown_rows(path, text))
    if "model_filename" in text and "avg_ts" in text:
        return llama_bench.read_llama_bench(path, llama_bench.sql_rows(path, text))
    raise unknown(path, "not a known kind of file", KNOWN)


def _read_piece(piece: Path) -> Parcel:
    if not piece.is_dir():
        return _read_file(piece)
    if trainer_runs.is_run_folder(piece):
        return trainer_runs.read_folder(piece)
    if trackers.is_mlflow_folder(piece):
        return trackers.read_mlflow_folder(piece)
    return tensorboard_runs.read_events(piece)


def _pieces(folder: Path, passed_over: list[str]) -> Iterator[Path]:
    """Folders that are one run or one store, and single files of a known kind, below a folder. No link is followed."""
    seen = 0
    for place, folders, files in os.walk(folder, followlinks=False):
        here = Path(place)
        seen += len(files)
        if seen > MOST_FILES:
            raise ImportRefused(f"{folder.name}: more than {MOST_FILES} files; name a folder further down")
        links = [here / name for name in sorted((*folders, *files)) if (here / name).is_symlink()]
        out = [link.name for link in links if leads_out(link, folder)]
        passed_over += [f"{name}: a link that leads out of {folder.name}; it is not followed" for name in out]
        if trainer_runs.is_run_folder(here):
            # its checkpoints tell the same curve again, and so do the newest of its TensorBoard events
            told = [one for one in folders if one in ("runs", "logs")]
            folders[:] = [one for one in folders if one not in told and not one.startswith("checkpoint-")]
            yield here
            files = [name for name in files if not _is_trainers(name)]
            if told or any("tfevents" in name for name in files):
                passed_over.append(
                    f"{here.name}: its TensorBoard events are not read beside its log; import them by name"
                )
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


def _is_trainers(name: str) -> bool:
    """Whether a file of a run's folder was read with the folder."""
    return name in (
        "trainer_state.json",
        "trainer_log.jsonl",
        "logging.jsonl",
        *trainer_runs.SUMMARIES,
        *settings.FILES,
    )


def _plausible(path: Path) -> bool:
    """Whether a file in a folder is worth opening: a known ending, no link, no pickle, none of a model's own files."""
    name = path.name.lower().removesuffix(".gz")
    if path.is_symlink() or not path.is_file() or path.suffix.lower() in PICKLES:
        return False
    if harness_files.results_beside(path) is not None:
        return False  # read with its results
    if name.endswith(TEXTS):
        return _recognised(path)
    return name.endswith((".db", ".sqlite", ".sqlite3"))


def _recognised(path: Path) -> bool:
    """Whether the start of a text file has a key of a known format: folders hold many other JSON files."""
    head = start(path, 65536)
    if path.suffix == ".gz":
        return True
    if path.suffix.lower() in (".csv", ".tsv"):
        return True
    if path.suffix.lower() in (".md", ".txt", ".sql", ".log"):
        return b"t/s" in head or b"avg_ts" in head
    if "generations" in path.name or path.name == "evaluation_results.json":
        return True
    keys = (b'"log_history"', b'"task_id"', b'"current_steps"', b'"avg_ts"', b'"results"', b'"steps"', b'"eval"')
    more = (
        b'"_step"',
        b'"global_step/max_steps"',
        b'"train_runtime"',
        b'"train_loss"',
        b'"best_metric"',
        b'"custom_id"',
        b'"doc_id"',
        b'"pass@1"',
        b'"evaluation_id"',
    )
    return any(key in head for key in (*keys, *more))
