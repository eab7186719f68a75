"""llama-bench's results, in each of its formats: JSON, JSON Lines, CSV, SQL and the Markdown that it prints.

One evaluation per model, machine and settings; its items are the tests (pp512, tg128, …). Everything that is neither
the test nor its result is a setting, so that lines which differ in anything stay apart; a test that was run again with
the same settings is another evaluation. These speeds are of synthetic tokens without template or server: benchmark
`llama-bench`, never `latency`.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from results.importers.names import Called, called_after, is_usual, path_names, short, source_of
from results.importers.parcels import (
    ImportedEvaluation,
    Parcel,
    canonical,
    foreign_machine,
    foreign_model,
    former_identity,
)
from results.importers.reading import moment, number, whole
from results.importers.refusals import refused
from results.importers.scores.answers import stem_of
from results.records import Evaluation, Form, Outcome, Score, digest

TEST = ("n_prompt", "n_gen", "n_depth")
RESULT = ("avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples_ns", "samples_ts", "test_time", "test")
MODEL = ("model_filename", "model_type", "model_size", "model_n_params")
MACHINE = ("cpu_info", "gpu_info", "build_commit", "build_number")

HEADINGS = {
    "model": "model_type", "size": "model_size", "params": "model_n_params", "backend": "backends",
    "ngl": "n_gpu_layers", "threads": "n_threads", "sm": "split_mode", "fa": "flash_attn", "nkvo": "no_kv_offload",
    "mmap": "use_mmap", "ts": "tensor_split", "embd": "embeddings", "dev": "devices", "mg": "main_gpu",
    "t/s": "avg_ts",
}  # fmt: skip
"""Markdown's headings → fields; others are fields themselves, spelt with or without an underscore."""

UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def is_llama_bench(value: Any) -> bool:
    """Whether a JSON value, or a row of JSON Lines, is llama-bench's."""
    rows = value if isinstance(value, list) else [value]
    return bool(rows) and all(isinstance(row, Mapping) and "avg_ts" in row and "model_filename" in row for row in rows)


def is_csv_header(cells: Sequence[str]) -> bool:
    """Whether a table's first row is llama-bench's."""
    return {"model_filename", "avg_ts"} <= set(cells)


def read_llama_bench(path: Path, rows: Sequence[Mapping[str, Any]]) -> Parcel:
    """Lines as objects. Raises: ImportRefused naming the file and the test."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    times: dict[str, int] = {}
    for row in rows:
        if "avg_ts" not in row or not ("model_filename" in row or "model_type" in row):
            raise refused(path, "a row is not llama-bench's")
        about = {key: row.get(key) for key in (*MODEL, *MACHINE)} | _settings(row)
        group = json.dumps(canonical(about), sort_keys=True)
        test = f"{group} {_test(row)}"
        times[test] = times.get(test, 0) + 1
        groups.setdefault(f"{times[test]} {group}", []).append(row)
    if not groups:
        raise refused(path, "holds no measurement of llama-bench")
    return Parcel("llama-bench", evaluations=tuple(_bench(path, group) for group in groups.values()))


def csv_rows(path: Path, text: str) -> list[dict[str, Any]]:
    """The lines of `-o csv`, numbers as numbers."""
    try:
        header, *body = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise refused(path, f"not CSV: {error}") from error
    return [_row(path, f"line {line}", header, row) for line, row in enumerate(body, 2)]


def sql_rows(path: Path, text: str) -> list[dict[str, Any]]:
    """The rows that `-o sql` inserts; nothing of it is executed."""
    found = re.findall(r"INSERT\s+INTO\s+\w+\s*\(([^)]*)\)\s*VALUES\s*\((.*)\)\s*;", text, re.IGNORECASE)
    if len(found) != len(re.findall(r"\bINSERT\b", text, re.IGNORECASE)):
        raise refused(path, f"has {len(re.findall('INSERT', text))} INSERT, of which {len(found)} can be read")
    rows = []
    for place, (fields, values) in enumerate(found, 1):
        cells = [
            quoted.replace("''", "'") if quoted or not bare else bare
            for quoted, bare in re.findall(r"'((?:[^']|'')*)'|([^,\s']+)", values)
        ]
        rows.append(_row(path, f"INSERT {place}", [one.strip().strip('"`') for one in fields.split(",")], cells))
    return rows


def markdown_rows(path: Path, text: str) -> list[dict[str, Any]]:
    """The lines of the tables that llama-bench prints, with the build that it names below."""
    rows: list[dict[str, Any]] = []
    header: list[str] = []
    for place, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            header = []
        elif "t/s" in cells and "test" in cells:
            header = [HEADINGS.get(cell, cell) for cell in cells]
        elif header and not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            row = _row(path, f"line {place}", header, cells)
            rows.append(dict(_markdown_cells({key: str(cell) for key, cell in row.items()})))
    build = re.search(r"^build: (\w+) \((\d+)\)", text, re.MULTILINE)
    return [{**row, **({"build_commit": build[1], "build_number": int(build[2])} if build else {})} for row in rows]


def _row(path: Path, where: str, header: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """A line's cells under their headings."""
    if len(cells) != len(header) or len(set(header)) != len(header):
        raise refused(path, f"{where} has {len(cells)} values for {len(set(header))} fields")
    return {name: _typed(cell) for name, cell in zip(header, cells, strict=True)}


