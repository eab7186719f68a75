"""`bakeoff evaluate --forms`: a miniature adapter is exported, measured beside its file, and the cost is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bakeoff.main import app
from evaluator import sandbox_available
from results import Model, Workspace
from trainer import miniature

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sandbox_available()[0], reason=f"no sandbox: {sandbox_available()[1]}"),
]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A store with a base of random weights and an adapter that changes them."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = miniature("smollm2", tmp_path / "base")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, target_modules="all-linear"))
    for name, values in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(values, std=0.05)
    model.save_pretrained(tmp_path / "adapter")
    place = Workspace(tmp_path / "workspace")
    with place.store() as store:
        store.models.add(Model("base-1", "base", "base", "mini", "b" * 64, 1, str(base)))
        tuned = Model("a-1", "tuned", "adapter", "mini", "a" * 64, 1, str(tmp_path / "adapter"), base_path=str(base))
        store.models.add(tuned)
    return place


def test_a_form_is_exported_measured_and_its_cost_told(workspace: Workspace) -> None:
    words = ["evaluate", "tuned", "--forms", "gguf-q8_0", "--tasks", "3", "--max-tokens", "8", "--workspace"]
    rows = json.loads(CliRunner().invoke(app, [*words, str(workspace.path), "--json"], catch_exceptions=False).stdout)
    by_model = {row["model"]: row for row in rows if row["metric"] == "pass@1"}
    assert set(by_model) == {"tuned", "tuned@q8_0"} and "form_cost" not in by_model["tuned"]
    cost = by_model["tuned@q8_0"]["form_cost"]
    assert (cost["against"], cost["contrast"]["method"], cost["contrast"]["items"]) == ("tuned", "mcnemar", 3)
    assert cost["low"] <= cost["cost"] <= cost["high"]
    told = CliRunner().invoke(app, [*words, str(workspace.path)], catch_exceptions=False).stdout
    assert "Q8_0 costs 0.0 points" in told and "not distinguishable: tuned@q8_0 against tuned" in told
    with workspace.store() as store:
        assert {one.form for one in store.models.list()} == {"base", "adapter", "gguf-q8_0"}
        assert len(store.evaluations.list(benchmark="humaneval")) == 2  # nothing was measured twice
    failed = CliRunner().invoke(app, ["evaluate", "tuned", "--forms", "q8", "--workspace", str(workspace.path)])
    assert failed.exit_code != 0 and "gguf-q8_0" in str(failed.exception)
