"""Experiment files: every problem at once, each with key, value and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from trainer import TrainerError, load_experiment
from trainer.experiment.reading import with_settings
from trainer.experiment.variants import variants

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "experiments").glob("*.yaml"))

SMALLEST = {"name": "small", "bases": ["some/base"], "data": {"sources": [{"name": "python-stdlib"}]}}


def written(folder: Path, content: object) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_load_and_have_distinct_runs(path: Path) -> None:
    found = load_experiment(path)
    runs = variants(found)
    assert len({run.id for run in runs}) == len({run.name for run in runs}) == len(runs)
    assert len(runs) >= 2 or len(found.models) >= 2


def test_the_studies_are_all_there() -> None:
    assert {path.stem for path in SHIPPED} >= {"demo", "study-a", "study-b", "study-c", "study-d"}
    tuned = {
        variant.name: variant.experiment.lora
        for variant in variants(load_experiment(ROOT / "experiments/study-b.yaml"))
    }
    # STUDIES.md: rank, alpha, dropout of the five published variants
    assert [(lora.rank, lora.effective_alpha, lora.dropout) for lora in tuned.values()] == [
        (16, 16, 0), (16, 16, 0), (128, 128, 0), (128, 256, 0), (128, 128, 0.1),
    ]  # fmt: skip


def test_defaults_are_enough(tmp_path: Path) -> None:
    experiment = load_experiment(written(tmp_path, SMALLEST))
    assert experiment.training.learning_rate == 2e-4
    assert experiment.lora.effective_alpha == experiment.lora.rank


def test_every_problem_is_in_one_message(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "nam": "x",
            "bases": [],
            "data": {"sources": [{"name": "a", "limt": 3}], "validation_fraction": 2},
            "training": {"learning_rate": "fast", "dtype": "bf16", "max_steps": 0},
            "lora": {"alpha": 2, "alpha_ratio": 2},
            "sweep": {"grid": {"lora.rnk": [1, 2], "lora.rank": [0, 8]}, "seeds": [1, 1]},
        },
    )
    with pytest.raises(TrainerError) as caught:
        load_experiment(path)
    message = str(caught.value)
    for part in (
        "name: missing",
        "bases: []",
        "data.sources.0.limt: no such key; did you mean limit?",
        "data.validation_fraction: 2 is not right; it should be less than 1",
        "training.learning_rate: 'fast'",
        "training.dtype: 'bf16' is not right; it should be 'auto', 'bfloat16'",
        "training.max_steps: 0",
        "lora: alpha 2 and alpha_ratio 2 are both given",
        "nam: no such key; did you mean name?",
        "sweep: seeds [1, 1] has one twice",
        "sweep.grid.lora.rnk: no such setting; did you mean lora.rank?",
        "sweep.grid.lora.rank: 0 is not right; it should be greater than 0",
    ):
        assert part in message, part
    assert len(message.splitlines()) <= 14


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nname: b\n", "key 'name' is given twice"),
        ("- 1\n", "not keys"),
        ("name: [\n", "not valid YAML"),
        ("", "not keys"),
        ("name: !!python/object/apply:os.system [echo]\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_experiments(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TrainerError, match=said):
        load_experiment(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"nowhere\.yaml"):
        load_experiment(tmp_path / "nowhere.yaml")


def test_paths_hold_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    raw = {**SMALLEST, "data": {"sources": [{"name": "rows.jsonl"}, {"name": "user/set.jsonl"}]}}
    names = [source.name for source in load_experiment(written(tmp_path, raw)).data.sources]
    assert names == [str(tmp_path / "rows.jsonl"), "user/set.jsonl"]


def test_scientific_notation_without_a_dot_is_a_number(tmp_path: Path) -> None:
    text = yaml.safe_dump(SMALLEST) + "training: {learning_rate: 2e-4}\n"  # YAML 1.1 reads 2e-4 as a string
    assert load_experiment(written(tmp_path, text)).training.learning_rate == 2e-4


def test_settings_replace_and_are_checked(tmp_path: Path) -> None:
    experiment = load_experiment(written(tmp_path, {**SMALLEST, "lora": {"alpha_ratio": 2}}))
    changed = with_settings(experiment, {"lora.rank": 8, "evaluate.humaneval": {"tasks": 2}})
    assert (changed.lora.effective_alpha, changed.evaluate.humaneval) == (16, {"tasks": 2})
    assert experiment.lora.rank == 16
    assert with_settings(experiment, {"lora.alpha": 5}).lora.effective_alpha == 5
    with pytest.raises(TrainerError, match=r"lora\.rank"):
        with_settings(experiment, {"lora.rank": -1})


def test_weights_are_all_or_none(tmp_path: Path) -> None:
    raw = {**SMALLEST, "data": {"sources": [{"name": "a", "weight": 1}, {"name": "b"}]}}
    with pytest.raises(TrainerError, match="1 of 2 sources have a weight"):
        load_experiment(written(tmp_path, raw))


@pytest.mark.parametrize(
    ("evaluate", "said"),
    [
        ({"heldout": {"rows": 3}}, "evaluate.heldout: no key rows here"),
        ({"humaneval": {"forms": ["gguf-q5"]}}, "evaluate.humaneval: the formats are a list of base"),
        ({"latency": {"forms": "gguf-q8_0"}}, "evaluate.latency: the formats are a list of base"),
        ({"stopping": {"forms": []}}, "evaluate.stopping: the formats are a list of base"),
        (
            {"tests": ["a.csv", {"file": "b.csv", "forms": [1]}]},
            "evaluate.tests: the formats are a list of base",
        ),
    ],
)
def test_a_measurement_of_forms_that_there_are_not_is_refused(
    evaluate: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(TrainerError, match=said):
        load_experiment(written(tmp_path, {**SMALLEST, "evaluate": evaluate}))


MEASURED = {"name": "compare", "models": ["./a", {"source": "hub:me/b", "name": "b", "base": "some/base"}]}


def test_models_made_elsewhere_need_no_bases_and_no_data(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "chat.jinja").write_text("")
    models = [*MEASURED["models"], {"source": "./gone.gguf", "template": "./chat.jinja"}, "demo-rank8"]
    found = load_experiment(written(tmp_path, {**MEASURED, "models": models}))
    gone = str(tmp_path / "gone.gguf")
    assert [one.source for one in found.models] == [str(tmp_path / "a"), "hub:me/b", gone, "demo-rank8"]
    assert (found.models[1].name, found.models[1].base) == ("b", "some/base")
    assert found.models[2].template == str(tmp_path / "chat.jinja")
    assert variants(found) == []
    assert with_settings(found, {"evaluate.humaneval": {}}).models == found.models


def test_models_change_no_run_s_id(tmp_path: Path) -> None:
    (alone,) = variants(load_experiment(written(tmp_path, SMALLEST)))
    (beside,) = variants(load_experiment(written(tmp_path, {**SMALLEST, "models": ["hub:me/b"]})))
    assert alone.id == beside.id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"models": []}, "bases: missing; it has no default; what is only to be measured goes under models"),
        ({"models": [{"sorce": "x"}]}, "models.0.sorce: no such key; did you mean source?"),
        ({"models": [{"source": "x", "name": "a b"}]}, "models.0.name: "),
        ({"models": "x"}, "models: 'x' is not right"),
        ({"models": [""]}, "models.0.source: '' is not right"),
        ({"lora": {"rank": 4}}, "lora: nothing is trained without bases; name some, or leave it out"),
        ({"sweep": {"seeds": [1, 2]}}, "sweep: nothing is trained without bases"),
        ({"data": {"validation_fraction": 0.5}}, "data.sources: missing; it has no default"),
        ({"bases": ["some/base"]}, "data: missing; it has no default"),
    ],
)
def test_what_models_made_elsewhere_lack_is_named_by_its_key(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(TrainerError) as caught:
        load_experiment(written(tmp_path, {**MEASURED, **change}))
    assert said in str(caught.value)
