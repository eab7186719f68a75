"""New run's form: what a field says as it is typed, the file that it makes, the tests that suit the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import trainer
from dashboard.views.new_run import estimate, experiment, preview
from dashboard.views.new_run.experiment import Draft

GOOD = Draft("shop", ("smollm2-135m-instruct",), ("python-stdlib",))


def report(*answers: str, bad: dict[str, Any] | None = None) -> dict[str, Any]:
    """A look at rows with these answers."""
    rows = [
        {"row": n, "text": f"[user] ? {answer}", "trained": [[9, 9 + len(answer)]]} for n, answer in enumerate(answers)
    ]
    return {"read": 9, "usable": 8, "formats": {"pairs": 8}, "bad": bad or {}, "notes": {}, "rows": rows, "base": ""}


@pytest.mark.parametrize(
    ("field", "draft", "named"),
    [
        ("name", replace(GOOD, name="shop bot!"), "shop bot!"),
        ("bases", replace(GOOD, bases=()), "smollm2"),
        ("bases", replace(GOOD, bases=("./no/such",)), "./no/such"),
        ("sources", replace(GOOD, sources=()), "drop a file"),
        ("sources", replace(GOOD, sources=("rows.csv",)), "rows.csv"),
        ("columns", replace(GOOD, columns=("{q}", "")), "{answer}"),
        ("rate", replace(GOOD, rate="fast"), "fast"),
        ("rate", replace(GOOD, rate="2"), "2e-4"),
        ("ranks", replace(GOOD, ranks=("16", "-3")), "-3"),
        ("ranks", replace(GOOD, ranks=()), "1,024"),
        ("forms", replace(GOOD, forms=()), "lora-gguf"),
        ("tests", replace(GOOD, tests=("/nowhere/mine.csv",)), "/nowhere/mine.csv"),
    ],
)
def test_a_field_names_what_is_wrong_and_what_would_be_right(field: str, draft: Draft, named: str) -> None:
    found = experiment.problems(draft)
    assert list(found) == [field] and named in found[field]


def test_nothing_is_wrong_with_a_good_form_and_a_taken_name_is_said_with_a_free_one() -> None:
    assert experiment.problems(GOOD) == {}
    assert experiment.remarks(GOOD, {}) == {}
    said = experiment.remarks(GOOD, {"shop": 3, "shop-2": 1})["name"]
    assert "3 runs" in said and said.endswith("Free: shop-3")
    assert "far from" in experiment.remarks(replace(GOOD, rate="1e-1"), {})["rate"]


def test_the_file_of_every_form_is_one_that_the_trainer_takes(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("q,a\n1,2\n")
    drafts = [
        GOOD,
        replace(GOOD, ranks=("8", "64"), seeds=3, limit=10, split="test", rate="3.5e-05", measures=()),
        replace(GOOD, sources=(str(rows),), columns=("{q}", "{a}"), measures=tuple(experiment.MEASURES)),
        replace(GOOD, tests=(str(rows), "boolq"), forms=experiment.FORMS),
    ]
    for draft in drafts:
        file = tmp_path / "experiment.yaml"
        file.write_text(experiment.text(draft), encoding="utf-8")
        read = trainer.load_experiment(file)
        assert read.name == experiment.name(file.read_text()) == "shop"
        assert read.evaluate.heldout == ({} if "heldout" in draft.measures else None)
        assert set(read.evaluate.measurements) == set(draft.measures) - {"rows"}
        file.write_text(experiment.looked_at(draft), encoding="utf-8")
        assert [source.name for source in trainer.load_experiment(file).data.sources] == list(draft.sources)


def test_rows_that_hold_benchmark_tasks_are_removed_where_that_benchmark_is_asked() -> None:
    for measures, removed in ((("humaneval",), True), (("heldout",), False)):
        made = experiment.text(replace(GOOD, measures=measures))
        written = trainer.Experiment.model_validate(yaml.safe_load(made))
        assert "humaneval" in written.data.decontaminate
        assert written.data.remove_contaminated is removed


def test_a_relative_path_means_where_the_dashboard_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.csv").write_text("q,a\n1,2\n")
    monkeypatch.chdir(tmp_path)
    made = yaml.safe_load(experiment.text(replace(GOOD, sources=("rows.csv", "user/set"))))
    assert [one["name"] for one in made["data"]["sources"]] == [str(tmp_path / "rows.csv"), "user/set"]


def test_a_shop_bot_is_not_asked_for_python_and_a_coder_is() -> None:
    assert preview.suited([report("Your parcel is on its way and comes tomorrow, by noon.\nThanks!")]) == (
        "heldout", "latency",
    )  # fmt: skip
    assert "rows" in preview.suited([report("refund", "exchange")])
    assert "humaneval" in preview.suited([report("def add(a, b):\n    return a + b"), report("refund")])
    assert preview.suited([report()]) == ("heldout", "latency")


def test_every_unusable_row_has_its_place_and_a_remedy() -> None:
    bad = {
        "not JSON: JSONDecodeError": {"rows": 1, "examples": ["rows.jsonl:2"]},
        "no known format; columns are ask, tell: give `columns`": {"rows": 5, "examples": ["rows.jsonl:3"]},
        "an empty assistant turn": {"rows": 2, "examples": ["rows.jsonl:9"]},
    }
    found = preview.faults(report("x", bad=bad))
    assert list(found["Rows"]) == [5, 2, 1] and found["Remedy"].str.len().min() > 10
    assert preview.unnamed([report(bad=bad)]) and preview.columns([report(bad=bad)]) == ["ask", "tell"]


def test_a_rendered_row_is_whole_and_what_is_trained_is_marked() -> None:
    row = {"text": "user: why? assistant: because <b>", "trained": [[22, 33]]}
    assert list(preview.parts(row)) == [(False, "user: why? assistant: "), (True, "because <b>")]
    long = {"text": "a" * 50 + "b" * 50, "trained": [[50, 100]]}
    assert list(preview.parts(long, most=60)) == [
        (False, "a" * 50), (True, "b" * 10), (False, "… 40 more characters"),
    ]  # fmt: skip


def test_a_plan_says_how_long_measuring_takes_apart_from_training() -> None:
    parts = [{"stage": "training", "seconds": 40.0}, {"stage": "heldout", "seconds": 10.0}]
    plan = {"groups": [{"runs": ["a", "b"]}], "time": [{"device": "this CPU", "seconds": 50.0, "parts": parts}]}
    said = estimate.headline(plan)
    assert said.startswith("2 fine-tunes: about 50 s on this CPU") and "training 40 s" in said and "10 s" in said
    assert list(estimate.times(plan).iloc[0]) == ["this CPU", "50 s", "40 s", "10 s"]
