"""GGUF models asked through llama.cpp, the real one, on miniature weights: a base file and LoRA-GGUFs beside it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from engines import (
    LEAST_REUSED,
    EngineError,
    FileChanged,
    FolderSource,
    Sampling,
    Threading,
    file_sha256,
    open_engine,
    open_engines,
    write_model,
)
from engines.gguf_format.header import read_header
from engines.gguf_format.lora import Delta, write_lora
from evaluator import IdentityFailed, ModelUnmeasurable, evaluate_humaneval, evaluate_stopping, sandbox_available
from evaluator.asking.backends import Group, groups
from evaluator.asking.kept import kept_open
from evaluator.asking.questions import Question
from results import Evaluation, Model, Run, Store, Workspace
from tests.engines.weights import write_adapters
from tests.processes import running
from trainer import miniature

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sandbox_available()[0], reason=f"no sandbox: {sandbox_available()[1]}"),
]

FEW = {"tasks": 3, "max_tokens": 16}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base file, two adapters beside it and one of zeros."""
    place = tmp_path_factory.mktemp("weights")
    base = place / "base.gguf"
    write_model(base, FolderSource(miniature("smollm2", place / "folder")), "gguf-f16")
    first, second, _ = write_adapters(base, place)
    header = read_header(base)
    name = next(tensor.name for tensor in header.tensors if ".attn_q." in tensor.name)
    shape = next(tensor.shape for tensor in header.tensors if tensor.name == name)
    zeros = Delta(np.ones((2, shape[0]), np.float32), np.zeros((shape[1], 2), np.float32))
    write_lora(place / "zeros.gguf", {name: zeros}, header, "zeros")
    return {"base": base, "first": first, "second": second, "zeros": place / "zeros.gguf"}


@pytest.fixture
def models(store: Store, files: dict[str, Path]) -> list[Model]:
    return [added(store, files, name) for name in ("base", "first", "second")]


def added(store: Store, files: dict[str, Path], name: str) -> Model:
    sha = file_sha256(files["base"])
    model = Model(f"{name}-1", name, "lora-gguf", "mini", name, 1, str(files[name]), weights_sha256=sha)
    if name == "base":
        return store.models.add(dataclasses.replace(model, form="base"))
    return store.models.add(dataclasses.replace(model, base_path=str(files["base"]), run_id=None))


def answers(store: Store, evaluation: Evaluation) -> dict[str, str]:
    return {one.item: one.details["answer"] for one in store.evaluations.outcomes(evaluation.id)}


def servers() -> list[psutil.Process]:
    """The llama.cpp processes of this test."""
    return running("engines.llamacpp.child_main")


def test_one_process_answers_for_a_base_and_its_adapters_as_each_alone(
    store: Store, workspace: Workspace, models: list[Model]
) -> None:
    seen: set[int] = set()
    found = evaluate_humaneval(models, store, workspace, FEW, lambda *_: seen.update(one.pid for one in servers()))
    assert len(seen) == 1 and not servers()
    said = [answers(store, one) for one in found]
    assert said[0] != said[1] != said[2] != said[0]
    for model, evaluation, texts in zip(models, found, said, strict=True):
        assert evaluation.settings["engine"] == "llamacpp" and evaluation.settings["prompting"] == "chat"
        assert evaluation.details["reached"]["engine"] == "llamacpp" and evaluation.details["near_ties"] is None
        outcomes = store.evaluations.outcomes(evaluation.id)
        assert all(one.verdict not in (None, "error") and one.details["tokens"] <= 16 for one in outcomes)
        alone = open_engine(model, workspace, context=2048, slots=1, threading_choice=Threading(1), reuse=False)
        try:
            for outcome in outcomes:
                prompt = str(outcome.details["prompt"])
                assert prompt.startswith("<|im_start|>")
                whole = "".join(piece.text for piece in alone.stream_text(prompt, Sampling(16)))
                assert whole.startswith(texts[outcome.item])
        finally:
            alone.close()


