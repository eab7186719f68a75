"""Answers go out of one store and into another with nothing lost, and are labelled imported there."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from dashboard.views.deciding import candidates
from results import (
    Evaluation,
    ImportRefused,
    Machine,
    Model,
    Outcome,
    Score,
    Store,
    answer_lines,
    decide,
    decision_markdown,
    export_table,
    import_path,
)
from results.analysis.measurements import quality_shelf
from results.analysis.snapshot import Reading
from results.records import digest
from results.schema.tallies import CODES

FACTS: dict[str, Any] = {
    "cpu": "A CPU", "isa": ("avx2",), "cores": 2, "ram_bytes": 8 << 30, "gpu": "", "system": "Linux",
    "versions": {"torch": "2"},
}  # fmt: skip
MACHINE = Machine(digest(FACTS)[:12], **FACTS)
"""Under the id that its facts have, as `this_machine` gives it."""
TEXT = some.text(max_size=8)
OUTCOME = some.builds(
    Outcome,
    some.text(min_size=1, max_size=8),
    some.integers(0, 2),
    some.one_of(some.none(), some.sampled_from(CODES)),
    some.one_of(some.none(), some.floats(allow_infinity=True, allow_nan=True)),
    some.fixed_dictionaries(
        {"answer": TEXT},
        optional={"group": TEXT, "tags": some.lists(TEXT), "checks": some.lists(TEXT), "nats": some.floats()},
    ),
)


def store_in(folder: Path, migrated: Path, name: str) -> Store:
    (folder / name).write_bytes(migrated.read_bytes())
    return Store(f"sqlite:///{folder / name}")


def told(outcomes: list[Outcome]) -> list[str]:
    """Outcomes as texts: NaN is NaN, and the order of keys is nothing."""
    return [json.dumps(dataclasses.asdict(one), sort_keys=True) for one in outcomes]


def filled(store: Store, outcomes: list[Outcome]) -> Evaluation:
    store.machines.add(MACHINE)
    store.models.add(Model("demo-1", "demo", "adapter", "base", "f" * 64, 9, "models/demo", details={"rank": 8}))
    settings_, details = {"prompting": "chat", "set_sha256": "x"}, {"tags": {"t": {"n": 1}}}
    begun = Evaluation("e1", "demo-1", "mine", settings_, MACHINE.id, subset="2 of 9 items", details=details)
    store.evaluations.begin(begun)
    store.evaluations.add_outcomes("e1", outcomes)
    scores = [Score("pass@1", 0.5, 0.25, None, 2), Score("odd", math.inf, None, None, 0)]
    return store.evaluations.finish("e1", scores, at=datetime(2026, 11, 3, tzinfo=UTC))


@pytest.mark.slow
@settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(some.lists(OUTCOME, max_size=6, unique_by=lambda one: (one.item, one.sample)))
def test_what_goes_out_comes_in_whole(migrated_sqlite: Path, outcomes: list[Outcome]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with store_in(folder, migrated_sqlite, "one.db") as one, store_in(folder, migrated_sqlite, "two.db") as two:
            wrote = filled(one, outcomes)
            kept = one.evaluations.outcomes("e1")
            assert export_table(one, folder / "answers.jsonl", "answers") == max(1, len(outcomes))
            (item,) = import_path(folder / "answers.jsonl", two).items
            there = two.evaluations.get(item.id)
            assert told(two.evaluations.outcomes(there.id)) == told(kept)
            same = ("benchmark", "settings", "machine_id", "subset", "scores", "started_at", "finished_at", "status")
            assert [repr(getattr(there, one)) for one in same] == [repr(getattr(wrote, one)) for one in same]
            assert there.origin == "imported" and wrote.details.items() <= there.details.items()
            assert two.machines.get(MACHINE.id) == MACHINE and two.models.get(there.model_id).identity == "f" * 64
            assert not import_path(folder / "answers.jsonl", two).items[0].new, "twice is once"
            assert not import_path(folder / "answers.jsonl", one).items[0].new, "what was measured here stays so"
            assert [each.origin for each in one.evaluations.list()] == ["measured"]


def written(tmp_path: Path, migrated: Path, change: Any) -> Path:
    with store_in(tmp_path, migrated, "one.db") as one:
        filled(one, [Outcome("a", 0, "passed"), Outcome("b", 0, "wrong")])
        export_table(one, tmp_path / "whole.jsonl", "answers")
    rows = [json.loads(line) for line in (tmp_path / "whole.jsonl").read_text().splitlines()]
    path = tmp_path / "changed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in change(rows)))
    return path


def with_head(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The first line with other values in its head, by "record.field"."""
    head = json.loads(row["head"])
    for place, value in changes.items():
        noun, _, name = place.partition("__")
        head[noun][name] = value
    return {**row, "head": json.dumps(head)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[1:], "line 1 is of evaluation e1, whose first line is missing"),
        (lambda rows: rows[:1], "line 1 begins an evaluation of 2 outcomes, and 1 are there"),
        (lambda rows: [*rows, *rows], "line 3 begins evaluation e1 again, which line 1 began"),
        (lambda rows: [*rows, rows[1]], "line 3 answers 'b', sample 0, a second time"),
        (lambda rows: [rows[0], {"item": "c"}], "line 2 is no answer: it lacks details"),
        (lambda rows: [rows[0], {**rows[1], "verdict": "fine"}], "line 2: outcome verdict is 'fine'"),
        (lambda rows: [rows[0], {**rows[1], "value": "much"}], "line 2: outcome value is 'much'"),
        (lambda rows: [rows[0], {**rows[1], "details": "[1]"}], r"line 2: outcome details is \[1\]"),
        (lambda rows: [rows[0], {**rows[1], "details": "{"}], "not valid JSON, line 2, details"),
        (lambda rows: [{**rows[0], "head": "{"}, rows[1]], "not valid JSON, line 1, head"),
        (lambda rows: [with_head(rows[0], model__form="pickle"), rows[1]], "line 1: model form is 'pickle'"),
        (lambda rows: [with_head(rows[0], model__identity=""), rows[1]], "model 'demo' has no identity"),
        (lambda rows: [with_head(rows[0], evaluation__mood=1), rows[1]], "its evaluation has 'mood', which"),
        (lambda rows: [with_head(rows[0], evaluation__scores=[{"n": 1}]), rows[1]], "evaluation scores.0.metric"),
        (lambda rows: [with_head(rows[0], evaluation__finished_at="soon"), rows[1]], "finished_at is 'soon'"),
        (lambda rows: [with_head(rows[0], evaluation__finished_at=None), rows[1]], "has no finished_at"),
        (
            lambda rows: [with_head(rows[0], evaluation__status="failed"), rows[1]],
            "no finished evaluation: demo by mine",
        ),
    ],
)
def test_what_is_not_whole_is_refused_by_line(tmp_path: Path, migrated_sqlite: Path, change: Any, said: str) -> None:
    path = written(tmp_path, migrated_sqlite, change)
    with store_in(tmp_path, migrated_sqlite, "two.db") as two:
        with pytest.raises(ImportRefused, match=said):
            import_path(path, two)
        assert two.evaluations.list() == [] and two.models.list() == [] and two.machines.list() == []


