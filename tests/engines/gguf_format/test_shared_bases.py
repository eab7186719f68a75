"""Adapters over a base in safetensors share one exported base; what cannot be made is known before it is trained."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import ExportRefused, References, base_sha256, export, file_sha256, open_engines, why_not
from engines.gguf_format.header import read_header
from engines.gguf_format.writer import FolderSource, write_model
from results import Model, Workspace

Miniature = Callable[[str], Path]


def adapter_over(folder: Path, place: Path, seed: int = 0, **settings: Any) -> Model:
    """A PEFT adapter that changes the base's answers, as training leaves it and registers it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    chosen = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", **settings}
    model = get_peft_model(base, LoraConfig(**chosen))
    for name, values in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(values, std=0.1)
        if "magnitude" in name:
            values.data *= torch.rand_like(values) * 2
    model.save_pretrained(place)
    AutoTokenizer.from_pretrained(folder).save_pretrained(place)
    return Model(
        f"{place.name}-1", place.name, "adapter", "owner/mini", f"{place.name}-identity", 1, str(place),
        base_path=str(folder), weights_sha256=base_sha256(folder),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3"])
def test_adapters_of_a_folder_share_one_exported_base(family: str, miniature: Miniature, tmp_path: Path) -> None:
    folder = miniature(family)
    models = [adapter_over(folder, tmp_path / f"tuned{seed}", seed) for seed in (1, 2)]
    workspace = Workspace(tmp_path / "workspace")
    references = References(workspace, models)
    with workspace.store() as store:
        first, second = [export(one, "lora-gguf", workspace, store, references=references) for one in models]
        base = store.models.find("mini@q8_0")
        assert [one.name for one in (first, second)] == ["tuned1@lora-q8_0", "tuned2@lora-q8_0"]
        assert first.base_path == second.base_path == base.path and first.weights_sha256 == base.weights_sha256
        assert (first.details["over"], first.details["over_form"]) == ("mini@q8_0", "gguf-q8_0")
        assert len(list(workspace.path.glob("exports/*/*-q8_0.gguf"))) == 1
        assert first.bytes == base.bytes + workspace.resolve(first.path).stat().st_size
        assert all(one.details["parity"]["loss_increase_nats_per_token"] < 0.03 for one in (base, first, second))
        assert export(models[0], "lora-gguf", workspace, store) == store.models.get(first.id)
        engines = open_engines([base, first, second], workspace, context=64)
        try:
            assert len({id(engine.server) for engine in engines.values()}) == 1  # in memory once
        finally:
            for engine in engines.values():
                engine.close()


@pytest.mark.slow
def test_the_base_is_loaded_once_for_all_that_are_compared_with_it(miniature: Miniature, tmp_path: Path) -> None:
    folder = miniature("llama")
    models = [adapter_over(folder, tmp_path / f"tuned{seed}", seed) for seed in (1, 2)]
    workspace = Workspace(tmp_path / "workspace")
    base = Model("mini-1", "mini", "base", "owner/mini", "b" * 64, 1, str(folder))
    references = References(workspace, [base, *models])
    with workspace.store() as store:
        store.models.add(base)
        for form in ("gguf-q8_0", "gguf-q4_0", "lora-gguf"):
            for model in (base, *models) if form != "lora-gguf" else models:
                export(model, form, workspace, store, references=references)
    assert references.loads == 1
    assert references.expected(models[0]) != references.expected(models[1])  # each adapter was asked itself


@pytest.mark.slow
@pytest.mark.parametrize("over", ["gguf-q4_0", "gguf-f16"])
def test_the_file_that_adapters_stand_beside_is_a_choice(over: Any, miniature: Miniature, tmp_path: Path) -> None:
    model = adapter_over(
        miniature("llama"), tmp_path / "tuned", use_rslora=True, rank_pattern={"q_proj": 2}, alpha_pattern={"v_proj": 3}
    )
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        made = export(model, "lora-gguf", workspace, store, over)
        beside = export(model, "lora-gguf", workspace, store)
    assert made.name == f"tuned@lora-{over.removeprefix('gguf-')}" and beside.name == "tuned@lora-q8_0"
    assert made.identity != beside.identity
    assert made.details["parity"]["loss_increase_nats_per_token"] < {"gguf-q4_0": 0.6, "gguf-f16": 0.001}[over]


@pytest.mark.slow
def test_a_base_without_a_template_is_exported_with_that_of_its_fine_tunes(
    miniature: Miniature, tmp_path: Path
) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(miniature("llama"), folder)
    model = adapter_over(folder, tmp_path / "tuned")
    (folder / "chat_template.jinja").unlink()
    model = dataclasses.replace(model, weights_sha256=base_sha256(folder))
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        made = export(model, "lora-gguf", workspace, store)
    assert made.details["parity"]["conversations"] == 4
    assert "start_header_id" in read_header(workspace.resolve(made.base_path)).metadata["tokenizer.chat_template"]


@pytest.mark.slow
def test_dora_ships_merged_and_never_beside_a_base(miniature: Miniature, tmp_path: Path) -> None:
    model = adapter_over(miniature("llama"), tmp_path / "dora", use_dora=True, target_modules=["q_proj", "down_proj"])
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        with pytest.raises(ExportRefused, match="gguf-q8_0") as refused:
            export(model, "lora-gguf", workspace, store)
        assert refused.value.check == "dora" and store.models.list() == []  # nor was a base exported for it
        made = export(model, "gguf-f16", workspace, store)
    assert made.details["parity"]["loss_increase_nats_per_token"] < 0.001


@pytest.mark.parametrize("family", ["llama", "llama-scaled", "smollm", "qwen2", "qwen3", "mistral", "gemma2", "gemma3"])
def test_what_can_be_made_is_known_without_weights(family: str, miniature: Miniature, tmp_path: Path) -> None:
    folder = tmp_path / "config"
    shutil.copytree(miniature(family), folder)
    (folder / "model.safetensors").unlink()
    for form in ("adapter", "merged", "lora-gguf", "gguf-f16", "gguf-q8_0", "gguf-q4_0"):
        assert why_not(form, folder) == ""
    assert "no adapter" in why_not("lora-gguf", folder, whole=True)
    assert "gguf-q8_0" in why_not("lora-gguf", folder, dora=True)
    assert why_not("gguf-q8_0", folder, dora=True) == ""
    assert "Nothing can be exported as 'ggml'" in why_not("ggml", folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_type": "phi3"}, "'phi3' models are not exported"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "Rotary scaling 'longrope'"),
        ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 128}, "sliding window"),
    ],
)
def test_what_cannot_be_made_is_named_without_weights(
    change: dict[str, Any], named: str, miniature: Miniature, tmp_path: Path
) -> None:
    folder = tmp_path / "config"
    shutil.copytree(miniature("llama"), folder)
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config.pop("rope_parameters", None)
    (folder / "config.json").write_text(json.dumps({**config, **change}), "utf-8")
    for form in ("lora-gguf", "gguf-q8_0"):
        assert named in why_not(form, folder) and "adapter or merged" in why_not(form, folder)
    assert why_not("adapter", folder) == why_not("merged", folder) == ""


