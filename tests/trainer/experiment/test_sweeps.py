"""Cuts and effects of sweeps: on made-up curves (fast) and on a miniature (slow)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from results import Point, Run, Store, Workspace
from trainer.experiment.reading import experiment_of
from trainer.experiment.schema import Experiment
from trainer.experiment.sweeps import effects, halve, summarize
from trainer.experiment.variants import Variant, variants


def experiment(**sweep: Any) -> Experiment:
    raw = {"name": "s", "bases": ["b"], "data": {"sources": [{"name": "python-stdlib"}]}, "sweep": sweep}
    return experiment_of({**raw, "training": {"max_steps": 90}}, "test")


class Trials:
    """Stands where training would: the loss of a setting falls towards its own floor, so that the best is known."""

    def __init__(self, made: Experiment, store: Store, floor: Callable[[Variant], float]) -> None:
        self.store, self.floor = store, floor
        self.calls: list[tuple[int, int | None]] = []
        for variant in variants(made):
            store.runs.add(Run(variant.id, variant.name, made.name, variant.base, variant.config, variant.seed))

    def __call__(self, some: Sequence[Variant], until: int | None) -> bool:
        self.calls.append((len(some), until))
        for variant in some:
            self.store.runs.start(variant.id, None, 90)
            step = until or 90
            self.store.curves.append(variant.id, [Point("validation_loss", step, self.floor(variant) + 1 / step)])
            self.store.runs.finish(variant.id, "stopped" if until else "finished")
        return True


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Workspace(tmp_path).store()


def rank_floor(variant: Variant) -> float:
    return {2: 3.0, 4: 2.0, 8: 1.0, 16: 1.5, 32: 2.5, 64: 3.5}[variant.settings["lora.rank"]]


def test_halving_finds_the_best_for_a_fraction_of_the_steps(store: Store) -> None:
    made = experiment(grid={"lora.rank": [2, 4, 8, 16, 32, 64]}, halving={"first_steps": 10, "factor": 3})
    trials = Trials(made, store, rank_floor)
    halve(made, variants(made), store, trials)
    assert trials.calls == [(6, 10), (2, 30), (1, None)]
    finished = [s.run.name for s in store.runs.list() if s.run.status == "finished"]
    assert finished == ["s-rank8"]
    reasons = {s.run.name: s.run.reason for s in store.runs.list()}
    assert reasons["s-rank64"] == "dropped at step 10: 6 of 6 settings by validation_loss"
    assert reasons["s-rank16"] == "dropped at step 30: 2 of 2 settings by validation_loss"


def test_decisions_are_taken_once(store: Store) -> None:
    made = experiment(grid={"lora.rank": [2, 4, 8, 16, 32, 64]}, halving={"first_steps": 10, "factor": 3})
    trials = Trials(made, store, rank_floor)
    halve(made, variants(made), store, lambda some, until: until == 10 and trials(some, until))
    again = Trials(made, store, rank_floor)
    halve(made, variants(made), store, again)
    assert again.calls == [(2, 30), (1, None)]
    report = store.reports.get("s", "sweep")
    assert report is not None
    assert [decision[0]["steps"] for decision in report.payload["halving"].values()] == [10, 30]


def test_a_setting_with_a_failed_seed_is_not_promoted(store: Store) -> None:
    made = experiment(grid={"lora.rank": [4, 8]}, seeds=[0, 1], halving={"first_steps": 10, "factor": 2})
    trials = Trials(made, store, rank_floor)

    def train(some: Sequence[Variant], until: int | None) -> bool:
        return trials([v for v in some if not (v.settings["lora.rank"] == 8 and v.seed == 1)], until)

    halve(made, variants(made), store, train)
    assert {s.run.name for s in store.runs.list() if s.run.status == "finished"} == {"s-rank4-seed0", "s-rank4-seed1"}


def test_an_effect_within_the_noise_of_seeds_is_called_so() -> None:
    made = experiment(grid={"lora.rank": [8, 64], "training.learning_rate": [1e-4, 1e-3]}, seeds=[0, 1, 2])
    planned = variants(made)
    noise = [0.006, -0.006, 0.0]
    scores = {
        v.id: 2
        + noise[v.seed]
        + (0.004 if v.settings["lora.rank"] == 8 else 0)
        + 100 * (1e-3 - v.settings["training.learning_rate"])
        for v in planned
    }
    found = {effect["setting"]: effect for effect in effects(planned, scores, "validation_loss")}
    rank, rate = found["lora.rank"], found["training.learning_rate"]
    assert rank["moved"] == pytest.approx(0.004)
    assert rank["seed_spread"] == pytest.approx(0.006)
    assert rank["beyond_noise"] is False
    assert rank["words"] == (
        "lora.rank 8 → 64 lowers validation_loss by 0.0040; seeds differ by 0.0060: seeds alone could do that"
    )
    assert rate["beyond_noise"] is True
    assert rate["best"] == "0.001"


def test_whole_sections_are_swept_too() -> None:
    """As in studies A and B, which sweep data.sources."""
    one, two = [{"name": "a.jsonl"}], [{"name": "a.jsonl", "limit": 5}, {"name": "b.jsonl"}]
    planned = variants(experiment(grid={"data.sources": [one, two]}, seeds=[0, 1]))
    scores = {v.id: 2.0 + v.seed / 100 + (v.settings["data.sources"] == one) for v in planned}
    (effect,) = effects(planned, scores, "validation_loss")
    assert effect["moved"] == pytest.approx(1.0) and '"b.jsonl"' in effect["best"]


def test_without_a_second_seed_nothing_is_claimed() -> None:
    planned = variants(experiment(grid={"lora.rank": [8, 64]}))
    (effect,) = effects(planned, {planned[0].id: 2.0, planned[1].id: 1.0}, "validation_loss")
    assert effect["beyond_noise"] is None
    assert "sweep.seeds" in effect["words"]


def test_many_drawn_values_are_compared_by_halves() -> None:
    search = {"trials": 20, "space": {"training.learning_rate": {"log_uniform": [1e-5, 1e-2]}}}
    planned = variants(experiment(random=search))
    scores = {v.id: v.settings["training.learning_rate"] for v in planned}
    (effect,) = effects(planned, scores, "validation_loss")
    assert sorted(effect["runs"].values()) == [10, 10]
    assert effect["best"].startswith(f"{min(v.settings['training.learning_rate'] for v in planned):g} to")


@pytest.mark.slow
def test_a_sweep_of_a_miniature_is_cut_summarized_and_reused(small: Callable[[str], Path], tmp_path: Path) -> None:
    from trainer import train

    rows = [{"prompt": f"Say {n}.", "completion": " ".join(["yes"] * (n % 7 + 1))} for n in range(30)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    raw = {
        "name": "cut",
        "bases": [str(small("llama"))],
        "data": {
            "sources": [{"name": str(tmp_path / "rows.jsonl")}],
            "quality": {"near_duplicates": None, "max_repetition": None},
            "decontaminate": [],
            "validation_fraction": 0.3,
        },
        "training": {"max_steps": 12, "dtype": "float32", "batch_size": 2},
        "lora": {"rank": 4},
        "sweep": {
            "grid": {"training.learning_rate": [0.02, 1e-6, 1e-5, 1e-4]},
            "seeds": [0, 1],
            "halving": {"first_steps": 3, "factor": 2},
        },
    }
    workspace = Workspace(tmp_path / "ws")
    store = workspace.store()
    runs = train(experiment_of(raw, "test"), store, workspace, lambda *_: None)
    status = {run.name: run.status for run in runs}
    assert {name for name, is_ in status.items() if is_ == "finished"} == {
        "cut-learning_rate0.02-seed0",
        "cut-learning_rate0.02-seed1",
    }
    steps = {s.run.name: s.steps for s in store.runs.list()}
    assert sorted(steps.values()) == [3, 3, 3, 3, 6, 6, 12, 12]
    report = store.reports.get("cut", "sweep")
    assert report is not None
    assert report.payload["best"]["name"].startswith("cut-learning_rate0.02")
    assert len(report.payload["unfinished"]) == 6
    trained: list[str] = []
    again = train(experiment_of(raw, "test"), store, workspace, lambda what, *_: trained.append(what))
    assert again == runs
    assert not [what for what in trained if what.startswith("training")]
    summarize(experiment_of(raw, "test"), variants(experiment_of(raw, "test")), store)
    assert store.reports.get("cut", "sweep").payload["halving"] == report.payload["halving"]  # type: ignore[union-attr]
