"""Publishing: the card says what the store knows and nothing of this machine; the push speaks the Hub's HTTP."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from results import Evaluation, Machine, Model, Outcome, Point, Report, Run, Score, Store, Workspace
from tests import hub_stand_in
from trainer import TrainerError, push, upload_of
from trainer.hub.card import model_card

MACHINE = Machine("m1", "Some | CPU", ("avx2",), 2, 8 << 30, "", "Linux", {"torch": "2.13"})

CONFIG = {
    "base": "llama-3.2-1b-instruct",
    "data.sources": [{"name": "mlabonne/FineTome-100k"}, {"name": "/home/me/secret/rows.jsonl"}],
    "training.learning_rate": 2e-4,
    "lora.rank": 8,
    "lora.alpha": 16.0,
}


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A workspace with a base, a fine-tune of it, scores of both, and reports."""
    workspace = Workspace(tmp_path / "workspace")
    folder = workspace.folder("models", "run-1")
    (folder / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/home/me/bases/llama", "r": 8}))
    (folder / "training_args.bin").write_bytes(b"a pickle")
    with workspace.store() as store:
        store.machines.add(MACHINE)
        store.runs.add(Run("run-1", "demo-rank8", "demo", "llama-3.2-1b-instruct", CONFIG, 0))
        store.runs.start("run-1", "m1", 40)
        losses = [
            Point("validation_loss", step, 2.0 - step / 100 + (0.5 if step == 40 else 0)) for step in (10, 20, 30, 40)
        ]
        store.curves.append("run-1", losses)
        store.runs.finish("run-1", "finished", "")
        base = Model("base-1", "llama", "base", "llama-3.2-1b-instruct", "0" * 64, 10, "/home/me/bases/llama")
        tuned = Model(
            "demo-1", "demo-rank8", "adapter", base.base, "f" * 64, 2_500_000, "models/run-1", run_id="run-1"
        )  # fmt: skip
        for model, value in ((base, 0.25), (tuned, 0.30)):
            store.models.add(model)
            evaluation = Evaluation(f"e-{model.id}", model.id, "humaneval", {}, "m1", subset="20 of 164 tasks")
            store.evaluations.begin(evaluation)
            store.evaluations.finish(evaluation.id, [Score("pass@1", value, value - 0.1, value + 0.1, 20)], {})
        data = {
            "sources": [{"source": "mlabonne/FineTome-100k", "read": 1000, "usable": 990}],
            "filters": {"near_duplicates": {"removed": 17}},
            "tokens": {"training": {"rows": 900, "tokens": 90_000, "trained_tokens": 60_000, "truncated": 3}},
        }
        store.reports.put(Report("run-1", "data", data))
        found = {"benchmark": "humaneval", "items": ["HumanEval/7"], "total": 164, "threshold": 0.4, "ngram_words": 10}
        store.reports.put(Report("run-1", "contamination", {**found, "others": []}))
    return workspace


def card_of(place: Workspace, **changes: str) -> str:
    with place.store() as store:
        return model_card(store.models.find("demo-rank8"), store, "me/small")


def test_the_card_says_what_the_store_knows(place: Workspace) -> None:
    card = card_of(place)
    _, header, body = card.split("---\n", 2)
    assert yaml.safe_load(header) == {
        "license": "llama3.2",
        "base_model": "meta-llama/Llama-3.2-1B-Instruct",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "datasets": ["mlabonne/FineTome-100k"],
        "tags": ["bakeoff"],
    }
    for part in (
        "| humaneval (20 of 164 tasks) | pass@1 | 0.3 | 0.2 to 0.4 | 0.25 | 20 | 20",
        "Best validation loss: 1.7000 nats per token at step 30.",
        "| 40 | 2.1000 |",
        "| lora.rank | 8 |",
        "| mlabonne/FineTome-100k | 1,000 | 990 |",
        "near duplicates: 17",
        "humaneval: 1 of 164 tasks share at least 40 %",
        "HumanEval/7",
        'from_pretrained("me/small")',
        "f" * 64,
        "Some \\| CPU",
    ):
        assert part in body, part


def test_every_test_stands_with_its_day_and_engine_and_what_others_measured_is_marked(place: Workspace) -> None:
    day = datetime(2026, 11, 3, tzinfo=UTC)
    outcomes = [Outcome(name, 0, "passed", details={"group": "g"} if name != "c" else {}) for name in "abc"]
    with place.store() as store:
        for name, origin in (("mine", "measured"), ("theirs", "imported")):
            one = Evaluation(name, "demo-1", name, {"engine": "llamacpp"}, "m1", origin=origin)  # type: ignore[arg-type]
            store.evaluations.begin(one)
            store.evaluations.add_outcomes(name, outcomes if name == "mine" else [])
            store.evaluations.finish(name, [Score("pass@1", 0.5, 0.25, 0.75, 3)], at=day)
        said = model_card(store.models.find("demo-rank8"), store)
    assert "| mine (in 2 groups) | pass@1 | 0.5 | 0.25 to 0.75 | – | 3 | 2026-11-03, llama.cpp |" in said
    assert "| theirs | pass@1 | 0.5 | 0.25 to 0.75 | – | 3 | 2026-11-03, llama.cpp, imported |" in said


def test_the_base_beside_it_was_asked_through_the_same_engine_or_it_is_said(place: Workspace) -> None:
    def measured(store: Store, model: str, engine: str, value: float, machine: str = "m1") -> None:
        one = Evaluation(f"{model}-{engine}", model, "humaneval", {"engine": engine}, machine, subset="41 tasks")
        store.evaluations.begin(one)
        store.evaluations.finish(one.id, [Score("pass@1", value, None, None, 41)], {})

    with place.store() as store:
        measured(store, "demo-1", "huggingface", 0.5)
        measured(store, "base-1", "llamacpp", 0.1)
        said = model_card(store.models.find("demo-rank8"), store, "me/small")
        assert "| pass@1 | 0.5 | – | 0.1 (through llamacpp) | 41 | 20" in said
        assert "Answered through: transformers." in said
        store.machines.add(dataclasses.replace(MACHINE, id="m2"))
        measured(store, "base-1", "huggingface", 0.2, "m2")
        said = model_card(store.models.find("demo-rank8"), store, "me/small")
        assert "| pass@1 | 0.5 | – | 0.2 | 41 | 20" in said, "quality is compared whatever the machine"


def test_nothing_of_this_machine_is_published(place: Workspace) -> None:
    with place.store() as store:
        upload = upload_of(store.models.find("demo-rank8"), "me/small", store, place)
    assert sorted(upload.files) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    texts = [file for file in upload.files.values() if isinstance(file, bytes)]
    assert texts and not any(b"/home/me" in text or str(place.path).encode() in text for text in texts)
    config = json.loads(upload.files["adapter_config.json"])  # type: ignore[arg-type]
    assert config == {"base_model_name_or_path": "meta-llama/Llama-3.2-1B-Instruct", "r": 8}


def test_what_is_not_ours_or_not_there_is_refused(place: Workspace) -> None:
    with place.store() as store:
        with pytest.raises(TrainerError, match="nothing of yours"):
            upload_of(store.models.find("llama"), "me/small", store, place)
        store.models.add(Model("gone-1", "gone", "gguf-q8_0", "x", "a" * 64, 1, "exports/gone.gguf"))
        with pytest.raises(TrainerError, match="was the workspace moved"):
            upload_of(store.models.find("gone"), "me/small", store, place)
        with pytest.raises(TrainerError, match="should be user/name"):
            push(upload_of(store.models.find("demo-rank8"), "no name", store, place))


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'results.db'}") as store:
        name = "x|y\n# [click](javascript:1) <script>"
        store.models.add(Model("h-1", name, "merged", "/home/me/base", "a" * 64, 1, "models/h"))
        card = model_card(store.models.get("h-1"), store)
    assert "<script>" not in card.split("```")[0] and "[click](" not in card.split("```")[0] and "/home/me" not in card


