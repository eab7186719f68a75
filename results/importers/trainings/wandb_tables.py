"""W&B's CSV exports, and tables of their shapes from anywhere. The header tells them apart:

    runs table   "Name","State",…,"learning_rate","eval/loss"     one row a run: its settings and its last values
    chart        "Step","rank8 - train/loss","rank8 - train/loss__MIN",…     a column for each run and metric
    history      "_step","train/loss",…       the rows of one run; with a column of names, of several

The x axis may be steps, epochs or time. Where it is not made of whole numbers the points are numbered in its order, and
that is said, as is every column that is not used. Two rows that give a metric two values at one step are not one run.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results.importers.names import called_after
from results.importers.parcels import Curves, ImportedRun, Parcel, same
from results.importers.reading import read_text, whole
from results.importers.refusals import refused, unknown
from results.importers.trainings.trackers import Told, cell_number, put, run_of
from results.importers.trainings.wandb_runs import is_runs_table, read_runs_table
from results.records import digest

STEPS = (
    "train/global_step",
    "trainer/global_step",
    "global_step",
    "step",
    "_step",
    "current_steps",
    "iteration",
    "iter",
)
"""Columns of steps, the optimizer's before the logger's."""

EPOCHS = ("epoch", "train/epoch", "trainer/epoch", "epochs")
TIMES = (
    "relative time (process)", "relative time (wall)", "relative time", "_runtime", "time", "wall time", "_timestamp",
    "timestamp", "elapsed_time", "runtime",
)  # fmt: skip

CLOCKS = ("_timestamp", "timestamp", "wall time", "wall_time")
"""Columns that say when a point was logged."""

OF_ALL = "global_step/max_steps"
"""ms-swift's step, "20/100"."""

IDS = ("run_id", "run id")
"""Columns that tell runs of one name apart."""

NAMES = ("name", "run", "run_name", "run name", "display_name", "run_id", "id")
"""Columns that tell the runs of one table apart."""


@dataclass
class _Table:
    """A CSV file."""

    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]
    """(line, cells); as many cells as the header has."""
    notes: list[str] = field(default_factory=list)
    decimal_comma: bool = False
    kind: str = "W&B CSV"
    tool: str = "W&B"
    without_settings: str = "a CSV export"

    def number(self, cell: str) -> float | None:
        """A cell's number; None for an empty cell or a word."""
        return cell_number(cell.replace(",", ".") if self.decimal_comma else cell)

    def column(self, names: Sequence[str], filled: bool = True) -> int | None:
        """The first column of one of these names; filled: that has a number in every row."""
        lower = [cell.lower() for cell in self.header]
        for name in names:
            if name in lower and (
                not filled or all(self.number(row[lower.index(name)]) is not None for _, row in self.rows)
            ):
                return lower.index(name)
        return None


@dataclass
class _Axis:
    """Where the points stand."""

    columns: tuple[int, ...]
    """Columns that say it, the one that is used first."""
    steps: dict[int, int]
    """Line → step."""
    said: tuple[str, ...] = ()


def read_csv(path: Path) -> Parcel:
    """Any of the exports. Raises: ImportRefused naming the file, the line and what is wrong."""
    return _parcel(_table(path))


def is_history_line(row: object) -> bool:
    """Whether a line of JSON Lines is a point of a history: W&B's own file, ms-swift's log and their kin."""
    if not isinstance(row, Mapping):
        return False
    numbers = sum(isinstance(value, int | float) and not isinstance(value, bool) for value in row.values())
    return (OF_ALL in row and numbers > 0) or (any(name in row for name in STEPS) and numbers > 1)


def read_history_lines(path: Path, lines: Iterable[tuple[int, Any]]) -> Parcel:
    """A history in JSON Lines, an object a point. Raises: ImportRefused naming the file, the line and what is wrong."""
    rows = [(number, row) for number, row in lines if isinstance(row, Mapping)]
    stepped = [(number, _with_step(row)) for number, row in rows if any(name in row for name in (*STEPS, OF_ALL))]
    header = list(dict.fromkeys(str(key) for _, row in stepped for key in row))
    cells = [(number, [_cell(row.get(name)) for name in header]) for number, row in stepped]
    table = _Table(path, header, cells, kind="JSON Lines history", tool="history", without_settings="a history")
    if len(stepped) < len(rows):
        table.notes.append(f"{len(rows) - len(stepped)} of {len(rows)} lines have no step and are left out")
    return _parcel(table)


