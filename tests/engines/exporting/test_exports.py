"""Every family in every form answers as transformers does; broken exports are refused by the name of the check."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import ExportRefused, FileRefused, LlamaCppEngine, Threading, export
from engines.exporting.parity import check
from engines.exporting.parity_corpus import TEXTS
from engines.gguf_format.header import read_header
from engines.gguf_format.hyperparameters import llama3_factors, read_config
from engines.gguf_format.vocabulary import gguf_tokenizer
from engines.gguf_format.writer import FolderSource, GgufSource, write_model
from engines.huggingface.engine import HuggingFaceEngine
from results import Model, Workspace

Miniature = Callable[[str], Path]
ONE = Threading(1)


def reference(folder: Path) -> HuggingFaceEngine:
    import torch

    return HuggingFaceEngine(folder, dtype=torch.float32)


def gate(folder: Path, file: Path, form: str) -> Any:
    engine = LlamaCppEngine.open(file, context=512, threading_choice=ONE, reuse=False)
    try:
        return check(reference(folder), engine, form)
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", ["llama", "llama-scaled", "smollm", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3"]
)
def test_every_family_in_every_form_passes_the_gate(family: str, miniature: Miniature, tmp_path: Path) -> None:
    folder = miniature(family)
    sizes = []
    for form in ("gguf-f16", "gguf-q8_0", "gguf-q4_0"):
        file = tmp_path / f"{form}.gguf"
        write_model(file, FolderSource(folder), form)
        passed = gate(folder, file, form)
        assert passed.loss_increase_nats < 0.01
        sizes.append(read_header(file).weights_bytes)
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.slow
def test_an_ordinary_token_that_looks_like_an_end_stays_ordinary(miniature: Miniature, tmp_path: Path) -> None:
    """As in Qwen2.5, whose `</s>` no text is ever split into; llama.cpp would take it for a control token."""
    folder = tmp_path / "model"
    shutil.copytree(miniature("qwen2"), folder)
    data = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    last, index = max(data["model"]["vocab"].items(), key=lambda item: item[1])
    del data["model"]["vocab"][last]
    data["model"]["vocab"]["</s>"] = index
    data["model"]["merges"] = [pair for pair in data["model"]["merges"] if "".join(pair).replace(" ", "") != last]
    (folder / "tokenizer.json").write_text(json.dumps(data), "utf-8")
    file = tmp_path / "model.gguf"
    write_model(file, FolderSource(folder), "gguf-f16")
    passed = gate(folder, file, "gguf-f16")
    assert index not in passed.end_ids and passed.texts == len(TEXTS)
    assert gguf_tokenizer(file).get_vocab().keys() >= {"</s>\u0120"}


class Broken(FolderSource):
    """A source whose tensors or metadata are changed by the given functions, as a faulty converter would."""

    def __init__(self, folder: Path, tensor: Callable[[str, Any], Any] | None = None, **vocabulary: Any) -> None:
        super().__init__(folder)
        self._change = tensor
        self._replaced = vocabulary

    def blocks(self, name: str) -> Iterator[Any]:
        found = np.concatenate([rows() for _, rows in super().blocks(name)])
        yield 0, lambda: self._change(name, found) if self._change else found

    def describe(self, writer: Any) -> None:
        import engines.gguf_format.writer as module
        from engines.gguf_format.vocabulary import read_vocabulary

        original = module.describe_vocabulary
        super().describe(writer)
        for key in [key for key in writer.kv_data[0] if key.startswith("tokenizer.")]:
            del writer.kv_data[0][key]
        size = self._parameters.vocabulary
        original(writer, dataclasses.replace(read_vocabulary(self._folder, size), **self._replaced))


def swapped(name: str, tensor: Any) -> Any:
    return np.ascontiguousarray(tensor[::-1]) if ".attn_" in name and tensor.ndim == 2 else tensor


@pytest.mark.slow
@pytest.mark.parametrize(
    ("check_name", "change"),
    [
        ("token-ids", {"pre": "smollm"}),
        ("template", {"template": "{% for m in messages %}{{ m['content'] }}{% endfor %}"}),
        ("end-ids", {"ids": {"bos": 394, "eos": 5}}),
        ("logits", {"tensor": swapped}),
    ],
)
def test_a_broken_export_is_refused_by_name(
    check_name: str, change: dict[str, Any], miniature: Miniature, tmp_path: Path
) -> None:
    folder = miniature("llama")
    if check_name == "end-ids":  # the end-of-turn token must not look like one by its name either
        change = {**change, "tokens": None}
        from engines.gguf_format.vocabulary import read_vocabulary

        size = json.loads((folder / "config.json").read_text())["vocab_size"]
        tokens = list(read_vocabulary(folder, size).tokens)
        change["tokens"] = [token.replace("<|eot_id|>", "<|no_end|>") for token in tokens]
    write_model(tmp_path / "broken.gguf", Broken(folder, **change), "gguf-f16")
    with pytest.raises(ExportRefused) as refused:
        gate(folder, tmp_path / "broken.gguf", "gguf-f16")
    if check_name == "end-ids":
        assert refused.value.check in ("end-ids", "token-ids", "template")
    else:
        assert refused.value.check == check_name


@pytest.fixture
def tuned(miniature: Miniature, tmp_path: Path) -> Iterator[tuple[Model, Workspace, Path]]:
    """A PEFT adapter over a miniature's folder, as training leaves it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = miniature("llama")
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    settings = LoraConfig(
        r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "k_proj", "v_proj", "down_proj"],
        init_lora_weights=False,
    )  # fmt: skip
    torch.manual_seed(1)
    get_peft_model(base, settings).save_pretrained(tmp_path / "adapter")
    workspace = Workspace(tmp_path / "workspace")
    model = Model(
        "a-1", "tuned", "adapter", "mini", "a" * 64, 1, str(tmp_path / "adapter"), base_path=str(folder)
    )  # fmt: skip
    yield model, workspace, folder