def pushed(place: Workspace, url: str, token: str) -> subprocess.CompletedProcess[str]:
    """`bakeoff push` in a process of its own: the Hub's client reads its environment when it is imported."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    own = {"HF_ENDPOINT": url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(place.path / "hf")}
    command = [sys.executable, "-m", "bakeoff", "push", "demo-rank8", "me/small", "--workspace", str(place.path)]
    return subprocess.run(command, env={**kept, **own}, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.slow
def test_a_push_arrives_whole(place: Workspace) -> None:
    with hub_stand_in.hub() as hub:
        done = pushed(place, hub.url, hub_stand_in.TOKEN)
    assert done.returncode == 0, (done.stderr, hub.calls)
    assert done.stdout.strip() == f"{hub.url}/me/small/commit/1"
    assert hub.created["name"] == "small" and hub.created["visibility"] == "private"
    assert sorted(hub.files) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert hub.files["adapter_model.safetensors"] == bytes(range(256)) * 40
    assert hub.files["README.md"].decode() == card_of(place) == hub.validated


@pytest.mark.slow
def test_a_wrong_token_is_one_line_with_the_remedy(place: Workspace) -> None:
    with hub_stand_in.hub() as hub:
        done = pushed(place, hub.url, "wrong")
        assert done.returncode == 2 and "HF_TOKEN" in done.stderr and "Traceback" not in done.stderr
        assert "wrong" not in done.stderr.replace("wrong token", "")
    assert not hub.files
