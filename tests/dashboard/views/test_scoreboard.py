"""The scoreboard's rows and its table: one row a fine-tune, and nothing guessed about what is not comparable."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from dashboard.jobs import commands
from dashboard.views import board, scoreboard
from results import Model, Question, Reading, Store, Workspace, decide, own_scores, scored
from tests.dashboard import stores
from tests.results.shelves import add_humaneval, add_latency, add_model


@pytest.fixture
def store(workspace: Workspace) -> Store:
    """An empty store."""
    return workspace.store()


def passing(count: int, of: int = 40) -> list[bool]:
    return [number < count for number in range(of)]


def a_store(store: Store) -> tuple[Model, Model, Model, Model]:
    """A base; a good fine-tune in two formats, of which one is measured; one that is worse."""
    base = add_model(store, "tiny", form="base")
    adapter = add_model(store, "good", 90_000_000, form="adapter", fine_tune="good", run_id=None)
    file = add_model(store, "good@q4_0", 50_000_000, form="gguf-q4_0", fine_tune="good")
    worse = add_model(store, "worse")
    for model, count in ((base, 20), (adapter, 34), (worse, 10)):
        add_humaneval(store, model, passing(count))
    return base, adapter, file, worse


def drawn(store: Store, baseline: str = "tiny") -> list[scoreboard.Row]:
    reading = Reading(store)
    decision = decide(reading, Question())
    against = [one.id for one in reading.models if (one.fine_tune or one.name) == baseline]
    scores = {"humaneval": scored(reading, reading.models, "humaneval", against)}
    return scoreboard.rows(reading.models, decision, scores, {"worse": 3}, baseline)


def test_a_fine_tune_is_one_row_with_its_formats_and_the_best_standing_comes_first(store: Store) -> None:
    a_store(store)
    rows = drawn(store)
    assert [row.name for row in rows] == ["good", "tiny", "worse"]
    assert rows[0].standing == "ship"
    assert [badge for badge, _ in rows[0].formats] == ["Q4", "adapter"]
    assert [row.baseline for row in rows] == [False, True, False]
    assert [row.votes for row in rows] == [0, 0, 3]


def test_gains_and_losses_are_counted_against_the_baseline_on_the_shared_items(store: Store) -> None:
    a_store(store)
    cells = {row.name: row.scores["humaneval"] for row in drawn(store)}
    assert (cells["good"].gained, cells["good"].lost) == (14, 0)
    assert (cells["worse"].gained, cells["worse"].lost) == (0, 10)
    assert cells["good"].difference == pytest.approx(14 / 40)
    other = {row.name: row.scores["humaneval"] for row in drawn(store, "good")}
    assert (other["tiny"].gained, other["tiny"].lost) == (0, 14)


def test_the_scores_are_those_of_the_decision(store: Store) -> None:
    a_store(store)
    decision = decide(store, Question())
    for row in drawn(store):
        quality = decision.candidate(row.id).quality
        cell = row.scores["humaneval"]
        assert quality is not None
        assert (cell.value, cell.low, cell.high, cell.n) == (quality.value, quality.low, quality.high, quality.n)


def test_a_model_measured_on_few_items_keeps_its_own_score_and_says_so(store: Store) -> None:
    a_store(store)
    few = add_model(store, "few")
    add_humaneval(store, few, passing(3, of=5))
    row = next(row for row in drawn(store) if row.name == "few")
    assert row.scores["humaneval"].value == 0.6 and row.scores["humaneval"].n == 5
    assert row.scores["humaneval"].gained is None
    assert "not comparable" in row.scores["humaneval"].note and "others have 40" in row.scores["humaneval"].note


def test_a_figure_of_another_format_says_whose_it_is(store: Store) -> None:
    *_, file, _ = a_store(store)
    add_latency(store, file, 0.2, 0.01)
    row = next(row for row in drawn(store) if row.name == "good")
    assert row.id == "good" and row.first_token is not None
    assert row.first_token.value == 0.2 and row.first_token.note == "of good@q4_0"


def test_models_of_another_question_stay_in_the_list_and_are_not_compared(store: Store) -> None:
    base, adapter, *_ = a_store(store)
    reading = Reading(store)
    decision = decide(reading, Question(models=(base.id, adapter.id)))
    asked = [base, adapter]
    rest = [one for one in reading.models if one not in asked]
    scores = scored(reading, asked, "humaneval", [base.id]) | own_scores(reading, rest, "humaneval")
    rows = scoreboard.rows(reading.models, decision, {"humaneval": scores}, {}, "tiny")
    (worse,) = [row for row in rows if row.name == "worse"]
    assert worse.standing == scoreboard.ELSEWHERE and rows[-1] is worse
    assert worse.scores["humaneval"].note == "not comparable"


def test_a_click_sorts_the_best_first_and_the_next_turns_it_round() -> None:
    every = board.columns(["humaneval", "heldout"])
    assert board.next_sort("", "humaneval", every) == "-humaneval"
    assert board.next_sort("-humaneval", "humaneval", every) == "humaneval"
    assert board.next_sort("humaneval", "heldout", every) == "heldout"
    assert board.next_sort("heldout", "standing", every) == ""
    assert board.next_sort("", "standing", every) == "-standing"
    assert board.next_sort("heldout", "no such column", every) == "heldout"
    assert board.sorted_by("-no such column", every) == ("standing", False)


@pytest.mark.parametrize("key", ["humaneval", "first_token", "speed"])
def test_a_row_without_the_figure_comes_last_whichever_way(key: str, store: Store) -> None:
    base, *_ = a_store(store)
    unmeasured = add_model(store, "unmeasured")
    for model, seconds in ((base, 0.3), (store.models.find("worse"), 0.1)):
        add_latency(store, model, seconds, seconds / 20)
    rows = drawn(store)
    for down in (True, False):
        names = [row.name for row in scoreboard.ordered(rows, key, down)]
        assert names[-1] in (unmeasured.name, "good") and sorted(names) == sorted(row.name for row in rows)


def test_a_missing_figure_is_measured_as_the_others_were(store: Store) -> None:
    _, adapter, file, worse = a_store(store)
    add_humaneval(store, worse, passing(9), settings={"tasks": 40, "max_tokens": 192, "samples": 1}, subset="40 of 164")
    models = {one.id: one for one in store.models.list()}
    (row,) = scoreboard.rows([file], None, {}, {})
    found = scoreboard.measured_by(row, "humaneval", models, store.evaluations.list())
    assert found is not None
    said = "bakeoff evaluate --benchmark humaneval --tasks 40 --max-tokens 192 -- good@q4_0"
    assert commands.shown(found) == said
    assert scoreboard.measured_by(row, "heldout", models, store.evaluations.list()) is None
    trained = dataclasses.replace(adapter, id="other", name="other", run_id="other-rank8")
    measured = dataclasses.replace(store.evaluations.list()[0], benchmark="heldout", model_id="other")
    found = scoreboard.measured_by(row, "heldout", {**models, "other": trained}, [measured])
    assert found is not None
    said = "bakeoff evaluate --benchmark heldout --experiment other-rank8 -- good@q4_0"
    assert commands.shown(found) == said, "on the rows that a run held back"
    imported = dataclasses.replace(measured, origin="imported")
    assert scoreboard.measured_by(row, "heldout", {**models, "other": trained}, [imported]) is None
    assert scoreboard.measured_by(row, "sums", models, store.evaluations.list()) is None
    folder = dataclasses.replace(adapter, path="models/good")
    (unfiled,) = scoreboard.rows([folder], None, {}, {})
    assert scoreboard.measured_by(unfiled, "first_token", {folder.id: folder}, store.evaluations.list()) is None


def test_the_table_is_plain_json_whose_bars_lie_within_it(workspace: Workspace) -> None:
    with stores.half_written(workspace.path).store() as store:
        reading = Reading(store)
        scores = {"humaneval": scored(reading, reading.models, "humaneval")}
        rows = scoreboard.rows(reading.models, decide(reading, Question()), scores, {})
        made = board.payload(
            rows, board.columns(["humaneval"]), {}, measure=lambda row, column: "", sort=("standing", False)
        )
    assert json.loads(json.dumps(made)) == made
    for row in made["rows"]:
        assert "\n" not in row["name"] and len(row["name"]) <= 60
        for cell in row["cells"]:
            assert all(end is None or 0 <= end <= 1 for end in cell.get("bar", []))


def test_every_standing_has_a_place_and_a_sign_of_its_own() -> None:
    from typing import get_args

    from results.analysis.findings import Standing

    assert set(get_args(Standing)) | {scoreboard.ELSEWHERE} == set(scoreboard.ORDER)
    assert set(get_args(Standing)) <= board.MARKS.keys()
    assert len({words for _, words in board.MARKS.values()}) == len(board.MARKS)


def test_an_infinite_end_is_no_end_of_a_bar(store: Store) -> None:
    a_store(store)
    found = scored(store, store.models.list(), "humaneval")
    open_ = {
        id_: dataclasses.replace(one, figure=dataclasses.replace(one.figure, low=float("-inf")))
        for id_, one in found.items()
    }
    rows = scoreboard.rows(store.models.list(), None, {"humaneval": open_}, {})
    assert all(row.scores["humaneval"].low is None for row in rows)


def test_the_table_can_be_downloaded_with_intervals(store: Store) -> None:
    a_store(store)
    frame = board.frame(drawn(store), board.columns(["humaneval"]))
    assert {"fine_tune", "standing", "humaneval", "humaneval_low", "humaneval_high", "first_token", "bytes"} <= set(
        frame
    )
    assert list(frame["humaneval"]) == [34 / 40, 20 / 40, 10 / 40]


def test_the_folder_of_a_base_is_left_out_of_its_name(tmp_path: Path) -> None:
    model = Model("a", "a", "gguf-q4_0", str(tmp_path / "base-of-mine"), "x", 1, "a.gguf", fine_tune="a")
    rows = scoreboard.rows([model], None, {}, {})
    made = board.payload(rows, [], {}, measure=lambda row, column: "", sort=("standing", False))
    assert made["rows"][0]["base"] == "base-of-mine"
