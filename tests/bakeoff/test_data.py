"""`bakeoff data`: counts, reasons, columns and rendered rows, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from trainer import TrainerError, miniature

MASKED = [
    {"role": "user", "content": "Capital of France?"},
    {"role": "assistant", "content": "Lyon, I guess.", "weight": 0},
    {"role": "user", "content": "Sure?"},
    {"role": "assistant", "content": "No: \x1b[31mParis."},
]
ROWS = [
    {"instruction": "And the third?", "input": 3, "output": "Neptune.", "system": "Terse.", "history": [["a", "b"]]},
    {"messages": MASKED, "mood": "calm", "id": 3},
    {"question": "What is it?", "answer": "A cat.", "images": ["cat.png"]},
    {"messages": [MASKED[0], {"role": "assistant", "content": "Paris.", "reasoning_content": "Lyon is not."}]},
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of four rows, one of them unusable."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature whose template knows tools and no reasoning."""
    return miniature("qwen2", tmp_path_factory.mktemp("bases") / "qwen2")


@pytest.fixture
def bakeoff() -> Callable[..., str]:
    """Run a verb in this process; its output."""

    def run(*arguments: str, status: int = 0) -> str:
        done = CliRunner().invoke(app, arguments, catch_exceptions=True)
        assert done.exit_code == status, (done.output, done.exception)
        return done.stdout

    return run


def test_rows_as_they_are_read(rows: Path, bakeoff: Callable[..., str]) -> None:
    told = bakeoff("data", str(rows))
    assert "4 read, 3 usable, 1 unusable" in told
    assert "1: the column 'images' holds images" in told and "(rows.jsonl:3)" in told
    assert "not used  mood (1)" in told and "ignored   id (1)" in told
    assert "format    messages (2), pairs (1)" in told
    assert "[system] Terse." in told and "[assistant, not trained] Lyon, I guess." in told
    assert "⟦No: \\x1b[31mParis.⟧" in told, "what is trained is marked, and nothing acts on the terminal"


def test_rows_as_a_base_reads_them(rows: Path, base: Path, bakeoff: Callable[..., str]) -> None:
    told = bakeoff("data", str(rows), "--base", str(base), "--rows", "2")
    assert "1: The base's chat template does not show the reasoning" in told
    assert "⟦Neptune.<|im_end|>⟧" in told and "Lyon, I guess.<|im_end|>" in told and "⟦Lyon" not in told


def test_the_same_for_programs(rows: Path, base: Path, bakeoff: Callable[..., str]) -> None:
    [found] = json.loads(bakeoff("data", str(rows), "--base", str(base), "--json"))
    assert (found["read"], found["usable"], found["unusable"]) == (4, 3, 1)
    assert found["tokens"]["refused_by_template"] == 1
    trained = [row["text"][start:end] for row in found["rows"] for start, end in row["trained"]]
    assert trained[:2] == ["b<|im_end|>", "Neptune.<|im_end|>"]


def test_an_experiment_is_shown_source_by_source(
    rows: Path, base: Path, tmp_path: Path, bakeoff: Callable[..., str]
) -> None:
    (tmp_path / "more.csv").write_text("prompt;completion\nq;a\n")
    (tmp_path / "mine.yaml").write_text(
        f"name: mine\nbases: [{base}]\ntraining: {{max_length: 16}}\n"
        "data: {sources: [{name: rows.jsonl}, {name: more.csv}]}\n"
    )
    told = bakeoff("data", str(tmp_path / "mine.yaml"))
    assert "more.csv is a table by semicolons" in told and f"as {base} sees them" in told
    assert "the answer begins beyond 16 tokens: raise training.max_length" in told


def test_a_file_without_a_usable_row_still_says_why(tmp_path: Path, bakeoff: Callable[..., str]) -> None:
    (tmp_path / "text.jsonl").write_text('{"text": "Once upon a time"}\n')
    told = bakeoff("data", str(tmp_path / "text.jsonl"), status=1)
    assert "0 usable, 1 unusable" in told and "plain text has no answer to learn" in told
    done = CliRunner().invoke(app, ["data", str(tmp_path / "none.jsonl")])
    assert isinstance(done.exception, TrainerError) and "No data file" in str(done.exception)
