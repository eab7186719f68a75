"""Plans: counts that hold, memory of the right size, and warnings that name the setting to change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines import A100, T4, Place, places
from results import Workspace
from trainer import Plan, load_experiment, plan, rehearsal, removed_words
from trainer.bases.registry import Shape, base_entry
from trainer.errors import ExperimentInvalid
from trainer.experiment.schema import Experiment, Lora, Training
from trainer.experiment.variants import variants
from trainer.planning.estimates import dtype_of, memory, seconds, trained_parameters

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "experiments").glob("*.yaml"))
TRAINING = [path for path in SHIPPED if load_experiment(path).bases]


def shape(name: str) -> Shape:
    found = base_entry(name)
    assert found
    return found.shape


def experiment_of(folder: Path, base: Path, rows: list[dict[str, Any]], **sections: Any) -> Experiment:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"sources": [{"name": "rows.jsonl"}], "validation_fraction": 0.2, **sections.pop("data", {})}
    raw = {"name": "planned", "bases": [str(base)], "data": data, **sections}
    (folder / "experiment.yaml").write_text(json.dumps(raw))
    return load_experiment(folder / "experiment.yaml")


ROWS = [{"prompt": f"What is {n} cubed?", "completion": f"The cube of {n} is {n**3}, I am sure."} for n in range(40)]


def test_counts_are_those_of_the_data(small: Callable[[str], Path], tmp_path: Path) -> None:
    experiment = experiment_of(
        tmp_path,
        small("llama"),
        [*ROWS, ROWS[0]],
        training={"epochs": 2, "batch_size": 4},
        sweep={"grid": {"lora.rank": [4, 8]}, "seeds": [0, 1]},
    )
    found = plan(experiment, Workspace(tmp_path / "w"))
    [group] = found.groups
    assert found.runs == 4 and not found.problems
    assert group.rows is not None and group.validation_rows is not None
    assert group.rows + group.validation_rows == 40
    assert group.steps == -(-group.rows * 2 // 4)
    assert group.report["filters"]["exact_duplicates"]["removed"] == 1
    assert [need.device for need in group.needs] == [place.name for place in places("float32")]
    assert all(need.fits and need.seconds > 0 for need in group.needs)


CPU = Place("this CPU", "cpu", 16e9, "bfloat16", 200e9, 20e9, cores=2, triton=False)


def test_two_gpus_train_two_runs_in_the_time_of_one(small: Callable[[str], Path], tmp_path: Path) -> None:
    experiment = experiment_of(tmp_path, small("llama"), ROWS, sweep={"grid": {"lora.rank": [4, 8]}, "seeds": [0, 1]})
    both = replace(T4, name="two", count=2)
    [group] = plan(experiment, Workspace(tmp_path / "w"), named=(CPU, T4, both)).groups
    _, one, two = group.needs
    assert (one.at_once, two.at_once) == (1, 2)
    assert two.seconds == pytest.approx(one.seconds / 2)
    assert two.memory_bytes == one.memory_bytes


def warned(found: Plan, *parts: str) -> bool:
    return any(all(part in warning for part in parts) for warning in found.warnings)


def test_a_base_that_float16_does_not_hold_is_planned_in_float32(small: Callable[[str], Path], tmp_path: Path) -> None:
    for architecture, dtype in (("qwen2", "float32"), ("llama", "float16")):
        made = experiment_of(tmp_path, small(architecture), ROWS)
        [group] = plan(made, Workspace(tmp_path / "w"), named=(T4, A100)).groups
        assert [need.dtype for need in group.needs] == [dtype, "bfloat16"]
        assert ("fp16's largest number" in group.needs[0].note) is (dtype == "float32")


def test_warnings_name_the_setting(small: Callable[[str], Path], tmp_path: Path) -> None:
    experiment = experiment_of(
        tmp_path,
        small("llama"),
        [*({**row, "completion": row["completion"] + " And so on" * 60} for row in ROWS), {"prompt": "x"}],
        data={"quality": {"max_repetition": None, "near_duplicates": None}},
        training={"max_steps": 500, "max_length": 100},
        sweep={"grid": {"lora.rank": [4, 8]}},
        evaluate={"latency": {}, "base": False},
    )
    found = plan(experiment, Workspace(tmp_path / "w"))
    assert warned(found, "rows are longer than 100 tokens", "training.max_length")
    assert warned(found, "500 steps go", "training.max_steps")
    assert warned(found, "validation rows leave a wide interval", "data.validation_fraction")
    assert warned(found, "1 row cannot be read: no known format", "(1: rows.jsonl:41)")
    assert warned(found, "one seed", "sweep.seeds")
    assert warned(found, "latency", "evaluate.forms")
    assert warned(found, "evaluate.base")


def test_rows_that_are_lost_or_read_in_part_are_counted_with_their_places(
    small: Callable[[str], Path], tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = [
        *({**row, "mood": "calm"} for row in ROWS),
        {"prompt": "word " * 300, "completion": "Too late."},
        {"prompt": "Why?", "reasoning": "Let me see.", "completion": "Because."},
        {"prompt": "Look.", "completion": "A cat.", "images": ["cat.png"]},
    ]
    found = plan(experiment_of(tmp_path, small("llama"), rows, training={"max_length": 128}), Workspace(tmp_path / "w"))
    assert warned(found, "1 row cannot be read: the column 'images' holds images", "rows.jsonl:43")
    assert warned(found, "2 rows are left out", "does not show the reasoning", "the answer begins beyond 128 tokens")
    assert warned(found, "columns of", "not used: mood (40 rows)")
    [group] = found.groups
    told = removed_words(group.report)
    assert told == "removed: 1 unreadable, 1 not shown by the template, 1 answered beyond max_length"
    assert group.rows is not None and group.validation_rows is not None
    assert group.rows + group.validation_rows == 40


def test_what_cannot_be_had_is_a_problem_with_the_memory_still_told(tmp_path: Path) -> None:
    experiment = experiment_of(tmp_path, Path("llama-3.1-8b-instruct"), ROWS)
    found = plan(experiment, Workspace(tmp_path / "w"))
    assert any("hf download meta-llama/Llama-3.1-8B-Instruct" in problem for problem in found.problems)
    t4 = next(need for need in found.groups[0].needs if need.device == T4.name)
    assert not t4.fits and warned(found, T4.name, "training.quantization: nf4")


def test_a_dtype_that_this_machine_does_not_train_is_a_problem(small: Callable[[str], Path], tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine trains float16")
    experiment = experiment_of(tmp_path, small("llama"), ROWS, training={"dtype": "float16"})
    (problem,) = plan(experiment, Workspace(tmp_path / "w")).problems
    assert "float16 does not train on a CPU: use auto, bfloat16 or float32" in problem


def test_memory_is_the_right_size() -> None:
    one, eight = shape("llama-3.2-1b-instruct"), shape("llama-3.1-8b-instruct")
    qlora, plain = Training(quantization="nf4", batch_size=1), Training(batch_size=1)
    # QLoRA's weights of an 8B: 4 bits a linear weight, 16 the embeddings and head: 3.6 GB + 2.1 GB.
    assert 5.2e9 < memory(eight, qlora, Lora(), 1024, 1, T4).weights < 6.2e9
    assert memory(eight, plain, Lora(), 1024, 1, A100).weights == pytest.approx(16.06e9, rel=0.01)
    assert memory(eight, qlora, Lora(), 1024, 1, T4).total < T4.memory_bytes
    full = memory(one, plain, Lora(method="full"), 1024, 1, A100)
    assert full.trained == pytest.approx(16 * 1.2358e9, rel=0.01)
    assert full.weights == pytest.approx(2 * 1.2358e9, rel=0.01)  # autocast's copies
    # TRL holds a tile of the vocabulary's scores, never the table: 4 x 2,048 x 128,256 of them would be 2.1 GB in bf16.
    wide = memory(one, Training(batch_size=4), Lora(), 2048, 1, A100)
    assert wide.passing < 1e9
    # What does not fit is taken in smaller micro-batches first, and recomputed where one row is too much.
    four = qlora.model_copy(update={"batch_size": 4})
    smaller = memory(eight, four, Lora(), 1024, 1, T4)
    assert (smaller.micro_batch, smaller.checkpointing) == (1, False)
    tight = memory(eight, four, Lora(), 4096, 1, T4)
    assert (tight.micro_batch, tight.checkpointing) == (1, True)
    asked = memory(eight, four.model_copy(update={"gradient_checkpointing": False}), Lora(), 4096, 1, T4)
    assert not asked.checkpointing and tight.activations < asked.activations / 8
    roomy = memory(eight, four, Lora(), 1024, 1, A100)
    assert (roomy.micro_batch, roomy.checkpointing) == (4, False)


def test_a_base_that_overflows_fp16_is_planned_in_float32_on_a_t4() -> None:
    qwen, llama = shape("qwen2.5-1.5b-instruct"), shape("llama-3.2-1b-instruct")
    assert [dtype_of(one, Training(), T4) for one in (qwen, llama)] == ["float32", "float16"]
    assert [dtype_of(one, Training(), A100) for one in (qwen, llama)] == ["bfloat16", "bfloat16"]
    assert memory(qwen, Training(), Lora(), 512, 1, T4).weights == pytest.approx(4 * qwen.parameters)
    slow = seconds(qwen, Training(), Lora(), 10, 1e6, 5e5, T4)
    assert slow > 3 * seconds(qwen, Training(dtype="float16"), Lora(), 10, 1e6, 5e5, T4)


def test_trained_parameters_are_pefts() -> None:
    # PEFT's own count for Llama-3.2-1B, r=16, all linear layers: 11,272,192.
    assert trained_parameters(shape("llama-3.2-1b-instruct"), Lora(rank=16)) == 11_272_192
    attention = trained_parameters(shape("llama-3.2-1b-instruct"), Lora(rank=16, target="attention"))
    assert attention + trained_parameters(shape("llama-3.2-1b-instruct"), Lora(rank=16, target="mlp")) == 11_272_192


def test_time_grows_with_tokens_and_weights() -> None:
    small_one, large = shape("llama-3.2-1b-instruct"), shape("llama-3.2-3b-instruct")
    once = seconds(large, Training(), Lora(), 100, 2e6, 1e6, A100)
    assert seconds(large, Training(), Lora(), 100, 4e6, 2e6, A100) == pytest.approx(2 * once)
    assert seconds(small_one, Training(), Lora(), 100, 2e6, 1e6, A100) < once
    assert seconds(large, Training(), Lora(method="full"), 100, 2e6, 1e6, A100) == pytest.approx(1.5 * once)


@pytest.mark.parametrize("path", sorted(set(SHIPPED) - set(TRAINING)), ids=lambda path: path.stem)
def test_a_file_that_trains_nothing_has_nothing_to_rehearse(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ExperimentInvalid, match="trains nothing"):
        rehearsal(load_experiment(path), Workspace(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_every_shipped_file_that_trains_is_rehearsed_offline(
    path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bases, data, templates, variants and plan; nothing is trained here."""
    experiment = load_experiment(path)
    place = Workspace(tmp_path_factory.mktemp("rehearsal"))
    rehearsed = rehearsal(experiment, place)
    small_one = rehearsed.experiment
    found = plan(small_one, place)
    assert not found.problems, found.problems
    assert small_one.name == f"{experiment.name}-rehearsal"
    assert small_one.evaluate.forms == experiment.evaluate.forms
    assert len(small_one.bases) == len(experiment.bases) == len(set(small_one.bases))
    assert all(group.parameters and group.parameters < 400_000 and group.steps == 3 for group in found.groups)
    assert all(group.rows and group.rows >= 10 and group.validation_rows for group in found.groups)
    # Every form is made of one run of each base, and the words say so and what is left out.
    assert {run.base for run in variants(small_one) if run.id in rehearsed.leads} == set(small_one.bases)
    assert len(rehearsed.leads) == len(small_one.bases)
    said = " ".join(rehearsed.words)
    assert f"rehearsing {found.runs} runs" in said and "not rehearsed: memory, time" in said
    assert ("made up" in said) == any(source.name != "python-stdlib" for source in experiment.data.sources)
    if experiment.sweep.variants:
        assert found.runs == len(experiment.sweep.variants) * len(experiment.bases)


def test_a_rehearsal_catches_a_wrong_column(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "experiment.yaml").write_text(
        "name: wrong\nbases: [llama-3.2-1b-instruct]\n"
        "data: {sources: [{name: rows.jsonl, columns: {prompt: '{question}', answer: '{completion}'}}]}\n"
    )
    place = Workspace(tmp_path / "w")
    found = plan(rehearsal(load_experiment(tmp_path / "experiment.yaml"), place).experiment, place)
    assert "column 'question' is missing or null; columns are completion, prompt" in found.problems[0]
