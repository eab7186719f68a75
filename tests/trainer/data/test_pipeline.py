"""From a data section to examples: deterministic, split without leaks, kept in the workspace, reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import Workspace
from trainer import Conversation, TrainerError, base_tokenizer, load_experiment, prepare, validation_rows
from trainer.bases.miniature_tokenizers import miniature_tokenizer
from trainer.data.pipeline import read_conversations, split
from trainer.experiment.schema import Data


def rows_file(path: Path, count: int = 60) -> Path:
    rows = [
        {
            "prompt": f"Spell the number {n} backwards",
            "completion": " ".join(f"{n * digit:x}" for digit in range(3, 24)),
        }
        for n in range(1000, 1000 + count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def data_of(path: Path, **settings: Any) -> Data:
    return Data.model_validate({"sources": [{"name": str(path)}], "validation_fraction": 0.25, **settings})


def test_the_same_data_gives_the_same_identity_and_another_seed_another(tmp_path: Path) -> None:
    data = data_of(rows_file(tmp_path / "rows.jsonl"))
    tokenizer = miniature_tokenizer("llama")
    first = prepare(data, tokenizer, 256, Workspace(tmp_path / "one"))
    assert prepare(data, tokenizer, 256, Workspace(tmp_path / "two")).identity == first.identity
    again = prepare(data, tokenizer, 256, Workspace(tmp_path / "one"))  # from the workspace's cache
    assert (again.identity, again.report, again.train_rows) == (first.identity, first.report, first.train_rows)
    assert len(list((tmp_path / "one" / "cache").iterdir())) == 1
    other = prepare(data.model_copy(update={"seed": 1}), tokenizer, 256, Workspace(tmp_path / "one"))
    assert other.identity != first.identity
    assert prepare(data, tokenizer, 40, Workspace(tmp_path / "one")).identity != first.identity


def test_examples_and_conversations_stand_side_by_side(tmp_path: Path) -> None:
    tokenizer = miniature_tokenizer("qwen2")
    found = prepare(data_of(rows_file(tmp_path / "rows.jsonl")), tokenizer, 256, Workspace(tmp_path / "w"))
    for examples, rows in ((found.train, found.train_rows), (found.validation, found.validation_rows)):
        assert len(examples) == len(rows)
        for index, (example, row) in enumerate(zip(examples, rows, strict=True)):
            assert example.row == index
            assert row.answers[0] in tokenizer.decode(example.input_ids)
            assert example.answer_bytes == len(row.answers[0].encode())
    assert found.report["kept"] == 60 == len(found.train) + len(found.validation)
    assert found.report["tokens"]["training"]["tokens"] == found.train_tokens


@pytest.mark.slow
def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    data = data_of(rows_file(tmp_path / "rows.jsonl"))
    place = Workspace(tmp_path / "w")
    assert len(read_conversations(data, place).rows) == 60
    rows_file(tmp_path / "rows.jsonl", 61)
    assert len(read_conversations(data, place).rows) == 61


def test_a_damaged_cache_is_read_again(tmp_path: Path) -> None:
    data = data_of(rows_file(tmp_path / "rows.jsonl"))
    place = Workspace(tmp_path / "w")
    whole = read_conversations(data, place)
    [kept] = (tmp_path / "w" / "cache").iterdir()
    text = kept.read_text()
    for damaged in ("", "{", text[: len(text) // 2], text.replace('"messages"', '"massages"')):
        kept.write_text(damaged)
        assert read_conversations(data, place).rows == whole.rows


def row(prompt: str, answer: str = "a") -> Conversation:
    return Conversation(({"role": "user", "content": prompt}, {"role": "assistant", "content": answer}), "s", 0)


@given(st.lists(st.text(max_size=4), min_size=1, max_size=60), st.floats(0.01, 0.9), st.integers(0, 3))
def test_no_prompt_is_on_both_sides(prompts: list[str], fraction: float, seed: int) -> None:
    data = Data.model_validate({"sources": [{"name": "x"}], "validation_fraction": fraction, "seed": seed})
    rows = [row(prompt, str(number)) for number, prompt in enumerate(prompts)]
    if len(set(prompts)) < 2:
        with pytest.raises(TrainerError, match="two are needed"):
            split(rows, data)
        return
    train, validation = split(rows, data)
    assert train and validation
    assert not {one.prompt for one in train} & {one.prompt for one in validation}
    assert len(train) + len(validation) == len(rows)


def test_a_row_keeps_its_side_in_another_mix() -> None:
    data = Data.model_validate({"sources": [{"name": "x"}], "validation_fraction": 0.2})
    prompts = [f"prompt {number}" for number in range(400)]
    _, whole = split([row(prompt) for prompt in prompts], data)
    _, part = split([row(prompt) for prompt in prompts[::2]], data)
    assert {one.prompt for one in part} == {one.prompt for one in whole} & set(prompts[::2])
    assert 50 < len(whole) < 110  # 80 expected


def test_validation_rows_are_those_of_training(tmp_path: Path) -> None:
    rows_file(tmp_path / "rows.jsonl")
    path = tmp_path / "experiment.yaml"
    path.write_text("name: x\nbases: [none]\ndata: {sources: [{name: rows.jsonl}], validation_limit: 5}\n")
    experiment = load_experiment(path)
    held = validation_rows(experiment, Workspace(tmp_path / "w"))
    found = prepare(experiment.data, miniature_tokenizer("gemma"), 512, Workspace(tmp_path / "w"))
    assert tuple(held) == found.validation_rows and len(held) <= 5


def test_rows_cut_before_their_answer_are_an_error_when_none_is_left(tmp_path: Path) -> None:
    data = data_of(rows_file(tmp_path / "rows.jsonl"))
    with pytest.raises(TrainerError, match=r"No training row has an answer within 8 tokens.*training\.max_length"):
        prepare(data, miniature_tokenizer("llama"), 8, Workspace(tmp_path / "w"))


def test_progress_is_told_and_ends(tmp_path: Path) -> None:
    told: dict[str, tuple[int, int]] = {}
    data = data_of(rows_file(tmp_path / "rows.jsonl"))
    prepare(
        data,
        miniature_tokenizer("llama"),
        64,
        Workspace(tmp_path / "w"),
        lambda what, done, of: told.update({what: (done, of)}),
    )
    assert told and all(done == total for done, total in told.values()), told


def test_a_bases_own_tokenizer(small: Callable[[str], Path], tmp_path: Path) -> None:
    tokenizer = base_tokenizer(str(small("smollm2")))
    found = prepare(data_of(rows_file(tmp_path / "rows.jsonl")), tokenizer, 128, Workspace(tmp_path / "w"))
    assert found.report["tokens"]["training"]["longest"] <= 128
