"""Benchmark tasks in the training data are found task by task, reported even when kept."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from results import Workspace
from trainer import Conversation, TrainerError
from trainer.data.contamination import benchmark_tasks, overlap
from trainer.data.pipeline import read_conversations
from trainer.experiment.schema import Data


def row(question: str, answer: str, number: int) -> Conversation:
    messages = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Conversation(messages, "rows.jsonl", number)  # type: ignore[arg-type]


def test_humaneval_tasks_planted_in_the_data_are_found() -> None:
    tasks = benchmark_tasks("humaneval")
    assert len(tasks) == 164
    clean = [row(f"What is {number} times {number}?", f"It is {number * number}.", number) for number in range(50)]
    planted = row("Solve this:\n" + tasks["HumanEval/7"].upper(), "done", 50)
    half = row(tasks["HumanEval/0"][: len(tasks["HumanEval/0"]) // 5], "a part only", 51)
    found, dirty = overlap([*clean, planted, half], "humaneval")
    assert found.contaminated == ("HumanEval/7",)
    assert found.tasks["HumanEval/7"] == (1.0, (50,))
    assert 0 < found.tasks["HumanEval/0"][0] < 0.4
    assert dirty == {50}
    report = found.report([*clean, planted, half])
    assert report["benchmark"] == "humaneval" and report["items"] == ["HumanEval/7"]
    assert report["tasks"]["HumanEval/7"] == {"overlap": 1.0, "rows": ["rows.jsonl:50"]}


def test_overlap_is_of_one_row_not_of_many() -> None:
    words = " ".join(f"word{number}" for number in range(100))
    pieces = [" ".join(words.split()[start : start + 25]) for start in range(0, 100, 20)]
    path_rows = [row(piece, "x", number) for number, piece in enumerate(pieces)]
    assert max(share for share, _ in _file_overlap(words, path_rows).values()) < 0.25


def _file_overlap(prompt: str, rows: list[Conversation]) -> dict[str, tuple[float, tuple[int, ...]]]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mine.jsonl.gz")
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.write(json.dumps({"prompt": prompt}) + "\n")
        return dict(overlap(rows, str(path))[0].tasks)


@pytest.mark.parametrize("remove", [False, True])
def test_reported_always_removed_when_asked(tmp_path: Path, remove: bool) -> None:
    task = benchmark_tasks("humaneval")["HumanEval/3"]
    rows = [
        {"prompt": f"Tell me about the number {n}, please", "completion": f"{n} follows {n - 1}"} for n in range(20)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in [*rows, {"prompt": task, "completion": "pass"}]))
    data = Data(sources=({"name": str(path)},), decontaminate=("humaneval",), remove_contaminated=remove)  # type: ignore[arg-type]
    reading = read_conversations(data, Workspace(tmp_path / "workspace"))
    assert reading.report["contamination"]["items"] == ["HumanEval/3"]
    assert reading.report["contaminating_rows"] == {"found": 1, "removed": int(remove)}
    assert any(task in one.prompt for one in reading.rows) != remove


def test_what_is_no_benchmark(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "x"}\n')
    for name in (str(tmp_path / "bad.jsonl"), str(tmp_path / "none.jsonl"), "mbpp"):
        with pytest.raises(TrainerError, match="no benchmark"):
            benchmark_tasks(name)
