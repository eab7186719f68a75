"""A GGUF file unpacked for transformers answers as the folder that it was written from, rotary scaling included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines import FolderSource, HuggingFaceEngine, unpacked, write_model
from engines.gguf_format.header import Header, read_header
from engines.gguf_format.hyperparameters import config_of, llama3_factors, read_config

Miniature = Callable[[str], Path]
PROMPT = "def add(a, b):\n    return a + b  # 0123456789 naïve 中文 the quick brown fox jumps over the lazy dog again"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", ["llama", "llama-scaled", "smollm", "qwen2", "qwen3", "mistral", "gemma2", "gemma3"]
)  # not Gemma 1, whose tokenizer transformers reads from no GGUF file
def test_every_family_answers_as_the_folder_it_was_written_from(
    family: str, miniature: Miniature, tmp_path: Path
) -> None:
    folder, file = miniature(family), tmp_path / "model.gguf"
    write_model(file, FolderSource(folder), "gguf-f16")
    engines = [HuggingFaceEngine(path, dtype=torch.float32) for path in (folder, file)]
    assert not list((tmp_path / "cache").rglob("*.safetensors"))  # what is only measured is not written
    wanted, got = (engine.mixed_logits(PROMPT, [""]) for engine in engines)
    assert float((wanted - got).abs().max()) < 0.02 * float(wanted.std())
    assert engines[0].end_ids == engines[1].end_ids


@pytest.mark.slow
@pytest.mark.parametrize("family", ["smollm", "qwen2", "gemma2"])
def test_the_weights_are_those_that_transformers_unpacks(family: str, miniature: Miniature, tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, GgufConfig

    file = tmp_path / "model.gguf"
    write_model(file, FolderSource(miniature(family)), "gguf-q8_0")
    ours: dict[str, Any] = {}
    for shard in sorted(unpacked(file, "bfloat16").glob("*.safetensors")):
        ours |= load_file(str(shard))
    theirs = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=file.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    ).state_dict()
    assert set(ours) == set(theirs) - {"lm_head.weight"} | ({"lm_head.weight"} & set(ours))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_rotary_scalings_are_read_back(miniature: Miniature, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    write_model(file, FolderSource(miniature("llama-scaled")), "gguf-q8_0")
    read, written = config_of(read_header(file))["rope_parameters"], read_config(miniature("llama-scaled"))
    assert read == written["rope_parameters"]


def test_the_scaling_of_llama_3_is_told_from_its_factors() -> None:
    scaling = {
        "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192
    }  # fmt: skip
    factors = tuple(float(one) for one in llama3_factors(scaling, 500000.0, 64))
    from engines.gguf_format.hyperparameters import _llama3_scaling

    found = _llama3_scaling(Header(3, {}, (), 0, factors), 500000.0, 64)
    assert found == {"rope_type": "llama3", **scaling}
    from engines import FileRefused

    with pytest.raises(FileRefused, match="rope_freqs"):
        _llama3_scaling(Header(3, {}, (), 0, tuple(np.linspace(1, 9, 32))), 500000.0, 64)
