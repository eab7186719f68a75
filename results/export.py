"""The store's contents as flat files for other tools: CSV, JSON, JSON Lines or Parquet, by the file's ending.

CSV is opened in spreadsheets, which run texts that begin with = + - @ as formulas, behind what cannot be seen too:
there such texts get a leading apostrophe. Numbers stay numbers in every format, negative ones too; JSON and Parquet
keep texts as they are.
Answers (`--table answers`, JSON Lines) are what another Bakeoff imports; the whole store is copied by
`results.store.merge`, not here.

Try: bakeoff export scores.csv · bakeoff export curves.parquet --table points
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.errors import BakeoffError
from results.records import Outcome

if TYPE_CHECKING:
    from results.store.store import Store

Row = Mapping[str, Any]

FORMULA = frozenset("=+-@\u2212\t\r\n")
"""What a spreadsheet takes for the start of a formula (OWASP, CSV injection), in any width or height of the sign."""
BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Signs without ink that Unicode counts among the letters and marks."""

BATCH = 50_000
"""Rows held in memory at once: ten million points take the memory of these."""


def export_table(store: Store, path: str | Path, table: str = "scores") -> int:
    """Write one table to a new file; returns how many rows. `table` is a key of TABLES.

    Raises: BakeoffError for an unknown table or ending, a file that exists, or a folder that cannot be written.
    """
    path = Path(path).expanduser()
    if table not in TABLES:
        raise BakeoffError(f"No table {table!r}. There are: {', '.join(TABLES)}")
    write = FORMATS.get(path.suffix.lower())
    if write is None:
        raise BakeoffError(f"{path.name}: its ending names no format. Known: {', '.join(FORMATS)}")
    if path.exists():
        raise BakeoffError(f"{path} exists; name a file that does not")
    # beside the file and renamed when whole: nobody finds half a table
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        count = write(part, TABLES[table](store))
        part.replace(path)
    except OSError as error:
        raise BakeoffError(f"cannot write {path}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def neutral(value: Any) -> Any:
    """A cell for a spreadsheet: a text that it would run gets a leading apostrophe; numbers stay as they are."""
    return "'" + value if isinstance(value, str) and begins_formula(value) else value


def begins_formula(text: str) -> bool:
    """Whether a spreadsheet may run this text: a sign of a formula stands first, or first of what can be seen.

    Spaces of every kind, marks of direction, zero-width signs, fillers and variation selectors are no ink.
    """
    for character in text:
        if unicodedata.normalize("NFKC", character)[:1] in FORMULA or character in FORMULA:
            return True
        blank = character.isspace() or character in BLANK or "\ufe00" <= character <= "\ufe0f"
        if not blank and unicodedata.category(character)[0] != "C":
            return False
    return False


def _records(found: Iterable[Any]) -> Iterator[Row]:
    """Frozen records as rows: nested values as JSON texts."""
    for one in found:
        yield {field.name: _flat(getattr(one, field.name)) for field in dataclasses.fields(one)}


def _runs(store: Store) -> Iterator[Row]:
    for summary in store.runs.list():
        row = next(_records([summary.run]))
        yield {**row, "steps": summary.steps, "last_loss": summary.last_loss,
               "best_validation_loss": summary.best_validation_loss, "best_step": summary.best_step}  # fmt: skip


def _points(store: Store) -> Iterator[Row]:
    for summary in store.runs.list():
        for metric in store.curves.metrics(summary.run.id):
            steps, values = store.curves.read(summary.run.id, metric)
            for step, value in zip(steps, values, strict=True):
                yield {"run_id": summary.run.id, "run": summary.run.name, "metric": metric, "step": int(step),
                       "value": float(value)}  # fmt: skip


def _outcomes(store: Store) -> Iterator[Row]:
    for evaluation in store.evaluations.list():
        for row in _records(store.evaluations.outcomes(evaluation.id)):
            yield {"evaluation_id": evaluation.id, "model_id": evaluation.model_id,
                   "benchmark": evaluation.benchmark, **row}  # fmt: skip


def answer_lines(store: Store, benchmark: str) -> bytes:
    """The answers to one test as `export answers.jsonl --table answers` writes them: JSON Lines, ASCII."""
    return "".join(_json(row) + "\n" for row in _answers(store, benchmark)).encode("ascii")


def _answers(store: Store, benchmark: str | None = None) -> Iterator[Row]:
    """Outcomes as `results.importers` makes evaluations of them again: what else belongs to one is in its first row."""
    evaluations = store.evaluations.list(benchmark=benchmark)
    models = {one.id: one for one in store.models.list()}
    machines = {one.id: one for one in store.machines.list()}
    for evaluation in evaluations:
        outcomes = store.evaluations.outcomes(evaluation.id)
        model, machine = models[evaluation.model_id], machines.get(evaluation.machine_id)
        belongs = {"evaluation": dataclasses.asdict(evaluation), "model": dataclasses.asdict(model)}
        if machine is not None:
            belongs["machine"] = dataclasses.asdict(machine)
        head: str | None = _flat({**belongs, "outcomes": len(outcomes)})
        told = {"evaluation_id": evaluation.id, "benchmark": evaluation.benchmark, "model": model.name}
        for row in _records(outcomes) if outcomes else [dict.fromkeys(one.name for one in dataclasses.fields(Outcome))]:
            yield {**told, **row, "head": head}
            head = None


def _scores(store: Store) -> Iterator[Row]:
    return _records(store.evaluations.scores())


def _models(store: Store) -> Iterator[Row]:
    return _records(store.models.list())


def _votes(store: Store) -> Iterator[Row]:
    return _records(store.votes.list())


def _published(store: Store) -> Iterator[Row]:
    return _records(store.published.list())


TABLES: Mapping[str, Callable[[Store], Iterable[Row]]] = {
    "scores": _scores,
    "runs": _runs,
    "points": _points,
    "models": _models,
    "outcomes": _outcomes,
    "answers": _answers,
    "votes": _votes,
    "published": _published,
}
"""Table → its rows."""


def _flat(value: Any) -> Any:
    """A cell: a scalar, or JSON for what is nested."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str, sort_keys=isinstance(value, Mapping))
    return value


def _write_csv(path: Path, rows: Iterable[Row]) -> int:
    count, names = 0, None
    # the byte-order mark makes Excel read UTF-8; a lone surrogate in a model's answer has no bytes of its own
    with path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        for row in rows:
            if names is None:
                names = list(row)
                writer.writerow(names)
            writer.writerow([_csv_cell(row[name]) for name in names])
            count += 1
    return count


def _csv_cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": " -Infinity"}[str(value)]  # the blank: no formula
    return neutral(value)


def _write_json(path: Path, rows: Iterable[Row]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(("[\n" if count == 0 else ",\n") + _json(row))
            count += 1
        file.write("\n]\n" if count else "[]\n")
    return count


def _write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(_json(row) + "\n")
            count += 1
    return count


def _json(row: Row) -> str:
    """Strict JSON: NaN and infinities as words, lone surrogates escaped."""
    safe = {
        name: str(value).replace("inf", "Infinity").replace("nan", "NaN")
        if isinstance(value, float) and not math.isfinite(value)
        else value
        for name, value in row.items()
    }
    return json.dumps(safe, allow_nan=False)


def _write_parquet(path: Path, rows: Iterable[Row]) -> int:
    """Column types come from the first batch: of points and scores every value is a float from the start."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    left, writer, schema, count = iter(rows), None, None, 0
    try:
        while batch := list(islice(left, BATCH)):
            safe = [{name: _parquet_cell(value) for name, value in row.items()} for row in batch]
            if schema is None:
                found = pa.Table.from_pylist(safe).schema
                schema = pa.schema([(one.name, _column_type(pa, one.type)) for one in found])
                writer = pq.ParquetWriter(path, schema)
            assert writer is not None
            writer.write_table(pa.Table.from_pylist(safe, schema=schema))
            count += len(batch)
        if writer is None:
            pq.write_table(pa.table({}), path)
    finally:
        if writer is not None:
            writer.close()
    return count


def _column_type(pa: Any, found: Any) -> Any:
    """A column of nothing but None has no type of its own: text, which None fits."""
    return pa.string() if pa.types.is_null(found) else found


def _parquet_cell(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


FORMATS: Mapping[str, Callable[[Path, Iterable[Row]], int]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}
"""A file's ending → its writer."""
