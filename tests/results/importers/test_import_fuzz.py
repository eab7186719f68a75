"""Damaged files of every kind: each is read or refused in one line, and nothing of it is lost in silence.

Some hundreds of files here; `BAKEOFF_FUZZ=10000` tries as many as it says.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from results import BakeoffError, ImportRefused, Store, import_path
from results.importers import read_file
from tests.damage import damaged
from tests.results import foreign

FILES = int(os.environ.get("BAKEOFF_FUZZ", "400"))
PARTS = 4
DELIVERED = 10
"""Of so many files one is also delivered into a store."""

ROWS = [
    {"task_id": f"HumanEval/{n}", "completion": f"    return {n}\n", "passed": n % 2 == 0, "result": ""}
    for n in range(4)
]
LABELS = [{"task_id": "Mbpp/2", "solution": "x", "base_status": "pass", "plus_status": "fail", "extra": [1]}]
CHAT = {"model": "gpt-x", "usage": {"tokens": 5}, "choices": [{"message": {"content": "y"}, "finish_reason": "stop"}]}
BATCH = [{"custom_id": "HumanEval/0", "response": {"status_code": 200, "body": CHAT}, "error": None}]
EVALPLUS = {"eval": {"HumanEval/0": [{"solution": "s", "base_status": "pass", "plus_status": "fail"}]}, "hash": "a"}
SAMPLES = [
    {"doc_id": n, "doc": {"q": n}, "target": "A", "resps": [["A"]], "filtered_resps": ["A"], "filter": "none",
     "metrics": ["acc"], "doc_hash": "ab", "acc": float(n % 2)} for n in range(3)]  # fmt: skip
FACTORY = [
    {"current_steps": n, "total_steps": 9, "loss": 1.0 / n, "lr": 1e-4, "elapsed_time": "0:01:05"} for n in (1, 2, 3)
]
CURVE = {"config": {"name": "n", "args": {"max_steps": "3"}}, "env": {"x": "1"}, "steps": [{"step": 1, "loss": 2.0}]}
BIGCODE = {"humaneval": {"pass@1": 0.25}, "config": {"model": "a/b", "tasks": "humaneval", "temperature": 0.2}}
RUNS = "Name,State,rank,eval/loss,_step\nr8,finished,8,1.5,300\nr16,crashed,16,1.4,300\n"
WIDE = '"Step","r8 - train/loss","r16 - eval/loss"\n"1","3.0",""\n"2","NaN","2.5"\n'
TABLE = "| model | size | backend | threads | test | t/s |\n| - | - | - | - | - | - |\n"
TABLE += "| llama 1B | 1.2 GiB | CPU | 2 | pp512 | 51.0 ± 0.2 |\n| llama 1B | 1.2 GiB | CPU | 2 | tg128 | 8.0 ± 0.1 |\n"


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def bench(form: str) -> str:
    keys = [key for key in foreign.LLAMA_BENCH if not key.startswith("samples")]
    values = [str(foreign.LLAMA_BENCH[key]) for key in keys]
    if form == "csv":
        return ",".join(keys) + "\n" + ",".join(f'"{one}"' for one in values) + "\n"
    return f"INSERT INTO test ({', '.join(keys)}) VALUES ({', '.join(repr(one) for one in values)});\n"


TEXTS: list[tuple[str, str]] = [
    ("trainer_state.json", json.dumps(foreign.trainer_state(3, 3))),
    ("trainer_log.jsonl", lines(FACTORY)),
    ("curve.json", json.dumps(CURVE)),
    ("all_results.json", '{"train_loss": 1.0, "train_runtime": 2.0, "eval_loss": 1.5, "note": "x"}'),
    ("samples.jsonl", lines(ROWS)),
    ("labels.jsonl", lines(LABELS)),
    ("batch.jsonl", lines(BATCH)),
    ("m_eval_results.json", json.dumps(EVALPLUS)),
    ("results.json", json.dumps(foreign.HARNESS_4)),
    ("old.json", json.dumps(foreign.HARNESS_3)),
    ("samples_arc_x.jsonl", lines(SAMPLES)),
    ("evaluation_results.json", json.dumps(BIGCODE)),
    ("generations.json", json.dumps([["def has_close_elements(a): pass"], ["b"]])),
    ("bench.json", json.dumps([foreign.LLAMA_BENCH])),
    ("bench.jsonl", lines([foreign.LLAMA_BENCH])),
    ("bench.csv", bench("csv")),
    ("bench.sql", bench("sql")),
    ("bench.md", TABLE),
    ("runs.csv", RUNS),
    ("wide.csv", WIDE),
    ("history.csv", "_step,loss,eval/loss,comment\n1.0,2.0,,fine\n2.0,1.5,1.6,\n"),
]
PLACES, LENGTHS = (1, 1, 1, 2, 5), (1, 4, 30, 200)
PIECES = (
    b"\x00", b"\xff", b"\xfe\xff", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b"\n", b"\r", b";", b"\t", b"null",
    b"NaN", b"1e999", b"-1", b'"step": 1', b'"task_id"', b"9" * 5000, b"[" * 3000, b"Name", b" - ", b"'",
    b"|", b"true", b"0.5",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**70,
    1.5,
    float("nan"),
    "",
    "x",
    "9" * 400,
    [],
    [1],
    {},
    {"a": 1},
    "HumanEval/9",
)


def kinds(folder: Path) -> list[tuple[str, bytes]]:
    """Every kind of file, whole."""
    events = foreign.events(folder / "e", [("train/loss", n, 1.0) for n in range(5)], 1e9, {"seed": 1})
    stores = [foreign.mlflow_sqlite(folder / "mlflow.db"), foreign.trackio_sqlite(folder / "trackio.db")]
    binary = [("events.out.tfevents.1.h", events.read_bytes()), *((one.name, one.read_bytes()) for one in stores)]
    return [(name, text.encode()) for name, text in TEXTS] + binary


def changed(value: Any, draws: random.Random) -> Any:
    """A JSON value with one part of it another, gone, or added."""
    if isinstance(value, dict) and value and draws.random() < 0.9:
        key = draws.choice(list(value))
        act = draws.randrange(6)
        if act == 0:
            return {one: part for one, part in value.items() if one != key}
        if act == 1:
            return {**value, draws.choice(("new", "model", "passed", "step")): draws.choice(VALUES)}
        return {**value, key: changed(value[key], draws)}
    if isinstance(value, list) and value and draws.random() < 0.9:
        place = draws.randrange(len(value))
        act = draws.randrange(6)
        if act == 0:
            return value[:place] + value[place + 1 :]
        if act == 1:
            return [*value, value[place]]
        return [*value[:place], changed(value[place], draws), *value[place + 1 :]]
    return draws.choice(VALUES)


def another(name: str, content: bytes, draws: random.Random) -> bytes:
    """A file like this one: its bytes damaged, or one of its values changed."""
    if name.endswith((".json", ".jsonl")) and draws.random() < 0.6:
        if name.endswith(".json"):
            return json.dumps(changed(json.loads(content), draws)).encode()
        rows = changed([json.loads(line) for line in content.splitlines()], draws)
        return lines(rows if isinstance(rows, list) else [rows]).encode()
    return damaged(content, draws, PIECES, PLACES, LENGTHS)


def value_of(name: str, content: bytes) -> str | None:
    """What a JSON or CSV file says, whatever its spaces; None for others and for what is neither."""
    try:
        text = content.decode("utf-8-sig")
        if name.endswith(".json"):
            return json.dumps(json.loads(text), sort_keys=True)
        if name.endswith(".jsonl"):
            return json.dumps([json.loads(line) for line in text.split("\n") if line.strip()], sort_keys=True)
        if name.endswith(".csv"):
            rows = csv.reader(io.StringIO(text, newline=""))
            return json.dumps([[cell_of(cell) for cell in row] for row in rows if any(cell.strip() for cell in row)])
    except (ValueError, RecursionError, csv.Error):
        pass
    return None


def cell_of(cell: str) -> str:
    """A cell's number as Python writes it, else its text."""
    try:
        return repr(float(cell))
    except ValueError:
        return "".join(cell.split())