def test_beside_a_good_file_a_damaged_one_is_named_and_left_out(tmp_path: Path, migrated_sqlite: Path) -> None:
    (folder := tmp_path / "both").mkdir()
    good = written(tmp_path, migrated_sqlite, lambda rows: rows)
    good.rename(folder / "good.jsonl")
    damaged = (folder / "good.jsonl").read_text().replace('"details": "{}"', '"details": "{"')
    (folder / "damaged.jsonl").write_text(damaged)
    with store_in(tmp_path, migrated_sqlite, "two.db") as two:
        report = import_path(folder, two)
        assert [one.benchmark for one in report.items] == ["mine"] and "line 1, details" in report.refused[0]


def test_what_went_through_several_hands_is_one_evaluation(tmp_path: Path, migrated_sqlite: Path) -> None:
    def sent(one: Store, name: str, *others: Store) -> list[bool]:
        export_table(one, tmp_path / name, "answers")
        return [import_path(tmp_path / name, other).items[0].new for other in others]

    names = ("one.db", "two.db", "three.db")
    one, two, three = (store_in(tmp_path, migrated_sqlite, name) for name in names)
    with one, two, three:
        filled(one, [Outcome("a", 0, "passed"), Outcome("b", 0, "wrong")])
        assert sent(one, "first.json", two, three) == [True, True]
        assert sent(two, "again.jsonl", one, three) == [False, False]
        (there,) = three.evaluations.list()
        assert there.details["first_origin"] == "measured" and there.details["first_id"] == "e1"


def test_an_answer_that_was_changed_is_not_taken_for_what_was_measured(tmp_path: Path, migrated_sqlite: Path) -> None:
    path = written(tmp_path, migrated_sqlite, lambda rows: [rows[0], {**rows[1], "verdict": "passed"}])
    with store_in(tmp_path, migrated_sqlite, "one.db") as one:  # written anew: the same evaluation
        filled(one, [Outcome("a", 0, "passed"), Outcome("b", 0, "wrong")])
        assert import_path(path, one).items[0].new
        assert {one.origin for one in one.evaluations.list()} == {"measured", "imported"}
        assert [each.verdict for each in one.evaluations.outcomes("e1")] == ["passed", "wrong"]


def test_facts_of_a_machine_and_records_of_a_model_stay_as_they_are_here(tmp_path: Path, migrated_sqlite: Path) -> None:
    path = written(
        tmp_path,
        migrated_sqlite,
        lambda rows: [
            with_head(rows[0], machine__cores=999, model__id="demo-00000000", model__identity="0" * 64),
            rows[1],
        ],
    )
    with store_in(tmp_path, migrated_sqlite, "two.db") as two:
        two.machines.add(MACHINE)
        mine = two.models.add(Model("demo-00000000", "demo", "adapter", "base", "0" * 8 + "f" * 56, 9, "models/here"))
        import_path(path, two)
        assert two.machines.get(MACHINE.id) == MACHINE and len(two.machines.list()) == 2
        assert two.models.get(mine.id) == mine and two.evaluations.list(model_id=mine.id) == []
        assert {one.name for one in two.models.list()} == {"demo", "demo (imported 000000)"}


