"""Scores as people compare them: tests in order, numbers, wins, filters, preference pairs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pandas as pd
import pytest

from dashboard import charts
from dashboard.views.scoring import scores
from results import Contest, Outcome, Score, Store, Workspace, contest
from results.analysis.statistics import wilson_interval
from results.records import Model
from tests.dashboard import stores


def measured(
    store: Store, name: str, verdicts: dict[str, str], test: str = "mine", answers: dict[str, str] | None = None
) -> Model:
    model = stores.model(name, "adapter", None, 1)
    store.models.add(model)
    begun = store.evaluations.begin(stores.evaluation(model, test, stores.LAPTOP, {"set_sha256": "x"}))
    store.evaluations.add_outcomes(
        begun.id,
        [
            Outcome(
                item,
                verdict=verdict,  # type: ignore[arg-type]
                details={"prompt": f"Question {item}?", "answer": (answers or {}).get(item, f"{name} says {verdict}")},
            )
            for item, verdict in verdicts.items()
        ],
    )
    told = [verdict for verdict in verdicts.values() if verdict != "error"]
    passed = told.count("passed")
    score = Score("pass@1", passed / len(told), *wilson_interval(passed, len(told)), len(told))
    store.evaluations.finish(begun.id, [score])
    return model


@pytest.fixture
def store(workspace: Workspace) -> Any:
    with workspace.store() as opened:
        opened.machines.add(stores.LAPTOP)
        yield opened


@pytest.fixture
def pair(store: Store) -> tuple[Contest, Model, Model]:
    good = measured(
        store, "good", {"1": "passed", "2": "passed", "10": "wrong", "11": "no_answer", "12": "passed", "13": "passed"}
    )
    poor = measured(
        store, "poor", {"1": "passed", "2": "wrong", "10": "passed", "11": "wrong", "12": "no_answer", "14": "passed"}
    )
    return contest(store, store.models.list(), "mine"), good, poor


def outcomes(store: Store, found: Contest) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        model.id: {
            one.item: {"verdict": one.verdict, **one.details}
            for one in store.evaluations.outcomes(found.found[model.id].evaluation.id)
        }
        for model in found.models
    }


def test_models_are_set_side_by_side_on_what_all_of_them_answered(pair: tuple[Contest, Model, Model]) -> None:
    found, good, poor = pair
    assert found.common == ("1", "10", "11", "12", "2")
    rows = scores.score_rows(found, found.models, own=False)
    assert list(rows["text"]) == ["60 % (3 of 5)", "40 % (2 of 5)"] and list(rows["label"]) == ["good", "poor"]
    assert list(scores.score_rows(found, found.models, own=True)["text"]) == ["67 % (4 of 6)", "50 % (3 of 6)"]
    assert found.wins((good, poor)).tolist() == [[0, 2], [1, 0]]
    ahead, said = scores.matrix(found, found.models)
    assert said.loc["good", "poor"] == "2 : 1 ≈" and ahead.loc["poor", "good"] == -1
    assert scores.leader(found, found.models).startswith(
        "good, 60 % (3 of 5), and poor, 40 % (2 of 5), lead and cannot be told"
    )
    assert charts.win_matrix(ahead, said).data[0].text[0][1] == "2 : 1 ≈"
    drawn = charts.score_list(rows, {}, title="pass@1", percent=True)
    assert [text for trace in drawn.data if trace.mode == "text" for text in trace.text] == [
        " 60 % (3 of 5)",
        " 40 % (2 of 5)",
    ]


def test_a_lead_beyond_chance_is_said_as_one(store: Store) -> None:
    measured(store, "good", {str(n): "passed" for n in range(12)})
    measured(store, "poor", {str(n): "wrong" if n < 10 else "passed" for n in range(12)})
    found = contest(store, store.models.list(), "mine")
    assert scores.leader(found, found.models).startswith(
        "good, 100 % (12 of 12), is better than the next, poor, 17 % (2 of 12)"
    )
    assert scores.matrix(found, found.models)[1].loc["good", "poor"] == "10 : 0"


def test_items_of_a_pair_are_listed_by_what_came_out(store: Store, pair: tuple[Contest, Model, Model]) -> None:
    found, good, poor = pair
    rows = scores.pair_rows(found, good, poor, outcomes(store, found))
    assert list(rows["item"]) == ["1", "2", "10", "11", "12"], "in the order of their numbers"
    assert list(rows["what"]) == ["same", "gained", "lost", "both_fail", "gained"]
    assert scores.counts(rows) == {"": 5, "different": 3, "gained": 2, "lost": 1, "both_fail": 1, "no_answer": 2}
    assert list(scores.shown(rows, "no_answer")["item"]) == ["11", "12"]
    assert list(rows["theirs"]) == ["passed", "wrong", "passed", "wrong", "no answer"]


def test_preference_pairs_are_of_items_that_just_one_passed(store: Store, pair: tuple[Contest, Model, Model]) -> None:
    found, good, poor = pair
    known = outcomes(store, found)
    known[poor.id]["12"] = {"verdict": "error", "message": "the engine ended"}  # no answer of the model's
    rows = scores.pair_rows(found, good, poor, known)
    lines = [json.loads(line) for line in scores.preferences(rows, good, poor, known).splitlines()]
    assert [(one["item"], one["chosen_by"], one["rejected_by"]) for one in lines] == [
        ("2", "good", "poor"), ("10", "poor", "good"),
    ]  # fmt: skip
    assert lines[0]["prompt"] == "Question 2?" and lines[0]["chosen"] == "good says passed"
    assert scores.preferences(scores.shown(rows, "both_fail"), good, poor, known) == ""


def test_tests_are_listed_humaneval_first_and_imported_figures_are_called_so(store: Store) -> None:
    measured(store, "one", {"1": "passed"})
    measured(store, "two", {"1": "passed"}, "humaneval")
    there = store.evaluations.list(benchmark="mine")[0]
    other = dataclasses.replace(there, id="x", benchmark="arc", origin="imported", scores=())
    store.evaluations.begin(other)
    store.evaluations.finish("x", [Score("acc", 0.4, None, None, 100)])
    listed = scores.tests(["mine", "humaneval"], {"mine": False}, store.evaluations.scores())
    assert list(listed.values()) == ["HumanEval", "mine (own test)", "arc (imported)"]
    table = scores.totals([row for row in store.evaluations.scores() if row.benchmark == "arc"], "acc")
    assert list(table["label"]) == ["one (imported)"] and pd.isna(table["low"][0])
