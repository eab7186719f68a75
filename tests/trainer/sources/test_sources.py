"""Reading: files of every kind, bad rows named by file and line, mixes, the built-in source, URLs, and the Hub."""

from __future__ import annotations

import csv
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from trainer import TrainerError
from trainer.errors import SourceUnreachable
from trainer.experiment.schema import Columns, Data, Source
from trainer.sources.reading import Reading, raw_rows, read_sources

SHARED = Path(__file__).parents[4] / "shared" / "data" / "instruct"

ROWS = [{"prompt": f"question {number}", "completion": f"answer\tto, {number}"} for number in range(5)]


def read(*sources: dict[str, Any] | Source) -> Reading:
    return read_sources(Data(sources=tuple(Source.model_validate(source) for source in sources)))


def file_of(folder: Path, suffix: str) -> Path:
    path = folder / f"rows{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(ROWS))
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n\n" for row in ROWS))
    elif suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, ["prompt", "completion"], delimiter="\t" if suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(ROWS)
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv", ".parquet"])
def test_files_of_every_kind_hold_the_same_rows(tmp_path: Path, suffix: str) -> None:
    found = read({"name": str(file_of(tmp_path, suffix))})
    assert sorted((row.prompt, row.answers) for row in found.rows) == [
        (row["prompt"], (row["completion"],)) for row in ROWS
    ]
    assert found.report["sources"][0]["usable"] == 5


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    file_of(tmp_path, ".jsonl")
    file_of(tmp_path, ".csv")
    (tmp_path / "notes.md").write_text("not data")
    assert len(read({"name": str(tmp_path)}).rows) == 10


def test_bad_rows_are_named_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [
        json.dumps(ROWS[0]),
        "{not json",
        '"text"',
        json.dumps({"prompt": "x"}),
        json.dumps(ROWS[1]),
        "[" * 100_000,
    ]
    path.write_bytes("\n".join(lines).encode() + b'\n{"prompt": "\xff"}\n')
    report = read({"name": str(path)}).report["sources"][0]
    assert (report["read"], report["usable"]) == (7, 2)
    places = {reason: found["examples"] for reason, found in report["bad"].items()}
    assert places["the line is not a JSON object"] == ["rows.jsonl:3"]
    assert "rows.jsonl:2" in places["not JSON: JSONDecodeError"]
    assert any(reason.startswith("not UTF-8: set the source's `encoding`") for reason in places)
    assert any("no known format; columns are prompt" in reason for reason in places)


def test_a_table_row_with_too_few_columns_is_bad(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("prompt,completion\na,b\nc\nd,e,f\n")
    report = read({"name": str(tmp_path / "rows.csv")}).report["sources"][0]
    assert report["bad"] == {"not the header's 2 columns": {"rows": 2, "examples": ["rows.csv:3", "rows.csv:4"]}}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.jsonl", None, "No data file"),
        ("rows.xlsx", "x", "not read; unpack it first; .jsonl"),
        ("rows.json", "{", "is not JSON"),
        ("rows.jsonl", "", "No usable row in .*it is empty"),
        ("rows.jsonl", '{"a": 1}\n', "No usable row in .*no known format; columns are a.*rows.jsonl:1"),
        ("rows.parquet", "x", "not a Parquet file"),
    ],
)
def test_sources_without_a_usable_row(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(TrainerError, match=said):
        read({"name": str(tmp_path / name)})


def test_limits_and_extra_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({**row, "score": 4, "blob": "x" * 999}) + "\n" for row in ROWS))
    found = read({"name": str(path), "limit": 3})
    assert sorted(row.row for row in found.rows) == [0, 1, 2]
    assert all(row.extra == {"score": 4} for row in found.rows)


