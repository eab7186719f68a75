"""From an experiment file's sweep to runs: names, ids, draws."""

from __future__ import annotations

from typing import Any

import pytest

from results import Run
from trainer.errors import ExperimentInvalid
from trainer.experiment.reading import experiment_of, recorded_experiment
from trainer.experiment.schema import Experiment
from trainer.experiment.variants import variants


def experiment(**sections: Any) -> Experiment:
    raw = {"name": "x", "bases": ["somewhere/base"], "data": {"sources": [{"name": "python-stdlib"}]}, **sections}
    return experiment_of(raw, "test")


def test_a_grid_is_every_combination_with_readable_names() -> None:
    found = variants(experiment(sweep={"grid": {"lora.rank": [8, 32], "training.learning_rate": [1e-4, 2e-4]}}))
    assert [variant.name for variant in found] == [
        "x-rank8-learning_rate0.0001",
        "x-rank8-learning_rate0.0002",
        "x-rank32-learning_rate0.0001",
        "x-rank32-learning_rate0.0002",
    ]
    assert [variant.experiment.lora.rank for variant in found] == [8, 8, 32, 32]
    assert len({variant.id for variant in found}) == 4


def test_seeds_and_bases_multiply_and_show_in_the_name() -> None:
    found = variants(experiment(bases=["a/one", "b/two"], sweep={"seeds": [0, 7]}))
    assert [(variant.name, variant.seed) for variant in found] == [
        ("x-one-seed0", 0),
        ("x-one-seed7", 7),
        ("x-two-seed0", 0),
        ("x-two-seed7", 7),
    ]
    assert found[1].experiment.training.seed == 7
    assert found[3].experiment.bases == ("b/two",)


def test_the_id_is_the_same_again_and_follows_what_decides_the_weights() -> None:
    plain = variants(experiment())[0]
    assert variants(experiment())[0].id == plain.id
    assert variants(experiment(training={"learning_rate": 1e-3}))[0].id != plain.id
    assert variants(experiment(bases=["somewhere/else"]))[0].id != plain.id
    assert variants(experiment(data={"sources": [{"name": "python-stdlib", "limit": 3}]}))[0].id != plain.id
    assert variants(experiment(training={"seed": 1}))[0].id != plain.id


def test_a_run_s_record_says_which_rows_it_held_back() -> None:
    data = {"sources": [{"name": "python-stdlib", "limit": 60}], "quality": {"deduplicate": False}, "seed": 3}
    one = variants(experiment(data=data))[0]
    run = Run(one.id, one.name, "x", one.base, one.config, one.seed)
    assert recorded_experiment(run).data == one.experiment.data
    with pytest.raises(ExperimentInvalid, match=r"Run x has no record of its data\. Name the experiment file instead"):
        recorded_experiment(Run("x", "x", "x", "base", {"training.max_steps": 3}, 0))


def test_saving_more_often_leaves_a_run_the_same_run() -> None:
    plain = variants(experiment())[0]
    often = {"save_steps": 1, "save_total_limit": 9, "mirror": "file:///tmp/m", "report_to": ["tensorboard"]}
    assert variants(experiment(training=often))[0].id == plain.id


def test_alpha_said_in_two_ways_is_one_run() -> None:
    by_ratio = variants(experiment(lora={"rank": 8, "alpha_ratio": 2}))[0]
    assert variants(experiment(lora={"rank": 8, "alpha": 16}))[0].id == by_ratio.id


def test_random_draws_stay_inside_and_are_the_same_again() -> None:
    search = {
        "trials": 40,
        "space": {
            "training.learning_rate": {"log_uniform": [1e-5, 1e-2]},
            "lora.dropout": {"uniform": [0.0, 0.2]},
            "lora.rank": {"choice": [4, 16]},
        },
        "seed": 3,
    }
    found = variants(experiment(sweep={"random": search}))
    assert [v.id for v in found] == [v.id for v in variants(experiment(sweep={"random": search}))]
    rates = [v.settings["training.learning_rate"] for v in found]
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    assert all(0 <= v.settings["lora.dropout"] <= 0.2 for v in found)
    assert {v.settings["lora.rank"] for v in found} == {4, 16}
    below = sum(
        rate < 10**-3.5 for rate in rates
    )  # the middle of a log-uniform range: a uniform draw would give 1 of 40
    assert 8 <= below <= 32
    other = variants(experiment(sweep={"random": {**search, "seed": 4}}))
    assert [v.id for v in other] != [v.id for v in found]


def test_written_variants_keep_their_names() -> None:
    found = variants(experiment(sweep={"variants": [{"name": "tiny one", "lora.rank": 2}, {"lora.rank": 64}]}))
    assert [variant.name for variant in found] == ["x-tiny-one", "x-rank64"]


def test_a_value_that_does_not_fit_is_refused() -> None:
    from trainer.errors import ExperimentInvalid

    with pytest.raises(ExperimentInvalid, match=r"lora\.rank"):
        variants(experiment(sweep={"grid": {"lora.rank": [8, -1]}}))


def test_a_run_that_says_nothing_of_an_encoding_keeps_the_id_of_before_there_was_one() -> None:
    [plain] = variants(experiment())
    keys = {"name", "subset", "split", "revision", "limit", "weight", "format", "columns", "system", "streaming"}
    assert plain.config["data.sources"][0].keys() == keys
    [said] = variants(experiment(data={"sources": [{"name": "python-stdlib", "encoding": "cp1252"}]}))
    assert said.config["data.sources"][0]["encoding"] == "cp1252" and said.id != plain.id
