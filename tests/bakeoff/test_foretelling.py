"""The time of a whole experiment: every stage and form is in it, and it moves with what decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bakeoff.experiment.elsewhere import Standing
from bakeoff.experiment.foretelling import Others, Whole, aside, batches, foretold
from bakeoff.fine_tuning.plan_text import plan_text
from engines import T4, Place, llamacpp_gpus
from results import BakeoffError
from trainer import Evaluate, Group, Plan, miniature
from trainer.bases.registry import base_entry, packaged_path
from trainer.planning.plan import Need

CPU = Place("this CPU", "cpu", 16e9, "bfloat16", 200e9, 20e9, cores=2, triton=False)


def group(**changes: Any) -> Group:
    found = base_entry("llama-3.2-1b-instruct")
    assert found is not None
    needs = tuple(Need(place.name, 1e9, place.memory_bytes, False, 100.0) for place in (CPU, T4))
    return replace(
        Group(
            found.hub, ("rank8", "rank16"), found.shape.parameters, rows=100, validation_rows=20, tokens=20_000,
            validation_tokens=4_000, steps=10, passes=1.0, needs=needs, shape=found.shape,
        ),
        **changes,
    )  # fmt: skip


def wholes(settings: Mapping[str, Any], *groups: Group) -> tuple[Whole, ...]:
    return foretold(Evaluate.model_validate(settings), Plan("e", groups or (group(),), (), ()), (CPU, T4))


EVERYTHING = {"humaneval": {}, "stopping": {}, "latency": {}, "forms": ["adapter", "gguf-q8_0"]}


def test_every_stage_of_every_form_is_foretold() -> None:
    here, card = wholes(EVERYTHING)
    assert [(part.stage, part.form) for part in here.parts] == [
        ("training", ""), ("export", "gguf-q8_0"),
        ("humaneval", "adapter"), ("humaneval", "gguf-q8_0"), ("heldout", "adapter"), ("heldout", "gguf-q8_0"),
        ("stopping", "adapter"), ("stopping", "gguf-q8_0"), ("latency", "gguf-q8_0"),
    ]  # fmt: skip
    assert all(part.seconds > 0 for part in here.parts)
    assert here.seconds == pytest.approx(sum(part.seconds for part in here.parts))
    assert card.seconds < here.seconds


def seconds(whole: Whole, stage: str, form: str = "") -> float:
    return sum(part.seconds for part in whole.parts if part.stage == stage and form in ("", part.form))


def test_more_tasks_tokens_and_models_take_longer() -> None:
    base, *_ = wholes({"humaneval": {"tasks": 40}, "forms": ["gguf-q8_0"]})
    more, *_ = wholes({"humaneval": {"tasks": 160}, "forms": ["gguf-q8_0"]})
    short, *_ = wholes({"humaneval": {"tasks": 40, "max_tokens": 16}, "forms": ["gguf-q8_0"]})
    alone, *_ = wholes({"humaneval": {"tasks": 40}, "forms": ["gguf-q8_0"], "base": False})
    assert 2 * seconds(base, "humaneval") < seconds(more, "humaneval") < 5 * seconds(base, "humaneval")
    assert seconds(short, "humaneval") < seconds(base, "humaneval")
    assert seconds(alone, "export") == pytest.approx(seconds(base, "export") * 2 / 3)
    twice, *_ = wholes({"humaneval": {"tasks": 40}, "forms": ["gguf-q8_0"]}, group(), group())
    assert twice.seconds == pytest.approx(2 * base.seconds)


def test_gguf_files_are_asked_on_the_gpu_only_by_a_build_for_it() -> None:
    here, card = wholes(EVERYTHING)
    on_card = bool(llamacpp_gpus())
    assert card.llamacpp == (T4.name if on_card else CPU.name)
    assert (seconds(card, "latency") == seconds(here, "latency")) is not on_card
    assert seconds(card, "humaneval", "adapter") < seconds(here, "humaneval", "adapter")


def test_what_stands_beside_a_base_is_loaded_with_it() -> None:
    evaluate = Evaluate.model_validate({"forms": ["adapter", "gguf-q4_0"]})
    over_folder = {batch.form: batch for batch in batches(evaluate, group())}
    assert (over_folder["adapter"].models, over_folder["adapter"].files) == (3, 1)
    assert (over_folder["gguf-q4_0"].models, over_folder["gguf-q4_0"].files) == (3, 3)
    over_file = {batch.form: batch for batch in batches(evaluate, group(base_is_gguf=True))}
    assert {form: batch.models for form, batch in over_file.items()} == {"adapter": 2, "gguf-q4_0": 2, "gguf-other": 1}


def test_models_that_are_there_already_take_the_time_of_trained_ones_without_training(tmp_path: Path) -> None:
    folder, file = miniature("llama", tmp_path / "base"), packaged_path("smollm2-135m-instruct")
    assert file is not None
    evaluate = Evaluate.model_validate(EVERYTHING)
    found = aside(evaluate, (Standing("adapter", folder), Standing("adapter", folder), Standing("merged", folder)))
    assert [(batch.form, batch.models, there) for batch, there in found] == [
        ("adapter", 3, False), ("gguf-q8_0", 3, False), ("merged", 1, True), ("gguf-q8_0", 1, False),
    ]  # fmt: skip
    plan = Plan("e", (), (), ())
    alone, twice = (
        foretold(evaluate, plan, (CPU,), Others((Standing("gguf-q4_0", file),) * count, 4_000.0))[0] for count in (1, 2)
    )
    assert [(part.stage, part.form) for part in alone.parts] == [
        (stage, "gguf-q4_0") for stage in ("humaneval", "heldout", "stopping", "latency")
    ], "a file is measured as it is, whatever formats are asked for"
    assert alone.seconds < twice.seconds < 2.1 * alone.seconds
    assert foretold(evaluate, plan, (CPU,), Others())[0].seconds == 0


def test_settings_that_a_measurement_refuses_are_named_before_anything_is_spent() -> None:
    with pytest.raises(BakeoffError, match=r"evaluate\.humaneval\.max_tokens: .*; it is 0"):
        wholes({"humaneval": {"max_tokens": 0}})
    with pytest.raises(BakeoffError, match=r"evaluate\.latency\.warmth"):
        wholes({"latency": {"warmth": 3}, "forms": ["gguf-q8_0"]})


def test_without_rows_no_time_is_made_up() -> None:
    assert wholes(EVERYTHING, group(validation_tokens=None)) == ()


def test_the_plan_in_words_has_the_total_and_its_parts() -> None:
    told = plan_text(Plan("e", (group(),), (), ()), wholes(EVERYTHING))
    assert "the whole experiment, within a factor of two" in told
    line = next(line for line in told.splitlines() if line.startswith("  T4") and "exports" in line)
    assert "training 2 min" in line and "HumanEval" in line and "gguf-q8_0" in line