def test_a_store_that_has_the_model_has_its_answers_too(tmp_path: Path, migrated_sqlite: Path) -> None:
    path = written(tmp_path, migrated_sqlite, lambda rows: rows)
    with store_in(tmp_path, migrated_sqlite, "two.db") as two:
        mine = two.models.add(Model("demo-1", "demo", "adapter", "base", "f" * 64, 9, "models/here"))
        import_path(path, two)
        assert two.models.list() == [dataclasses.replace(mine, created_at=two.models.get("demo-1").created_at)]
        assert [one.model_id for one in two.evaluations.list()] == ["demo-1"]


def test_a_decision_says_which_scores_and_times_are_imported(tmp_path: Path, migrated_sqlite: Path) -> None:
    with store_in(tmp_path, migrated_sqlite, "one.db") as one, store_in(tmp_path, migrated_sqlite, "two.db") as two:
        filled(one, [Outcome("a", 0, "passed"), Outcome("b", 0, "wrong")])
        one.evaluations.begin(Evaluation("e2", "demo-1", "latency", {}, MACHINE.id))
        one.evaluations.finish("e2", [Score(f"{each}_seconds_p50", 0.5, None, None, 2) for each in ("ttft", "tpot")])
        export_table(one, tmp_path / "answers.jsonl", "answers")
        import_path(tmp_path / "answers.jsonl", two)
        here, there = decision_markdown(decide(one)), decision_markdown(decide(two))
        assert "mported" not in here
        assert "2 of 9 items, imported" in there
        assert "Imported, not measured here: demo." in there and ", imported evaluation " in there
        assert list(candidates.table(decide(two))["Times"]) == ["imported"] and "Times" not in candidates.table(
            decide(one)
        )
        assert list(candidates.points(decide(two))["name"]) == ["demo (time imported)"]
        assert list(candidates.points(decide(two), "ttft_seconds_p90").get("name", [])) == []


@pytest.mark.parametrize("table", ["answers", "outcomes"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_answers_as_a_table_are_refused_with_the_way_that_works(
    tmp_path: Path, migrated_sqlite: Path, table: str, ending: str
) -> None:
    with store_in(tmp_path, migrated_sqlite, "one.db") as one:
        filled(one, [Outcome("a", 0, "passed", details={"answer": "=1+1"})])
        export_table(one, tmp_path / f"answers.{ending}", table)
        with pytest.raises(ImportRefused, match=r"export answers\.jsonl --table answers"):
            import_path(tmp_path / f"answers.{ending}", one)


def test_one_tests_answers_go_out_alone_as_the_whole_tables_lines(tmp_path: Path, migrated_sqlite: Path) -> None:
    with store_in(tmp_path, migrated_sqlite, "one.db") as one:
        filled(one, [Outcome("a", 0, "passed"), Outcome("b", 0, "wrong")])
        one.evaluations.begin(Evaluation("e2", "demo-1", "other", {}, MACHINE.id))
        export_table(one, tmp_path / "answers.jsonl", "answers")
        lines = [line for line in (tmp_path / "answers.jsonl").read_text().splitlines() if '"mine"' in line]
        assert answer_lines(one, "mine").decode().splitlines() == lines and len(lines) == 2


def test_what_of_a_models_making_does_not_travel_is_said(tmp_path: Path, migrated_sqlite: Path) -> None:
    def with_run(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [with_head(rows[0], model__run_id="run-1", model__fine_tune="shop"), rows[1]]

    with store_in(tmp_path, migrated_sqlite, "two.db") as two:
        (item,) = (found := import_path(written(tmp_path, migrated_sqlite, with_run), two)).items
        assert item.new and any(
            "demo comes without its run run-1 and its fine-tune shop, of which it is a format" in one
            for one in found.notes
        )


def test_what_was_measured_here_goes_before_a_newer_import(tmp_path: Path, migrated_sqlite: Path) -> None:
    path = written(
        tmp_path,
        migrated_sqlite,
        lambda rows: [with_head(rows[0], evaluation__finished_at="2027-01-01T00:00:00+00:00"), rows[1]],
    )
    with store_in(tmp_path, migrated_sqlite, "two.db") as two:
        filled(two, [Outcome("a", 0, "wrong"), Outcome("b", 0, "wrong")])
        import_path(path, two)
        assert len(two.evaluations.list()) == 2
        (quality,) = quality_shelf(Reading.of(two), two.models.list(), "mine").found.values()
        assert quality.evaluation.id == "e1" and quality.evaluation.origin == "measured"
