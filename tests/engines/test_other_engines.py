"""The door, the choice of an engine by form, and the advisor."""

from __future__ import annotations

from pathlib import Path

import pytest

import engines
from engines import EngineError, FileRefused, Sampling, open_engine
from results import Model, Workspace


def test_a_model_whose_file_is_gone_is_named(tmp_path: Path) -> None:
    model = Model("x", "lost", "gguf-q8_0", "b", "0" * 64, 1, "exports/lost.gguf")
    with pytest.raises(FileRefused, match="lost"):
        open_engine(model, Workspace(tmp_path))


@pytest.mark.slow
def test_models_on_one_base_share_a_process(tiny: Path, adapters: list[Path], tmp_path: Path) -> None:
    models = [
        Model("b", "base", "base", "tiny", "b" * 64, 1, str(tiny)),
        Model("a", "tuned", "lora-gguf", "tiny", "a" * 64, 1, str(adapters[0]), base_path=str(tiny)),
    ]
    opened = engines.open_engines(models, Workspace(tmp_path), context=64, threading_choice=engines.Threading(1))
    assert opened["b"].server is opened["a"].server
    answers = [opened[key].complete(["Hello"], Sampling(8, ignore_end=True))[0] for key in ("b", "a")]
    assert answers[0].text != answers[1].text and answers[1].model == "a" * 64
    for engine in opened.values():
        engine.close()


@pytest.mark.slow
def test_the_advisor_tries_every_form_and_choice(tiny: Path, adapters: list[Path], tmp_path: Path) -> None:
    forms = [
        Model("g", "whole", "gguf-f16", "tiny", "b" * 64, 1, str(tiny)),
        Model("l", "tuned", "lora-gguf", "tiny", "a" * 64, 1, str(adapters[0]), base_path=str(tiny)),
    ]
    rows = engines.advise(forms, Workspace(tmp_path), tokens=4)
    assert rows[0].best and not any(row.best for row in rows[1:])
    assert {(row.model, row.form) for row in rows} == {("whole", "gguf-f16"), ("tuned", "lora-gguf")}
    assert {row.threads for row in rows} >= {1} and all(row.tokens_per_second > 0 for row in rows)
    assert len({(row.model, row.threads, row.patient) for row in rows}) == len(rows)


def test_an_error_names_the_endpoint_without_its_password(tmp_path: Path) -> None:
    model = Model("m", "m", "remote", "b", "0" * 64, 0, "http://me:secret@127.0.0.1:9/v1")
    with pytest.raises(EngineError) as refusal:
        open_engine(model, Workspace(tmp_path)).complete(["1 + 1 ="], Sampling())
    assert "127.0.0.1:9" in str(refusal.value)
    assert "secret" not in str(refusal.value)
