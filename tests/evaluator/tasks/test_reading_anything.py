"""Any file is read whole or refused in one line: mutated files of answers and of tasks, of every shape.

BAKEOFF_FUZZ=10000 tries so many files; a normal run some hundreds. What fails names its seed.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator import BenchmarkUnreadable, SamplesUnreadable, load_benchmark, read_samples
from evaluator.tasks.samples import matched
from tests.evaluator.tasks.test_evalplus_and_mbpp import INPUTS, MBPP_KINDS, OWN_TEST
from tests.evaluator.tasks.test_samples import ZOO

TRIES = int(os.environ.get("BAKEOFF_FUZZ", "400"))
TASKS = load_benchmark("humaneval")
STRANGE: tuple[Any, ...] = (
    None, True, 0, -1, 2.5, 1e400, 10**30, "", "x", "\ud800", "\x00", "HumanEval/0", "mbpp/2", "passed",
    [], {}, [[]], [None], ["a", 1], [[["deep"]]], {"a": 1}, {"error": "busy"},
    {"choices": [{"message": {"content": None}}]},
)  # fmt: skip
ANSWER_FILES = [list(rows) if isinstance(rows, list) else json.loads(f"[{rows}]") for rows, _ in ZOO.values()
                if isinstance(rows, list)]  # fmt: skip
TASK_FILES = [[row] for row, _ in MBPP_KINDS.values()] + [[INPUTS], [{**INPUTS, "test": OWN_TEST}]]


def mutated(value: Any, source: random.Random) -> Any:
    """A copy of a JSON value with something of it gone, doubled, renamed or strange."""
    if isinstance(value, dict) and value and source.random() < 0.9:
        changed = dict(value)
        key = source.choice(list(changed))
        act = source.randrange(5)
        if act == 0:
            del changed[key]
        elif act == 1:
            name = source.choice([key.upper(), f"{key}s", "", "task_id", "samples", "eval", "data", "test"])
            changed[name] = changed.pop(key)
        elif act == 2:
            changed[key] = source.choice(STRANGE)
        else:
            changed[key] = mutated(changed[key], source)
        return changed
    if isinstance(value, list) and value and source.random() < 0.9:
        place = source.randrange(len(value))
        put = source.choice([[], [value[place]] * 2, [source.choice(STRANGE)], [mutated(value[place], source)]])
        return [*value[:place], *put, *value[place + 1 :]]
    return source.choice(STRANGE)


def written(rows: list[Any], source: random.Random) -> bytes:
    """Rows as a file: in lines or as an array, zipped, cut, of another encoding, or with strange bytes in it."""
    text = source.choice([
        lambda: "\n".join(json.dumps(row) for row in rows),
        lambda: json.dumps(rows, indent=1),
        lambda: json.dumps(rows),
        lambda: "\r\n".join(json.dumps(row, ensure_ascii=True) for row in rows) + "\r\n\r\n",
        lambda: "\n".join(json.dumps(row, indent=2) for row in rows), lambda: ",\n".join(map(json.dumps, rows)),
    ])()  # fmt: skip
    data = text.encode(source.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]), "replace")
    if source.random() < 0.3:
        place, length = source.randrange(len(data) + 1), source.randrange(4)
        data = data[:place] + source.randbytes(length) + data[place + source.randrange(3) :]
    if source.random() < 0.2:
        data = gzip.compress(data, mtime=0)
    return data[: source.randrange(len(data) + 1)] if source.random() < 0.1 else data


def refused_or(read: Callable[[], Any], refusal: type[Exception]) -> Any:
    """What is read, or None where the file is refused in one line that says something. Anything else is raised."""
    try:
        return read()
    except refusal as error:
        assert len(str(error)) > 20 and "\n" not in str(error), repr(str(error))
        return None


@pytest.mark.parametrize("kind", ["answers", "tasks"])
def test_any_file_is_read_or_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "any.jsonl"
    read = 0
    for seed in range(TRIES):
        source = random.Random(f"{kind} {seed}")
        rows = source.choice(ANSWER_FILES if kind == "answers" else TASK_FILES)
        for _ in range(source.randrange(4)):
            rows = mutated(rows, source)
        path.write_bytes(written(rows if isinstance(rows, list) else [rows], source))
        try:
            if kind == "answers":
                found = refused_or(lambda: matched(read_samples(path), TASKS), SamplesUnreadable)
            else:
                found = refused_or(lambda: load_benchmark(path), BenchmarkUnreadable)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {path.read_bytes()[:500]!r}") from error
        read += found is not None
    assert TRIES / 10 < read < TRIES, "the mutations are neither too mild nor too wild"


def test_no_answer_is_dropped(tmp_path: Path) -> None:
    """Whatever else changes: each text of a readable file is an answer, in the file's order."""
    path = tmp_path / "answers.jsonl"
    for seed in range(TRIES):
        source = random.Random(seed)
        rows, texts = [], []
        for number in range(source.randrange(1, 6)):
            some = [f"text {seed} {number} {one}" for one in range(source.randrange(1, 4))]
            field, value = source.choice([
                ("completion", some), ("solution", some[0]), ("samples", some), ("completion", some[0]),
                ("completion", {"choices": [{"text": one} for one in some]}), ("solutions", some),
                ("completions", [{"text": one} for one in some]),
            ])  # fmt: skip
            texts += some[:1] if isinstance(value, str) else some
            name = source.choice([f"HumanEval/{number}", number, f"humaneval_{number}"])
            extra = {f"field {one}": source.choice(STRANGE) for one in range(source.randrange(3))}
            rows.append({"task_id": name, field: value, **extra})
        path.write_text("\n".join(map(json.dumps, rows)))
        answers, _ = matched(read_samples(path), TASKS)
        assert sorted(one.code for one in answers) == sorted(texts), f"seed {seed}"
        assert len({(one.task_id, one.sample) for one in answers}) == len(texts)
        assert {one.task_id for one in answers} <= {task.id for task in TASKS}


def test_parquet_is_read_or_refused(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    held = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist([{"task_id": "HumanEval/0", "solution": ["a", "b"]}]), held)
    path = tmp_path / "answers.parquet"
    path.write_bytes(held.getvalue())
    assert [(one.code, one.kind) for one in read_samples(path)] == [("a", "solution"), ("b", "solution")]
    for seed in range(TRIES // 4):
        source = random.Random(seed)
        data = bytearray(held.getvalue())
        for _ in range(source.randrange(1, 8)):
            data[source.randrange(4, len(data))] = source.randrange(256)
        path.write_bytes(bytes(data))
        refused_or(lambda: read_samples(path), SamplesUnreadable)