@pytest.mark.slow
def test_forms_of_one_adapter_are_models_of_their_own(tuned: tuple[Model, Workspace, Path]) -> None:
    model, workspace, _ = tuned
    with workspace.store() as store:
        made = [export(model, form, workspace, store) for form in ("merged", "gguf-f16", "gguf-q8_0", "gguf-q4_0")]
        assert len({one.identity for one in made}) == 4
        assert [one.name for one in made] == ["tuned@merged", "tuned@f16", "tuned@q8_0", "tuned@q4_0"]
        assert all(workspace.resolve(one.path).exists() for one in made)
        assert made[1].bytes > made[2].bytes > made[3].bytes
        assert made[1].details["parity"]["loss_increase_nats_per_token"] < 0.001
        assert export(model, "gguf-q8_0", workspace, store) == store.models.find("tuned@q8_0")
        again = export(made[0], "gguf-f16", workspace, store)  # from the merged folder
        assert again.details["parity"]["same_top_token"] == 1.0
    modelfile = (workspace.resolve(made[2].path).parent / "Modelfile").read_text()
    assert modelfile.startswith("FROM ./tuned-q8_0.gguf\n")


@pytest.mark.slow
def test_an_adapter_over_a_gguf_ships_beside_it_and_merged(
    tuned: tuple[Model, Workspace, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, workspace, folder = tuned
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    base = tmp_path / "base.gguf"
    write_model(base, FolderSource(folder), "gguf-q8_0")
    model = dataclasses.replace(model, base_path=str(base), name="over-gguf")
    with workspace.store() as store:
        lora = export(model, "lora-gguf", workspace, store)
        whole = export(model, "gguf-q8_0", workspace, store)
    assert lora.base_path == str(base) and lora.bytes > base.stat().st_size
    assert lora.details["parity"]["loss_increase_nats_per_token"] < 0.01
    assert whole.details["parity"]["loss_increase_nats_per_token"] < 0.01
    assert "ADAPTER ./adapter.gguf" in (workspace.resolve(lora.path).parent / "Modelfile").read_text()


@pytest.mark.slow
def test_a_gguf_source_keeps_its_metadata(miniature: Miniature, tmp_path: Path) -> None:
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    write_model(first, FolderSource(miniature("qwen2")), "gguf-f16")
    write_model(second, GgufSource(first), "gguf-q8_0")
    ours, theirs = dict(read_header(first).metadata), dict(read_header(second).metadata)
    assert ours.pop("general.file_type") == 1 and theirs.pop("general.file_type") == 7
    assert ours == theirs


@pytest.mark.slow
def test_training_splits_text_as_the_gguf_says(weights: Path) -> None:
    """transformers alone would give "½ Ⅷ" other tokens than llama.cpp."""
    engine = LlamaCppEngine.open(weights, context=64, threading_choice=ONE)
    try:
        tokenizer = gguf_tokenizer(weights)
        for text in ("½ Ⅷ ① 123", "it's 2026"):
            assert tokenizer(text).input_ids == engine.tokens(text)
    finally:
        engine.close()


def test_rotary_factors_are_those_of_transformers() -> None:
    import torch
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling = {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }  # fmt: skip
    config = LlamaConfig(hidden_size=2048, num_attention_heads=32, rope_parameters=scaling)
    wanted, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = 1 / 500000.0 ** (np.arange(0, 64, 2) / 64)
    np.testing.assert_allclose(plain / llama3_factors(scaling, 500000.0, 64), wanted.numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auto_map", {"AutoModel": "x.Y"}),
        ("_attn_implementation", "owner/kernel"),
        ("_attn_implementation_internal", "x"),
    ],
)
def test_a_config_that_asks_for_code_is_refused(key: str, value: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", key: value}))
    with pytest.raises(FileRefused, match=key):
        read_config(tmp_path)


def test_an_unknown_family_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    with pytest.raises(ExportRefused, match="mamba"):
        FolderSource(tmp_path)
