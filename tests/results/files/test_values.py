"""JSON of unknown origin: deep, endless, doubled and damaged values are one line that says where."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import FileUnreadable, json_lines, json_values, parse_json, read_json, text_lines
from results.files import values
from results.files.values import MOST_DEPTH, too_deep

PATH = Path("some.json")


@pytest.mark.parametrize("text", ["1", "NaN", "[1, {}]", '{"a": "[[[["}', "9" * 4000, '"\\ud800"'])
def test_values_are_those_of_python(text: str) -> None:
    assert repr(parse_json(text, PATH)) == repr(json.loads(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("9" * 5000, "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 101 + "]" * 101, "nested too deeply"),
        ('{"a":' * 200 + "1" + "}" * 200, "nested too deeply"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
    ],
)
def test_what_is_none_is_named(text: str, reason: str) -> None:
    with pytest.raises(FileUnreadable, match=reason) as caught:
        parse_json(text, PATH, once=True)
    assert str(caught.value).startswith("some.json: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("depth", [1, 2, MOST_DEPTH - 1, MOST_DEPTH, MOST_DEPTH + 1, 500])
def test_depth_is_told_wherever_it_lies(depth: int) -> None:
    nested: Any = []
    for level in range(depth - 1):
        nested = {"a": nested} if level % 2 else [1, nested, []]
    assert too_deep(nested) == (depth > MOST_DEPTH)
    text = json.dumps(["x"] * 300 + [{}] * 300 + [nested])
    if depth < MOST_DEPTH:
        assert parse_json(text, PATH) == json.loads(text)
    else:
        with pytest.raises(FileUnreadable, match="nested too deeply"):
            parse_json(text, PATH)


JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('\\",[{ a', max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('\\",[{', max_size=3), inner, max_size=3),
)


@given(JSON, st.integers(1, 9))
def test_what_texts_hold_is_not_counted_wherever_the_count_is_cut(value: Any, window: int) -> None:
    text = json.dumps(value)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    before, values.WINDOW = values.WINDOW, window
    try:
        assert json_values(text, 0) == 1 + sum(bare.count(mark) for mark in ",[{")
    finally:
        values.WINDOW = before


def test_many_small_values_are_refused_before_they_are_made(tmp_path: Path) -> None:
    """Two bytes each in the file, 64 in memory."""
    (tmp_path / "many.json").write_bytes(b"[" + b"[]," * 5_100_000 + b"[]]")
    with pytest.raises(FileUnreadable, match="more than 10,000,000 values"):
        read_json(tmp_path / "many.json")


def test_text_with_as_many_commas_is_text() -> None:
    assert len(parse_json(json.dumps({"a": "," * (values.MOST_VALUES + 1), 'b"': "\\"}), PATH)) == 2


def test_lines_are_counted_together(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text(f"{json.dumps([0] * 1_000_000)}\n" * 10)
    with pytest.raises(FileUnreadable, match="more than 10,000,000 values up to line 10"):
        list(json_lines(tmp_path / "many.jsonl"))


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    rows = [{"a": "x\u2028y\x85z"}, [1], "é"]
    text = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "rows.jsonl").write_bytes(text.encode(encoding))
        assert list(json_lines(tmp_path / "rows.jsonl")) == [(1, rows[0]), (3, rows[1]), (5, rows[2])]
        assert [line.strip() for _, line in text_lines(tmp_path / "rows.jsonl")] == text.split("\n\n")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"1\n{\n", "not valid JSON, line 2"),
        (b"1\n\n\xff\n", r"not UTF-8 text \(line 3, byte 0: 0xff\)"),
        (b"1\n" + b"[" * 5000, "nested too deeply, line 2"),
        ("1\n2".encode("utf-16")[:-1], "not UTF-16 text"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(data)
    with pytest.raises(FileUnreadable, match=reason):
        list(json_lines(tmp_path / "rows.jsonl"))
