"""Races on the command line and in an experiment: what is said of a look, what is refused, what is measured whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.experiment.own_tests import own_tests
from bakeoff.experiment.pipeline import whole as pipeline_whole
from bakeoff.experiment.racing import race_lines, race_or_whole
from bakeoff.measuring.racing import event, raced, until_of
from evaluator import Look, ModelUnmeasurable, Until, question_test, read_question_set
from results import Departure, Evaluation, Model, RaceStanding, RaceTerms, Store, Workspace
from tests.bakeoff.test_own_tests import experiment
from trainer import Experiment
from trainer.errors import ExperimentInvalid

NAMES = {"a": "good", "b": "poor", "c": "bad"}
GONE = Departure("c", 48, "worse", 0.004)
OPEN = RaceStanding(("a", "b"), (GONE,), 48, {"a": 0.8, "b": 0.7, "c": 0.1}, "still open", (0.1, -0.05, 0.25))
LOOK = Look("race", "mine", NAMES, OPEN, (GONE,), RaceTerms(500, 0.02), 144, 1048, 0, 300.0)


def test_a_look_says_who_left_who_leads_by_how_much_and_how_long_it_takes_at_most() -> None:
    first, second = race_lines(LOOK)
    assert first == ("bad leaves after 48 items: some other is shown to be better (p = 0.004, adjusted over 3 models)")
    assert second == (
        "48 of at most 500 items: 2 in, good leads poor by 10.0 points (95 % interval -5.0 to +25.0); "
        "at most 5 min left"
    )


def test_equal_scores_are_no_lead() -> None:
    equal = replace(LOOK, standing=replace(OPEN, lead=(0.0, -0.1, 0.1)), departed=())
    assert "2 in, good and poor are equal (95 % interval -10.0 to +10.0)" in race_lines(equal)[0]


@pytest.mark.parametrize(
    ("end", "inside", "said"),
    [
        ("one left", ("a",), "good is left, and of each other it is shown that some model is better"),
        ("tie", ("a", "b"), "good, poor differ by less than 2 points"),
        ("budget", ("a",), "good is left, which is a choice and shows nothing"),
        ("no more items", ("a", "b"), "it is open between good, poor: neither is one shown to be worse than another, "
         "nor that they differ by less than 2 points"),
    ],
)  # fmt: skip
def test_the_end_of_a_race_says_what_is_shown_and_what_is_not(end: str, inside: tuple[str, ...], said: str) -> None:
    over = replace(OPEN, end=end, inside=inside)  # type: ignore[arg-type]
    (line,) = race_lines(replace(LOOK, standing=over, departed=(), brought=10))
    assert said in line
    assert line.endswith("; 144 answers of 1,500, 10 of them known from other measurements")


def test_each_look_is_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    event(LOOK)
    told = json.loads(capsys.readouterr().out)
    assert told["event"] == "look" and told["standing"]["inside"] == ["a", "b"] and told["said"] == race_lines(LOOK)


def test_options_that_need_a_race_are_refused_without_one_and_a_race_where_nothing_is_asked(store: Store) -> None:
    assert until_of(False, None, None, False) is None
    assert until_of(True, 0.02, 900, False) == Until(0.02, 900)
    with pytest.raises(ModelUnmeasurable, match="add --until-decided"):
        until_of(False, 0.02, None, False)
    with pytest.raises(ModelUnmeasurable, match="--rescore asks no model"):
        until_of(True, None, None, True)
    with pytest.raises(ModelUnmeasurable, match="heldout is measured in one pass"):
        raced([], "heldout", (store, Workspace(Path("nowhere"))), {}, Until(), lambda *_: None, False)


def test_an_experiment_races_where_it_says_so_and_measures_one_model_whole(store: Store, tmp_path: Path) -> None:
    plain = experiment(tmp_path, "mine.csv")
    racing = _racing(plain, margin=0.02)
    (test,) = own_tests(racing, Workspace(tmp_path))
    assert not pipeline_whole(racing).evaluate.until_decided, "all of it is no race"
    assert test.told(True).startswith("mine: at most 2 answers a model") and "at most" not in test.told(False)
    questions = read_question_set(tmp_path / "mine.csv")
    said, measured = list[str](), list[str]()

    def whole(models: object) -> list[Evaluation]:
        measured.extend(one.name for one in models)  # type: ignore[attr-defined]
        return []

    def test_of() -> object:
        return question_test(questions, store)

    common = {"store": store, "workspace": Workspace(tmp_path), "progress": None}
    assert race_or_whole(test_of, whole, plain, common, said.append) is whole
    alone = Model("m", "alone", "remote", "m", "m", 0, "http://127.0.0.1:1/v1")
    race_or_whole(test_of, whole, racing, common, said.append)([alone])
    assert measured == ["alone"] and said == ["mine is no race here and is measured whole"]


def test_a_margin_of_no_race_is_refused(tmp_path: Path) -> None:
    file = {"name": "x", "bases": ["smollm2-135m-instruct"], "data": {"sources": []}, "evaluate": {"margin": 0.02}}
    (tmp_path / "x.yaml").write_text(json.dumps(file))
    from trainer import load_experiment

    with pytest.raises(ExperimentInvalid, match="set until_decided: true"):
        load_experiment(tmp_path / "x.yaml")


def _racing(plain: Experiment, margin: float) -> Experiment:
    return plain.model_copy(
        update={"evaluate": plain.evaluate.model_copy(update={"until_decided": True, "margin": margin})}
    )