def test_a_long_beginning_is_read_once_and_never_taken_from_another_adapters_slot(
    workspace: Workspace, models: list[Model]
) -> None:
    long, short = "def add(a, b):\n    return a + b\n" * 12, "x = 1\n"
    asked = [(0, long), (0, long), (1, long), (1, long), (2, long), (0, long), (0, short), (0, short)]
    opened = open_engines(models, workspace, context=1024, slots=1, threading_choice=Threading(1), reuse=LEAST_REUSED)
    whole = open_engines(models, workspace, context=1024, slots=1, threading_choice=Threading(1), reuse=0)
    held, said, afresh = [], [], []
    try:
        for number, (place, beginning) in enumerate(asked):
            stream, alone = (
                engines[models[place].id].stream_text(f"{beginning}y{number} =", Sampling(8))
                for engines in (opened, whole)
            )
            said.append("".join(piece.text for piece in stream))
            afresh.append("".join(piece.text for piece in alone))
            assert stream.prompt_read == len(stream.prompt) - stream.held
            assert alone.prompt_read == len(alone.prompt) and alone.held == 0
            held.append(stream.held >= LEAST_REUSED)
    finally:
        for engine in (*opened.values(), *whole.values()):
            engine.close()
    assert held == [False, True, False, True, False, False, False, False]
    assert said == afresh and len(set(said[:6])) > 1


def test_the_way_through_transformers_is_another_measurement(
    store: Store, workspace: Workspace, models: list[Model]
) -> None:
    (shipped,) = evaluate_humaneval(models[:1], store, workspace, FEW)
    (other,) = evaluate_humaneval(models[:1], store, workspace, {**FEW, "engine": "huggingface"})
    assert other.id != shipped.id and other.settings == {**shipped.settings, "engine": "huggingface"}
    assert "dequantized" in other.details["reached"]["weights"] and other.details["near_ties"] is not None
    assert evaluate_humaneval(models[:1], store, workspace, {**FEW, "engine": "llamacpp"}) == [shipped]


def test_stopping_is_measured_on_what_ships_and_set_against_its_own_base(
    store: Store, workspace: Workspace, models: list[Model]
) -> None:
    base, lora = models[0], dataclasses.replace(models[1], id="run-1", name="run", run_id="run")
    store.runs.add(Run("run", "run", "e", "mini", {}, 0))
    tuned, untouched = evaluate_stopping(
        [store.models.add(lora), base], store, workspace, {"prompts": "study-d", "max_tokens": 8}
    )
    for one in (tuned, untouched):
        assert one.settings["engine"] == "llamacpp" and one.details["reached"]["engine"] == "llamacpp"
        assert all(0 < outcome.details["tokens"] <= 8 for outcome in store.evaluations.outcomes(one.id))
    assert "length_over_base" in {score.metric for score in tuned.scores}
    assert tuned.details["length_against"] == "base"
    (other,) = evaluate_stopping(
        [lora], store, workspace, {"prompts": "study-d", "max_tokens": 8, "engine": "huggingface"}
    )
    assert "length_over_base" not in {score.metric for score in other.scores}, "of another engine is no yardstick"


def test_a_base_beside_adapters_that_only_transformers_runs_is_asked_as_they_are(
    store: Store, workspace: Workspace, models: list[Model], files: dict[str, Path]
) -> None:
    base, lora = models[:2]
    adapter = dataclasses.replace(lora, id="a", name="a", form="adapter", path=str(files["base"].parent))
    assert [one.engine for one in groups([base, adapter], workspace)] == ["huggingface"]
    mixed = groups([base, adapter, lora], workspace)
    assert {one.engine: [each.name for each in one.members] for one in mixed} == {
        "huggingface": ["a"], "llamacpp": ["base", "first"],
    }  # fmt: skip
    with pytest.raises(ModelUnmeasurable, match="bakeoff export a --form"):
        groups([base, adapter], workspace, "llamacpp")


def killing(at: int) -> Callable[[str, int, int], None]:
    """Ends llama.cpp's process by a signal once so many answers are there."""

    def progress(what: str, done: int, total: int) -> None:
        if what == "answers to humaneval" and done == at:
            for process in servers():
                process.send_signal(signal.SIGSEGV)

    return progress