def _with_step(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row with ms-swift's step as a number."""
    if OF_ALL not in row:
        return row
    done = str(row[OF_ALL]).partition("/")[0]
    return {"global_step": done, **{key: value for key, value in row.items() if key not in (OF_ALL, "global_step")}}


def _cell(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _parcel(table: _Table) -> Parcel:
    path = table.path
    if [cell.lower() for cell in table.header] == ["wall time", "step", "value"]:
        return _tensorboard(table)
    if is_runs_table(table.header, [row for _, row in table.rows]):
        return read_runs_table(path, table.header, table.rows)
    twice = [cell for cell in dict.fromkeys(table.header) if table.header.count(cell) > 1 and " - " not in cell]
    if twice:
        raise refused(path, f"two columns have one name: {twice[0][:60]!r}")
    wide = [cell for cell in table.header if " - " in cell]
    name = table.column(NAMES, filled=False)
    if wide or name is None:
        runs = _by_column(table, _axis(table, table.rows))
    else:
        runs = _by_row(table, name)
    if not runs:
        raise refused(path, "holds no numbers beside its steps")
    return Parcel(table.kind, tuple(runs), notes=tuple(table.notes))


def _table(path: Path) -> _Table:
    """The cells, in whichever dialect: comma, semicolon or tab; with a decimal comma where a semicolon separates."""
    text = read_text(path)
    first = text.split("\n", 1)[0]
    bare = re.sub(r'"[^"]*"', "", first)
    separator = max(",;\t", key=lambda one: (bare.count(one), one == ","))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = [cell.strip() for cell in next(rows)]
        body = [(rows.line_num, row) for row in rows if any(cell.strip() for cell in row)]
    except (csv.Error, StopIteration) as error:
        raise refused(path, f"not CSV: {error}") from error
    for line, row in body:
        if len(row) != len(header):
            raise refused(path, f"line {line} has {len(row)} cells, the header {len(header)}")
    return _Table(path, header, body, decimal_comma=separator == ";")


def _tensorboard(table: _Table) -> Parcel:
    """What TensorBoard's page downloads: one tag of one run, named by the file alone."""
    told = re.fullmatch(r"run-(?P<run>.+)-tag-(?P<tag>.+)", table.path.stem)
    axis = _axis(table, table.rows)
    curves = Curves()
    for step, value in _values(table, "Value", [(line, axis.steps[line], row[2]) for line, row in table.rows]):
        put(table.path, curves, re.sub(r"^(train|eval)_", r"\1/", told["tag"]) if told else "value", step, value)
    if not curves.points():
        raise refused(table.path, "holds no numbers beside its steps")
    run = _run(table, told["run"] if told else "", curves, axis, _cells(table, table.rows, range(3)))
    return Parcel("TensorBoard CSV", (run,), notes=tuple(table.notes))


def _axis(table: _Table, rows: Sequence[tuple[int, list[str]]]) -> _Axis:
    """Steps where there are any, else epochs, else times; numbered in their order where they are no whole numbers."""
    lower = [cell.lower() for cell in table.header]
    columns = [lower.index(name) for name in (*STEPS, *EPOCHS, *TIMES) if name in lower]
    if not columns:
        raise unknown(
            table.path,
            f"no step column ({', '.join(STEPS[:4])}, epoch, time) among: {', '.join(table.header)[:120]}",
            "A curve needs one, a table of runs a column Name; answers come as JSON Lines with task_id and completion",
        )
    steps = [column for column in columns if lower[column] in STEPS]
    filled = [one for one in steps if all(whole(table.number(row[one])) is not None for _, row in rows)]
    if steps and not filled:
        line, cell = next((line, row[steps[0]]) for line, row in rows if whole(table.number(row[steps[0]])) is None)
        raise refused(table.path, f"line {line}: the step is {cell[:40]!r}")
    if filled:
        return _Axis((filled[0], *(one for one in steps if one != filled[0])), _whole_steps(table, rows, filled[0]))
    column = columns[0]
    values = {line: table.number(row[column]) for line, row in rows}
    if None in values.values():
        line, cell = next((line, row[column]) for line, row in rows if values[line] is None)
        raise refused(table.path, f"line {line}: {table.header[column]} is {cell[:40]!r}")
    if all(whole(value) is not None for value in values.values()) and lower[column] in EPOCHS:
        return _Axis(
            (column,), _whole_steps(table, rows, column), (f"steps: they are epochs ({table.header[column]})",)
        )
    ordered = {
        value: number for number, value in enumerate(sorted({one for one in values.values() if one is not None}), 1)
    }
    found = {line: ordered[value] for line, value in values.items() if value is not None}
    return _Axis((column,), found, (f"steps: the points are numbered in the order of {table.header[column]}",))


def _whole_steps(table: _Table, rows: Sequence[tuple[int, list[str]]], column: int) -> dict[int, int]:
    return {line: whole(table.number(row[column])) or 0 for line, row in rows}


def _by_column(table: _Table, axis: _Axis) -> list[ImportedRun]:
    """A chart's runs, or the one run that a history is of."""
    kept, bounds = [], 0
    times: dict[str, int] = {}
    for index, cell in enumerate(table.header):
        if index in axis.columns:
            continue
        if cell.endswith(("__MIN", "__MAX")):
            bounds += 1
            continue
        if _is_clock(table, cell):
            continue
        if not cell:
            table.notes.append("a column without a name is left out")
            continue
        name, dash, metric = cell.rpartition(" - ")
        if dash and metric.lower() in STEPS:
            continue  # a chart over another axis repeats each run's own steps
        times[cell] = times.get(cell, 0) + 1
        name = f"{name} ({times[cell]})" if times[cell] > 1 else name
        kept.append((index, name if dash else "", metric if dash else cell))
    if bounds:
        table.notes.append("minima and maxima (__MIN, __MAX) that W&B adds to a sampled curve are left out")
    if any(count > 1 for count in times.values()):
        table.notes.append("several runs have one name: they are numbered in the order of their columns")
    curves: dict[str, Curves] = {}
    for index, name, metric in kept:
        cells = [(line, axis.steps[line], row[index]) for line, row in table.rows]
        for step, value in _values(table, table.header[index], cells):
            put(table.path, curves.setdefault(name, Curves()), metric, step, value)
    own = {name: [index for index, other, _ in kept if other == name] for name in curves}
    return [_run(table, name, found, axis, _cells(table, table.rows, own[name])) for name, found in curves.items()]


def _by_row(table: _Table, column: int) -> list[ImportedRun]:
    """A history of several runs, told apart by a column of names, and by their ids where they have any."""
    ids = next((index for index, cell in enumerate(table.header) if cell.lower() in IDS and index != column), column)
    parts: dict[tuple[str, str], list[tuple[int, list[str]]]] = {}
    for line, row in table.rows:
        parts.setdefault((row[column].strip(), row[ids].strip()), []).append((line, row))
    shared = {name for name, count in Counter(name for name, _ in parts).items() if count > 1}
    runs = []
    for (name, identity), rows in parts.items():
        name = f"{name} ({identity})" if name in shared else name
        axis = _axis(table, rows)
        curves = Curves()
        for index, cell in enumerate(table.header):
            if index not in (column, ids, *axis.columns) and not _is_clock(table, cell):
                cells = [(line, axis.steps[line], row[index]) for line, row in rows]
                for step, value in _values(table, cell, cells):
                    put(table.path, curves, cell, step, value)
        if curves.points():
            runs.append(_run(table, name, curves, axis, _cells(table, rows, range(len(table.header)))))
    return runs


def _is_clock(table: _Table, name: str) -> bool:
    """Whether a column beside the axis says when points were logged, which is no curve; said once."""
    if name.lower() not in CLOCKS:
        return False
    note = f"{name} says when a point was logged and is left out"
    table.notes.extend([note] if note not in table.notes else [])
    return True


def _values(table: _Table, header: str, cells: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, float]]:
    """(step, value) of a column. Raises: ImportRefused where one step has two values."""
    seen: dict[int, tuple[int, float]] = {}
    words = 0
    for line, step, cell in cells:
        value = table.number(cell)
        if value is None:
            words += bool(cell.strip())
            continue
        before = seen.setdefault(step, (line, value))
        if not same(before[1], value):
            raise refused(
                table.path,
                f"{header[:60]} has two values at step {step} (lines {before[0]} and {line}): the rows of several runs "
                "without a column that names them; add one called Name",
            )
        yield step, value
    if words:
        note = f"{header[:60]}: {words} of {len(cells)} cells are no numbers and are left out"
        table.notes.extend([note] if note not in table.notes else [])


def _cells(table: _Table, rows: Sequence[tuple[int, list[str]]], columns: Iterable[int]) -> str:
    """Digest of a run's cells, words too; numbers however they are written."""
    shown = [*columns]
    cells = [[table.header[index] for index in shown]]
    for _, row in rows:
        cells.append(
            [row[index].strip() if (one := table.number(row[index])) is None else repr(one) for index in shown]
        )
    return digest(cells)


def _run(table: _Table, name: str, curves: Curves, axis: _Axis, rest: str) -> ImportedRun:
    """A run after its column, or after the file that is all its own."""
    beside = called_after(table.path, table.path.stem)
    told = Told(
        table.tool, name.strip() or beside.names[0], name.strip() or table.path.stem,
        missing=(f"the configuration: {table.without_settings} has none", *axis.said), place=f"{beside.place} {name}",
        names=() if name.strip() else beside.names[1:], former_name=name or table.path.stem, rest=rest,
    )  # fmt: skip
    return run_of(table.path, told, {}, curves)
