"""Damaged files of every kind: each is read or refused in words, and no row is lost in silence.

Some hundreds of files here; `BAKEOFF_FUZZ=10000` tries as many as it says.
"""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from tests.damage import damaged
from trainer import TrainerError
from trainer.bases.miniature_tokenizers import miniature_tokenizer
from trainer.data.chat_masks import mask_conversations
from trainer.experiment.schema import Columns, Source
from trainer.sources.reading import examined

FILES = int(os.environ.get("BAKEOFF_FUZZ", "400"))
TOKENISED = 6
"""Rows of a file that are tokenised too."""

tokenizer_of = cache(miniature_tokenizer)

CALL = {"type": "function", "function": {"name": "sky", "arguments": '{"city": "Oslo"}'}}
TURNS = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": "a", "weight": 0},
    {"role": "user", "content": "r"},
    {"role": "assistant", "content": "b", "reasoning_content": "hm"},
]
CALLING = [
    {"role": "user", "content": [{"type": "text", "text": "q"}]},
    {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]},
    {"role": "tool", "content": "grey"},
    {"role": "assistant", "content": "Grey."},
]
SHARED = [{"from": "human", "value": "Größe?"}, {"from": "gpt", "value": "日本"}]
ROWS: list[dict[str, Any]] = [
    {"instruction": "And the third?", "input": 3, "output": "Neptune.", "system": "Terse.", "history": [["a", "b"]]},
    {"conversations": SHARED, "tools": '[{"name": "x"}]'},
    {"messages": TURNS},
    {"messages": CALLING},
    {"question": "Which?", "context": {"sentences": [["Long."], ["Short."]]}, "answer": "Nile", "label": True},
    {"prompt": "q", "chosen": "a", "rejected": "b"},
]
TABLE = [{"prompt": f"question {n}, señor", "completion": f'an "answer"; {n}', "note": str(n)} for n in range(6)]


def json_lines() -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def array() -> bytes:
    return json.dumps(ROWS, indent=1, ensure_ascii=False).encode()


def wrapped() -> bytes:
    return json.dumps({"version": 1, "data": ROWS}).encode()


def table(delimiter: str, encoding: str) -> bytes:
    import csv

    text = io.StringIO()
    writer = csv.DictWriter(text, list(TABLE[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(TABLE)
    return text.getvalue().encode(encoding)


def columns(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def stream() -> bytes:
    sink = io.BytesIO()
    table = pa.Table.from_pylist(TABLE)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


KINDS: list[tuple[str, Callable[[], bytes]]] = [
    (".jsonl", json_lines),
    (".jsonl", array),
    (".json", array),
    (".json", wrapped),
    (".json", json_lines),
    (".jsonl", lambda: json_lines().decode().encode("utf-16")),
    (".csv", lambda: table(",", "utf-8")),
    (".csv", lambda: table(";", "cp1252")),
    (".tsv", lambda: table("\t", "utf-16-le")),
    (".parquet", lambda: columns(TABLE)),
    (".arrow", stream),
    (".parquet", lambda: columns([ROWS[2], ROWS[1]])),
]

PLACES, LENGTHS = (1, 1, 2, 5, 20), (1, 4, 30, 400)
PIECES = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b"\n", b"\r", b";",
    b"\t", b"null", b"NaN", b"1e999", b'\\ud800', b'"role": 3', b'"content": null', b'"weight": "x"', b"\xf1",
    b"sep=;\n", b'"tools": {}', b'"messages": "[{"', b"'", b"<think>", b"</think>", b"9" * 5000, b"[" * 2000,
)  # fmt: skip


@pytest.mark.parametrize("part", range(8))
def test_a_damaged_file_is_read_or_refused_and_loses_no_row(tmp_path: Path, part: int) -> None:
    made = [(suffix, make()) for suffix, make in KINDS]
    for seed in range(part, FILES, 8):
        draws = random.Random(seed)
        suffix, content = draws.choice(made)
        path = tmp_path / f"rows{suffix}"
        path.write_bytes(damaged(content, draws, PIECES, PLACES, LENGTHS))
        mapped = Columns(prompt="{prompt}", answer="{completion}") if seed % 7 == 0 else None
        try:
            rows, report = examined(Source(name=str(path), columns=mapped))
        except TrainerError as error:
            assert str(path) in str(error) and "\n" not in str(error).strip(), seed
            continue
        assert report["read"] == len(rows) + sum(found["rows"] for found in report["bad"].values()), seed
        json.dumps(report).encode("ascii")
        style = draws.choice(("llama", "qwen3", "gemma"))
        some = rows[:TOKENISED]
        masked = mask_conversations(some, tokenizer_of(style), 400)
        lost = sum(found["rows"] for found in masked.left_out.values())
        assert len({*masked.kept}) + lost >= len(some), seed
