"""Models that are only spoken to: the project's own server on miniature weights as the endpoint, and a GGML file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bakeoff.main import app
from engines import EngineError
from evaluator import (
    ModelUnmeasurable,
    choose_models,
    evaluate_humaneval,
    evaluate_stopping,
    rescore_stored,
    sandbox_available,
)
from results import Model, Store, Workspace
from tests.engines.llamacpp.test_ggml_legacy import VOCABULARY, write_ggml

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sandbox_available()[0], reason=f"no sandbox: {sandbox_available()[1]}"),
]

FEW = {"tasks": 3, "max_tokens": 16}


@pytest.fixture
def served(base: Path, tmp_path: Path) -> Iterator[Callable[[], tuple[str, Callable[[], None]]]]:
    """Starts `bakeoff serve` with one model; gives its address and how to stop it."""
    far = Workspace(tmp_path / "far")
    with far.store() as store:
        store.models.add(Model("base-1", "base", "base", "mini", "b" * 64, 1, str(base)))
    running: list[subprocess.Popen[str]] = []

    def start() -> tuple[str, Callable[[], None]]:
        command = [sys.executable, "-m", "bakeoff", "serve", "--port", "0", "--workspace", str(tmp_path / "far")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stderr is not None
        found = next(filter(None, (re.search(r"http://\S+/v1", line) for line in process.stderr)))

        def stop() -> None:
            process.terminate()
            process.wait()

        return found[0], stop

    yield start
    for process in running:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def remote(store: Store, url: str) -> Model:
    return store.models.add(Model("far-1", "far", "remote", "mini", "f" * 64, 0, url, details={"model": "base"}))


def answers(store: Store, evaluation_id: str) -> dict[str, object]:
    return {one.item: one.details["answer"] for one in store.evaluations.outcomes(evaluation_id)}


def test_an_endpoint_says_what_its_weights_say(
    served: Callable[[], tuple[str, Callable[[], None]]], store: Store, workspace: Workspace, base: Path
) -> None:
    url, _ = served()
    near = store.models.add(Model("base-1", "base", "base", "mini", "b" * 64, 1, str(base)))
    torch.set_num_threads(1)
    far = remote(store, url.replace("http://", "http://somebody:secret@"))
    for settings in ({**FEW, "prompting": "raw"}, FEW):
        spoken, loaded = evaluate_humaneval([far, near], store, workspace, settings)
        assert spoken.status == loaded.status == "finished"
        assert answers(store, spoken.id) == answers(store, loaded.id)
        assert spoken.settings == {**loaded.settings, "engine": "openai"}
        assert [(one.metric, one.value) for one in spoken.scores] == [(one.metric, one.value) for one in loaded.scores]
    reached = spoken.details["reached"]
    assert reached["url"] == url and reached["model"] == "base" and "identity" in reached["self_test"]
    assert "secret" not in json.dumps(spoken.details)
    words = ["evaluate", "base", "--url", url, "--tasks", "3", "--max-tokens", "16", "--workspace", str(workspace.path)]
    rows = json.loads(CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).stdout)
    assert [row["value"] for row in rows] == [one.value for one in spoken.scores]
    (model,) = choose_models(store, workspace, ["base"], url=url)
    assert rows[0]["model"] == model.name and model.name.startswith("base (127.0.0.1:")
    (named,) = store.evaluations.list(model_id=model.id)
    assert answers(store, named.id) == answers(store, loaded.id)
    (again,) = rescore_stored([model], "humaneval", store)
    assert (again.id, again.scores) == (named.id, named.scores)


def test_an_endpoint_that_goes_away_costs_nothing_that_was_answered(
    served: Callable[[], tuple[str, Callable[[], None]]], store: Store, workspace: Workspace
) -> None:
    url, stop = served()
    far = remote(store, url)

    def gone_after_two(what: str, done: int, total: int) -> None:
        if what == "answers to humaneval" and done == 2:
            stop()

    eight = {"tasks": 20, "max_tokens": 16}
    with pytest.raises(EngineError, match=r"cannot be reached|broke off"):
        evaluate_humaneval([far], store, workspace, eight, gone_after_two)
    (broken,) = store.evaluations.list(model_id=far.id)
    assert broken.status == "failed" and url in broken.reason
    kept = answers(store, broken.id)
    assert 2 <= len(kept) < 20
    url, _ = served()
    far = store.models.add(Model("far-1", "far", "remote", "mini", "f" * 64, 0, url, details={"model": "base"}))
    totals: set[int] = set()
    (whole,) = evaluate_humaneval(
        [far], store, workspace, eight, lambda what, _, total: totals.add(total) if "answers" in what else None
    )
    assert whole.id == broken.id and whole.status == "finished" and totals == {20 - len(kept)}
    assert kept.items() <= answers(store, whole.id).items() and len(answers(store, whole.id)) == 20


def test_what_is_no_endpoint_is_refused(store: Store, workspace: Workspace) -> None:
    with pytest.raises(ModelUnmeasurable, match="no address of an endpoint"):
        choose_models(store, workspace, ["m"], url="localhost:1234")
    with pytest.raises(ModelUnmeasurable, match="OPENAI_API_KEY") as refused:
        choose_models(store, workspace, ["m"], url="https://me:secret@example.org/v1")
    assert "secret" not in str(refused.value) and not store.models.list()
    with pytest.raises(ModelUnmeasurable, match="Which of the models"):
        choose_models(store, workspace, url="http://127.0.0.1:1/v1")


def test_a_ggml_file_continues_and_does_not_chat(store: Store, workspace: Workspace, tmp_path: Path) -> None:
    pytest.importorskip("ctransformers")
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    write_ggml(
        tmp_path / "old.bin",
        GPT2LMHeadModel(GPT2Config(vocab_size=257, n_positions=64, n_embd=32, n_layer=1, n_head=2)),
        VOCABULARY,
    )
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    task = {"task_id": "T/0", "prompt": "def f(x):\n", "entry_point": "f", "canonical_solution": "    return x\n"}
    benchmark = tmp_path / "tiny.jsonl"
    benchmark.write_text(json.dumps({**task, "test": "def check(candidate):\n    assert candidate(1) == 1\n"}) + "\n")
    settings = {"benchmark": str(benchmark), "max_tokens": 8}
    old = store.models.add(Model("old-1", "old", "ggml", "gpt2", "e" * 64, 1, str(tmp_path / "old.bin")))
    (done,) = evaluate_humaneval([old], store, workspace, settings)
    assert done.status == "finished" and done.settings["prompting"] == "raw"
    assert done.settings["engine"] == "ctransformers" and set(answers(store, done.id)) == {"T/0"}
    with pytest.raises(ModelUnmeasurable, match=r"no chat template.*--prompting raw"):
        evaluate_humaneval([old], store, workspace, {**settings, "prompting": "chat"})
    with pytest.raises(ModelUnmeasurable, match=r"needs them.*--benchmark humaneval"):
        evaluate_stopping([old], store, workspace)