def test_weights_set_shares_and_repeat_nothing(tmp_path: Path) -> None:
    for name, count in (("a", 90), ("b", 100)):
        rows = [{"prompt": f"{name}{number}", "completion": "x"} for number in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = [{"name": str(tmp_path / "a.jsonl"), "weight": 3.0}, {"name": str(tmp_path / "b.jsonl"), "weight": 1.0}]
    prompts = [row.prompt for row in read(*sources).rows]
    assert len(set(prompts)) == len(prompts)
    assert [sum(prompt.startswith(name) for prompt in prompts) for name in "ab"] == [90, 30]
    assert prompts == [row.prompt for row in read(*sources).rows]
    assert prompts != sorted(prompts)


@pytest.mark.slow
def test_the_standard_library_is_read_without_importing_it(tmp_path: Path) -> None:
    import sys

    before = set(sys.modules)
    rows = [row for _, row in zip(range(100), raw_rows(Source(name="python-stdlib")), strict=False)]
    assert not {name for name in set(sys.modules) - before if name in ("antigravity", "this", "idlelib")}
    shown = dict(rows[0][1])  # type: ignore[arg-type]
    assert shown["prompt"].startswith("Complete this Python function.") and '"""' in shown["prompt"]
    compile(shown["answer"].removeprefix("```python\n").removesuffix("\n```"), "answer", "exec")
    assert rows[:50] == [row for _, row in zip(range(50), raw_rows(Source(name="python-stdlib")), strict=False)]


@pytest.mark.slow
def test_the_standard_library_holds_thousands_of_functions() -> None:
    found = read({"name": "python-stdlib"})
    assert 3000 < len(found.rows) < 8000 and not found.report["sources"][0]["bad"]


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    """A folder behind HTTP."""
    folder = tmp_path / "site"
    folder.mkdir()
    file_of(folder, ".tsv")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_at_a_url_is_fetched_once(website: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    assert len(read({"name": f"{website}/rows.tsv"}).rows) == 5
    (tmp_path / "site" / "rows.tsv").unlink()
    assert len(read({"name": f"{website}/rows.tsv"}).rows) == 5
    with pytest.raises(TrainerError, match="no data file at"):
        read({"name": f"{website}/other.tsv"})
    assert not list((tmp_path / "cache").rglob("*.part"))
    with pytest.raises(SourceUnreachable, match="Cannot fetch"):
        read({"name": "http://127.0.0.1:9/rows.tsv"})


def test_the_hub_out_of_reach_says_so() -> None:
    with pytest.raises(SourceUnreachable, match=r"mlabonne/FineTome-100k.*cannot be reached.*python-stdlib"):
        read({"name": "mlabonne/FineTome-100k", "limit": 3})


needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real data at {SHARED}")


@needs_shared
@pytest.mark.parametrize(
    ("path", "usable", "columns"),
    [
        ("dolly/dolly_12_rows.json", 12, None),
        ("llama_factory/alpaca_en_demo.json", 990, None),
        ("llama_factory/identity.json", 90, None),
        ("llama_factory/v1_sft_demo.jsonl", 100, None),
        ("pubmedqa/ori_pqal.json", 1000, Columns(prompt="{CONTEXTS}\n\n{QUESTION}", answer="{LONG_ANSWER}")),
        ("legalbench/hearsay/train.tsv", 5, Columns(prompt="Q: {{text}}\nIs there hearsay?", answer="{{answer}}")),
        (
            "legalbench/corporate_lobbying/train.tsv",
            10,
            Columns(prompt="{bill_title}\n{company_name}", answer="{answer}"),
        ),
    ],
)
def test_real_files_of_the_field(path: str, usable: int, columns: Columns | None) -> None:
    report = read(Source(name=str(SHARED / path), columns=columns)).report["sources"][0]
    assert report["usable"] >= usable, report["bad"]


@needs_shared
def test_real_tool_calls_are_read() -> None:
    found = read({"name": str(SHARED / "llama_factory/glaive_toolcall_en_demo.json")})
    assert found.report["sources"][0]["usable"] == 300 and not found.report["sources"][0]["bad"]
    assert sum(any("tool_calls" in turn for turn in row.messages) for row in found.rows) == 153
    assert all(row.tools for row in found.rows if any("tool_calls" in turn for turn in row.messages))
