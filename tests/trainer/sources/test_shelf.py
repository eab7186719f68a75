"""Rows on a shelf are the rows that were put there, take next to no memory, and leave no file behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from trainer import Conversation
from trainer.sources import shelf
from trainer.sources.shelf import Picked, Shelf

PLAIN = Conversation(({"role": "user", "content": "où?"}, {"role": "assistant", "content": "ici \udcff"}), "s", 0)
RICH = Conversation(
    (
        {"role": "user", "content": "Oslo?"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "Ask.",
            "train": False,
            "tool_calls": [
                {"type": "function", "function": {"name": "weather", "arguments": {"days": [1, 2.5, None]}}}
            ],
        },
        {"role": "tool", "content": "rain", "name": "weather"},
        {"role": "assistant", "content": "It rains."},
    ),
    "s",
    1,
    {"score": float("inf"), "id": 10**30},
    ({"type": "function", "function": {"name": "weather", "parameters": {}}},),
)


def filled(count: int, text: str = "") -> Shelf:
    rows = Shelf()
    for number in range(count):
        one = RICH if number % 3 else PLAIN
        turns = ({"role": "user", "content": f"{number} {text}"}, *one.messages[1:])
        rows.append(replace(one, messages=turns, row=number))  # type: ignore[arg-type]
    return rows


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_rows_come_back_as_they_were_from_memory_and_from_the_disk(cache: Path) -> None:
    few, many = filled(100), filled(9000, "x" * 500)
    assert not cache.exists() or not [*cache.iterdir()], "few rows need no file, and many leave none"
    assert few[0] == replace(PLAIN, messages=({"role": "user", "content": "0 "}, *PLAIN.messages[1:]))
    for rows in (few, many):
        assert [row.row for row in rows] == [*range(len(rows))]
        assert rows[-1].row == len(rows) - 1 and rows[-1].tools == (RICH if (len(rows) - 1) % 3 else PLAIN).tools
        assert rows[7].messages[1:] == RICH.messages[1:] and rows[7].extra == RICH.extra
        with pytest.raises(IndexError):
            rows[len(rows)]


def test_picked_rows_are_a_sequence_like_any_other(cache: Path) -> None:
    rows = filled(10)
    backwards = Picked(rows, range(9, -1, -1))
    some = Picked(backwards, [0, 0, 9])
    assert [row.row for row in backwards] == [*range(9, -1, -1)]
    assert [row.row for row in some] == [9, 9, 0] and len(some) == 3
    assert [row.row for row in backwards[2:4]] == [7, 6] and backwards[-1].row == 0
    assert backwards == [*reversed([*rows])] and backwards != rows and Picked([PLAIN], [0]) == (PLAIN,)


def test_a_row_on_the_shelf_takes_some_bytes_of_memory(cache: Path) -> None:
    tracemalloc.start()
    try:
        rows = filled(20_000, "x" * 500)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < shelf.UNWRITTEN_BYTES * 1.5 + 20 * len(rows), f"{held / len(rows):.0f} bytes a row"


FULL = """
import resource, signal, sys
from trainer import Conversation, TrainerError
from trainer.sources.shelf import Shelf
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
rows = Shelf()
row = Conversation(({"role": "user", "content": "x" * 100_000}, {"role": "assistant", "content": "y"}), "s", 0)
try:
    for _ in range(100):
        rows.append(row)
except TrainerError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_is_named_with_the_remedy(cache: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, env=os.environ, check=True)
    [line] = done.stdout.splitlines()
    assert str(cache) in line and "File too large" in line and "BAKEOFF_CACHE" in line