def said(path: Path) -> str:
    """Everything that comes of a file, in one text."""
    parcel = read_file(path)
    runs = [[one.content, one.missing, one.called.names] for one in parcel.runs]
    return repr([runs, [[one.content, one.missing, one.called.names] for one in parcel.evaluations], parcel.notes])


@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_file_is_read_or_refused_and_loses_nothing(store: Store, tmp_path: Path, part: int) -> None:
    whole = kinds(tmp_path)
    before = {}
    for name, content in whole:
        (tmp_path / name).write_bytes(content)
        before[name] = said(tmp_path / name)
    for seed in range(part, FILES, PARTS):
        draws = random.Random(seed)
        name, content = draws.choice(whole)
        made = another(name, content, draws)
        path = tmp_path / name
        path.write_bytes(made)
        try:
            found = said(path)
            if seed % DELIVERED == part:
                import_path(path, store)
        except ImportRefused as error:
            assert name in str(error) and "\n" not in str(error).strip() and len(str(error)) < 1500, seed
            continue
        except BakeoffError as error:  # a name that no key of the store can hold
            assert "\n" not in str(error).strip(), seed
            continue
        value = value_of(name, made)
        if value is not None and value != value_of(name, content):
            assert found != before[name], f"{seed}: {made!r:.400}"