def test_an_engine_that_dies_is_asked_again(store: Store, workspace: Workspace, models: list[Model]) -> None:
    settings = {"tasks": 20, "max_tokens": 16, "slots": 1}  # beside others in a batch a near tie may go otherwise
    (whole,) = evaluate_humaneval(models[1:2], store, workspace, settings)
    expected = answers(store, whole)
    (again,) = evaluate_humaneval(models[1:2], store, workspace, settings, killing(3), anew=True)
    assert again.status == "finished" and again.details["verdicts"].get("error", 0) == 0
    assert answers(store, again) == expected


def test_an_engine_that_stays_away_fails_the_measurement_and_no_model(
    store: Store, workspace: Workspace, files: dict[str, Path], tmp_path: Path
) -> None:
    file = shutil.copy(files["base"], tmp_path / "moved.gguf")
    model = store.models.add(Model("moved-1", "moved", "gguf-f16", "mini", "m" * 64, 1, str(file)))
    settings = {"tasks": 20, "max_tokens": 16, "slots": 1}

    def gone(what: str, done: int, total: int) -> None:
        if what == "answers to humaneval" and done == 3:
            os.rename(file, tmp_path / "away.gguf")
        killing(3)(what, done, total)

    with pytest.raises(EngineError):
        evaluate_humaneval([model], store, workspace, settings, gone)
    (failed,) = store.evaluations.list(model_id=model.id)
    kept = answers(store, failed)
    assert failed.status == "failed" and failed.reason and 3 <= len(kept) < 20
    assert all(one.verdict not in (None, "error") for one in store.evaluations.outcomes(failed.id))
    os.rename(tmp_path / "away.gguf", file)
    totals: set[int] = set()
    (done,) = evaluate_humaneval([model], store, workspace, settings, lambda what, _, total: totals.add(total))
    assert done.status == "finished" and 20 - len(kept) in totals
    assert {item: answers(store, done)[item] for item in kept} == kept


def test_a_prompt_that_the_model_has_no_room_for_is_an_error_and_no_answer(
    store: Store, workspace: Workspace, models: list[Model]
) -> None:
    long = "Mind the sky. " * 800
    settings = {**FEW, "instruction": long + "{prompt}"}
    with pytest.raises(EngineError, match="context"):
        evaluate_humaneval(models[:1], store, workspace, settings)
    (failed,) = store.evaluations.list(model_id=models[0].id)
    assert failed.status == "failed" and not failed.scores
    assert {one.verdict for one in store.evaluations.outcomes(failed.id)} == {"error"}


def test_the_self_test_knows_a_dead_adapter_and_another_file(
    store: Store, workspace: Workspace, files: dict[str, Path], models: list[Model]
) -> None:
    with pytest.raises(IdentityFailed, match="never trained") as caught:
        evaluate_humaneval([added(store, files, "zeros")], store, workspace, FEW)
    assert caught.value.check == "adapter"
    other = store.models.add(dataclasses.replace(models[0], id="template", name="template", template_sha256="0" * 64))
    with pytest.raises(IdentityFailed) as caught:
        evaluate_humaneval([other], store, workspace, FEW)
    assert caught.value.check == "template"
    other = store.models.add(dataclasses.replace(models[0], id="weights", name="weights", weights_sha256="0" * 64))
    with pytest.raises(FileChanged, match="the base of weights, is not what was registered"):
        evaluate_humaneval([other], store, workspace, FEW)
    assert not servers()


def test_a_race_is_asked_through_one_engine_that_stays_open_until_its_end(
    models: list[Model], workspace: Workspace
) -> None:
    def questions(group: Group) -> list[Question]:
        return [Question(model, "def one(", (), Sampling(4)) for model in group.members]

    with kept_open(models, workspace, None, questions) as grouped:
        (whole,) = grouped(models)
        with whole.opened([]) as asked:
            asked.check(models[1])
        (part,) = grouped(models[1:])
        assert part.members == tuple(models[1:]) and part.prompting(None).keys() == {one.id for one in models[1:]}
        with part.opened([]) as later:
            assert later is asked
            assert len(list(later.answers(questions(part), None))) == 2
        assert part.details()["reached"]["engine"] == "llamacpp"
