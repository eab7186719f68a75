"""What a store of before has measured is found again: settings and ids stay what they were, key by key."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluator import HumanEvalSettings, QuestionSettings, load_benchmark, read_question_set
from evaluator.asking.prompts import Prompting
from evaluator.humaneval.evaluate import Programs
from evaluator.question_sets.evaluate import Questions
from evaluator.recording import planned
from evaluator.tasks.task import benchmark_digest
from results import Model
from tests.evaluator.question_sets.files import lines

GOOD = Model("good", "good", "remote", "good", "good", 0, "http://127.0.0.1/v1", details={"model": "good"})
ROWS = [
    {"question": "Capital of France?", "answer": "Paris", "tags": ["cities"]},
    {"question": "Two and two?", "answer": 4, "tags": ["sums"]},
    {"question": "Three and three?", "answer": 6, "tags": ["sums"]},
    {"question": "Which is hot?", "choices": ["ice", "fire"], "answer": "fire"},
]


@pytest.mark.parametrize(
    ("prompting", "engine", "tasks", "subset", "id_"),
    [
        ("chat", "openai", 1, "1 of 164 tasks", "367c2d3f46cc19e1f8d3c51a"),
        ("raw", "llamacpp", None, "", "1a36c3e11e8c063764658a40"),
    ],
)
def test_evaluations_by_humaneval_keep_their_ids(
    prompting: Prompting, engine: str, tasks: int | None, subset: str, id_: str
) -> None:
    known = load_benchmark("humaneval")
    test = Programs("humaneval", subset, (), benchmark_digest(known), HumanEvalSettings(tasks=tasks))
    assert planned(GOOD, test.benchmark, test.settings(prompting, engine), "machine", test.subset).id == id_


def test_evaluations_by_ones_own_questions_keep_their_ids(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(lines(*ROWS))
    chosen = QuestionSettings(tasks=2, system="Be brief.")
    test = Questions(read_question_set(tmp_path / "mine.jsonl"), (), "2 of 4 items", chosen)
    settings = test.settings("chat", "openai")
    assert planned(GOOD, test.benchmark, settings, "machine", test.subset).id == "661665d081f4d9b36f8964f7"
