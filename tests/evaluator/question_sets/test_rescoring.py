"""Stored replies and today's checks: no model is asked, and what changed is said by item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bakeoff.main import app
from evaluator import ModelUnmeasurable, Wishes, evaluate_questions, read_question_set, rescore_questions
from results import Store, Workspace
from tests.evaluator.question_sets.files import lines
from tests.evaluator.question_sets.test_evaluation import ROWS, endpoint, model

assert endpoint  # a fixture


def written(path: Path, *rows: Any) -> Path:
    path.write_bytes(lines(*rows))
    return path


def test_another_check_of_the_same_questions_judges_the_stored_replies(
    store: Store, workspace: Workspace, endpoint: Any, tmp_path: Path
) -> None:
    path = written(tmp_path / "mine.jsonl", *ROWS)
    one = model(store, endpoint, "one", France="It is Paris, of course", Two="4", Three="7", hot="B")
    (before,) = evaluate_questions([one], read_question_set(path), store, workspace)
    assert before.details["verdicts"] == {"wrong": 2, "passed": 2}
    rows = [{**ROWS[0], "check": "contains"}, ROWS[1], {**ROWS[2], "answer": 7}, {**ROWS[3], "answer": "ice"}]
    asked = len(endpoint.asked)
    questions = read_question_set(written(path, *rows))
    (found,) = rescore_questions([one], questions, store, skip_bad=False)
    assert [(change.item, change.was, change.now) for change in found.changes] == [
        ("1", "wrong", "passed"), ("3", "wrong", "passed"), ("4", "passed", "wrong"),
    ]  # fmt: skip
    assert found.sentence == "3 of 4 replies are judged otherwise: 2 gained, 1 lost"
    assert found.evaluation.scores[0].value == 0.75 and found.evaluation.id != before.id
    assert store.evaluations.get(before.id) == before, "the other set's evaluation stays"
    assert evaluate_questions([one], questions, store, workspace) == [found.evaluation], "and is not asked again"
    assert len(endpoint.asked) == asked
    (again,) = rescore_questions([one], questions, store, skip_bad=False)
    assert (again.evaluation.id, again.changes) == (found.evaluation.id, ())


def test_a_reply_to_another_question_is_left_for_the_model(
    store: Store, workspace: Workspace, endpoint: Any, tmp_path: Path
) -> None:
    path = written(tmp_path / "mine.jsonl", *ROWS)
    one = model(store, endpoint, "one", France="Paris", Two="4", Three="6", hot="B", Rome="Rome")
    evaluate_questions([one], read_question_set(path), store, workspace)
    rows = [{**ROWS[0], "question": "Capital of Italy? Not Rome?", "answer": "Rome"}, *ROWS[1:3]]
    questions = read_question_set(written(path, *rows))
    asked = len(endpoint.asked)
    (found,) = rescore_questions([one], questions, store, skip_bad=False)
    assert (found.left, found.gone, found.evaluation.status) == (("1",), ("4",), "failed")
    assert "1 items have no stored reply as they are asked now: 1." in found.sentence
    (done,) = evaluate_questions([one], questions, store, workspace)
    assert (done.id, done.status, len(endpoint.asked) - asked) == (found.evaluation.id, "finished", 1)


def test_shares_are_told_apart_and_nothing_stored_is_an_error(
    store: Store, workspace: Workspace, endpoint: Any, tmp_path: Path
) -> None:
    path = written(tmp_path / "graded.jsonl", {"question": "Say red foxes", "answer": "red foxes"})
    one = model(store, endpoint, "one", Say="red")
    with pytest.raises(ModelUnmeasurable, match="No stored replies to graded of: one"):
        rescore_questions([one], read_question_set(path), store, skip_bad=False)
    evaluate_questions([one], read_question_set(path), store, workspace)
    graded = read_question_set(path, Wishes(check="token_f1"))
    (found,) = rescore_questions([one], graded, store, skip_bad=False)
    assert [(change.was, change.now) for change in found.changes] == [("wrong", "0.667")]
    assert found.evaluation.scores[0].metric == "mean_share"


def test_the_verb_says_what_changed(
    store: Store, workspace: Workspace, endpoint: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "mine.jsonl", *ROWS[:3])
    one = model(store, endpoint, "one", France="It is Paris, of course", Two="4", Three="6")
    evaluate_questions([one], read_question_set(path), store, workspace)
    command = ["evaluate", "one", "--benchmark", str(path), "--check", "contains", "--rescore"]
    command += ["--workspace", str(workspace.path)]
    app(command, standalone_mode=False)
    said = capsys.readouterr().out
    assert "one: 1 of 3 replies are judged otherwise: 1 gained, 0 lost\n  1: wrong → passed: It is Paris" in said
    app([*command, "--json"], standalone_mode=False)
    (row, _) = json.loads(capsys.readouterr().out)
    assert (row["metric"], row["value"], row["changes"]) == ("pass@1", 1.0, [])