def is_markdown(text: str) -> bool:
    """Whether a text has the table that llama-bench prints."""
    return re.search(r"^\s*\|\s*model\s*\|.*\|\s*test\s*\|.*\bt/s\s*\|", text, re.MULTILINE) is not None


def _markdown_cells(row: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for key, cell in row.items():
        if key in ("model_size", "model_n_params"):
            amount, _, unit = cell.partition(" ")
            found = _float(amount)
            yield key, round(found * UNITS[unit]) if found is not None and unit in UNITS else cell
        elif key == "avg_ts":
            average, _, spread = cell.partition("±")
            yield key, _typed(average.strip())
            if spread:
                yield "stddev_ts", _typed(spread.strip())
        elif key == "test":
            # "pp512", "tg 128", "pp512+tg128", with " @ d4096"
            for kind, amount in re.findall(r"(pp|tg|d)\s*(\d+)", cell):
                yield {"pp": "n_prompt", "tg": "n_gen", "d": "n_depth"}[kind], int(amount)
            yield "test", cell
        else:
            yield key, _typed(cell)


def _settings(row: Mapping[str, Any]) -> dict[str, Any]:
    """All that is neither the model, the machine, the test nor its result."""
    known = (*TEST, *RESULT, *MODEL, *MACHINE)
    return {key: canonical(one) for key, one in row.items() if key not in known and one is not None}


def _called(path: Path, first: Mapping[str, Any]) -> Called:
    """The model by its file, with folders of it where tools call all files so; by its kind where there is no file."""
    about = {key: canonical(first[key]) for key in MODEL if first.get(key) is not None}
    told = str(first.get("model_filename") or "")
    beside = called_after(path, stem_of(path).removesuffix(".md").removesuffix(".csv").removesuffix(".sql"))
    names = path_names(told or str(first.get("model_type") or ""))
    place = json.dumps(about, sort_keys=True)
    if told and not is_usual(names[0]):
        size = f"{names[0]} ({first.get('model_size')} bytes)"
        return Called((*names[:3], short(size), short(f"{names[0]} in {beside.place}")), place)
    # a file of a default name, or none: another one in another place
    found = (
        *(short(f"{one}: {names[0]}") for one in beside.names),
        *(short(f"{beside.names[0]}: {one}") for one in names[1:]),
    )
    return Called(found, f"{place} {beside.place}", True)


def _bench(path: Path, rows: Sequence[Mapping[str, Any]]) -> ImportedEvaluation:
    first = rows[0]
    told = str(first.get("model_filename") or "").replace("\\", "/")
    file = told.rpartition("/")[2]
    called = _called(path, first)
    model = foreign_model(
        "llama-bench", called, base=file, form=_form(str(first.get("model_type", "")), file),
        size=max(0, min(whole(first.get("model_size")) or 0, 2**62)), parameters=whole(first.get("model_n_params")),
    )  # fmt: skip
    build = f"{first.get('build_commit', '')} ({first.get('build_number', '')})"
    machine = foreign_machine(
        str(first.get("cpu_info") or ""), str(first.get("gpu_info") or ""), versions={"llama.cpp": build}
    )
    scores, outcomes = [], []
    for row in rows:
        score, found = _measured(path, row)
        scores.append(score)
        outcomes += found
    evaluation = Evaluation(
        id="",
        model_id="",
        benchmark="llama-bench",
        settings=_settings(first),
        machine_id="",
        finished_at=moment(first.get("test_time")),
        origin="imported",
        source=f"{source_of(path)} (llama-bench {build})",
    )
    missing = ["time to first token with a chat template: llama-bench has none"]
    if not told:
        missing.append("the model's file: its kind is named after the place")
    former = former_identity("llama-bench", file.removesuffix(".gguf"))
    rest = digest(canonical(rows))
    return ImportedEvaluation(
        model, evaluation, machine, tuple(scores), tuple(outcomes), called, former, tuple(missing), rest
    )


def _measured(path: Path, row: Mapping[str, Any]) -> tuple[Score, list[Outcome]]:
    """A test's speed with its interval, and its repetitions."""
    test = _test(row)
    average = number(row["avg_ts"])
    if average is None or not math.isfinite(average) or average < 0:
        raise refused(path, f"{test}: avg_ts is {str(row['avg_ts'])[:40]!r}")
    nanoseconds = row.get("samples_ns") if isinstance(row.get("samples_ns"), list) else []
    speeds = row.get("samples_ts") if isinstance(row.get("samples_ts"), list) else []
    values = [found for one in speeds or () if (found := number(one)) is not None and math.isfinite(found)]
    low, high = None, None
    if len(values) > 1:
        from results.analysis import statistics  # scipy: a second for those who import no scores

        spread = statistics.mean_interval(values)
        low, high = (max(0.0, end) if math.isfinite(end) else None for end in (spread.low, spread.high))
    outcomes = []
    for sample, one in enumerate(nanoseconds or ()):
        seconds = number(one)
        details = {"tokens_per_second": values[sample]} if sample < len(values) else {}
        outcomes.append(Outcome(test, sample, None, None if seconds is None else seconds / 1e9, details))
    if not outcomes and number(row.get("stddev_ts")) is not None:
        outcomes.append(
            Outcome(test, 0, None, None, canonical({"tokens_per_second": average, "stddev": row["stddev_ts"]}))
        )
    return Score(f"tokens_per_second_{test}", average, low, high, max(1, len(values))), outcomes


def _test(row: Mapping[str, Any]) -> str:
    """llama-bench's own label of a test: pp512, tg128, pp512+tg128, with @ d4096 for a filled context."""
    prompt, generated, depth = (whole(row.get(key)) or 0 for key in TEST)
    parts = [f"pp{prompt}"] * bool(prompt) + [f"tg{generated}"] * bool(generated)
    return "+".join(parts or [str(row.get("test") or "pp0")[:60]]) + (f"@d{depth}" if depth else "")


def _form(model_type: str, file: str) -> Form:
    """The quantization from llama-bench's model type ("llama 1B Q4_0") or the file's name."""
    forms: dict[str, Form] = {"Q8_0": "gguf-q8_0", "Q4_0": "gguf-q4_0", "F16": "gguf-f16"}
    for word, form in forms.items():
        if word in model_type.upper().split() or re.search(rf"[.-]{word}\.gguf$", file, re.IGNORECASE):
            return form
    return "gguf-other"


def _typed(cell: Any) -> Any:
    """A cell's number where it is one, else its text."""
    text = str(cell if cell is not None else "").strip()
    if re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    found = _float(text)
    return text if found is None else found


def _float(text: str) -> float | None:
    try:
        return float(text) if re.fullmatch(r"-?\d*\.?\d+(e[+-]?\d+)?", text, re.IGNORECASE) else None
    except ValueError:
        return None