def test_blocks_of_rows_make_the_same_file_as_whole_tensors(
    miniature: Miniature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import engines.gguf_format.writer as module

    files = []
    for name, block in (("whole", 1 << 30), ("blocks", 64)):
        monkeypatch.setattr(module, "BLOCK", block)
        files.append(tmp_path / f"{name}.gguf")
        write_model(files[-1], FolderSource(miniature("llama"), "mini"), "gguf-q4_0")
    assert files[0].read_bytes() == files[1].read_bytes()
    moved = files[1].rename(tmp_path / "moved.gguf")
    assert file_sha256(moved) == hashlib.sha256(moved.read_bytes()).hexdigest()  # taken while it was written
    moved.write_bytes(b"other")
    assert file_sha256(moved) == hashlib.sha256(b"other").hexdigest()
    assert dataclasses.asdict(read_header(files[0]))["tensors"]


def test_a_delta_is_merged_row_by_row() -> None:
    from engines.gguf_format.lora import Delta

    draws = np.random.default_rng(0)
    weights, down, up = (draws.normal(size=shape).astype(np.float32) for shape in ((6, 8), (2, 8), (6, 2)))
    lengths = np.abs(draws.normal(size=6)).astype(np.float32)
    merged = weights.copy()
    for first in (0, 4):
        Delta(down, up, lengths).add_to(merged[first : first + 4], first)
    np.testing.assert_allclose(np.linalg.norm(merged, axis=1), lengths, rtol=1e-5)
    plain = weights + up @ down
    np.testing.assert_allclose(merged, plain * (lengths / np.linalg.norm(plain, axis=1))[:, None], rtol=1e-5)
