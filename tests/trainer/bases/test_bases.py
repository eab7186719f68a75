"""Bases: device and dtype said aloud, identities, GGUF files; what is hostile, gated or missing is refused by name."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines import BF16_FLAGS, cpu_flags
from trainer import TrainerError, base_identity, base_tokenizer, load_base
from trainer.bases.devices import choose
from trainer.bases.loading import hub_remedy
from trainer.bases.miniatures import ARCHITECTURES
from trainer.bases.registry import ENTRIES, base_entry, shape_of

PUBLISHED = {
    "smollm2-135m-instruct": 134_515_008,
    "smollm2-360m-instruct": 361_821_120,
    "smollm2-1.7b-instruct": 1_711_376_384,
    "llama-3.2-1b-instruct": 1_235_814_400,
    "llama-3.2-3b-instruct": 3_212_749_824,
    "llama-3.1-8b-instruct": 8_030_261_248,
    "qwen2.5-0.5b-instruct": 494_032_768,
    "qwen2.5-1.5b-instruct": 1_543_714_304,
    "qwen2.5-3b-instruct": 3_085_938_688,
    "qwen2.5-7b-instruct": 7_615_616_512,
    "gemma-2-2b-it": 2_614_341_888,
    "gemma-2-9b-it": 9_241_705_984,
    "gemma-3-1b-it": 999_885_952,
    "mistral-7b-instruct-v0.3": 7_248_023_552,
    "phi-3.5-mini-instruct": 3_821_079_552,
}
"""Parameters by the models' cards and safetensors indices."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_registrys_shapes_have_the_published_parameters(name: str) -> None:
    found = base_entry(name)
    assert found and found.shape.parameters == PUBLISHED[name]
    assert base_entry(found.hub.upper()) is found


def test_every_registered_architecture_has_a_miniature() -> None:
    assert {found.shape.architecture for found in ENTRIES} <= set(ARCHITECTURES)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_miniatures_load_speak_and_match_their_shape(architecture: str, small: Callable[[str], Path]) -> None:
    import torch

    folder = small(architecture)
    base = load_base(str(folder), dtype="float32", device="cpu")
    shape = shape_of(json.loads((folder / "config.json").read_text()))
    assert sum(weight.numel() for weight in base.model.parameters()) == shape.parameters
    assert not any(weight.requires_grad for weight in base.model.parameters())
    text = "Größe 日本 \n\n\tdef f(x): 1234"
    ids = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert base.tokenizer.decode(ids) == text
    with torch.no_grad():
        logits = base.model(torch.tensor([ids])).logits
    assert logits.shape == (1, len(ids), len(base.tokenizer)) and logits.isfinite().all()
    assert float(logits.std()) > 0.05  # not flat: which token is likeliest is no accident of rounding


def test_identity_is_of_the_content_not_of_the_place(small: Callable[[str], Path], tmp_path: Path) -> None:
    copy = shutil.copytree(small("llama"), tmp_path / "elsewhere")
    assert base_identity(str(copy)) == base_identity(str(small("llama")))
    tokenizer = copy / "tokenizer_config.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert base_identity(str(copy)) != base_identity(str(small("llama")))


def test_dtype_is_chosen_by_the_cpu_and_said() -> None:
    chosen = choose("auto", "cpu")
    fast = any(flag in cpu_flags() for flag in BF16_FLAGS)
    assert chosen.dtype == ("bfloat16" if fast else "float32")
    assert chosen.dtype in chosen.notes[0] and "the CPU has" in chosen.notes[0]
    other = "float32" if fast else "bfloat16"
    assert f"auto would choose {chosen.dtype}" in choose(other, "cpu").notes[0]
    assert "4 bits" in choose("auto", "cpu", "nf4").notes[1]
    with pytest.raises(TrainerError, match="float16 does not train on a CPU"):
        choose("float16", "cpu")


def test_a_gpu_that_is_not_there() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(TrainerError, match="sees no NVIDIA GPU"):
        choose("auto", "cuda:0")


@pytest.mark.slow
def test_nf4_on_a_cpu(small: Callable[[str], Path]) -> None:
    import torch

    base = load_base(str(small("llama")), quantization="nf4", device="cpu")
    layer = base.model.model.layers[0].self_attn.q_proj
    assert layer.weight.dtype == torch.uint8 and base.quantization == "nf4"
    plain = load_base(str(small("llama")), device="cpu", dtype="float32")
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        near = base.model(ids).logits.float() - plain.model(ids).logits
    assert 0 < float(near.abs().mean()) < 0.3 * float(plain.model(ids).logits.abs().mean())


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("config.json", {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}, "config.json has 'auto_map'"),
        ("config.json", {"_attn_implementation": "someone/kernel"}, "has '_attn_implementation'"),
        ("config.json", {"_attn_implementation_internal": "x/y"}, "has '_attn_implementation_internal'"),
        ("config.json", {"text_config": {"auto_map": {}}}, "has 'auto_map'"),
        (
            "tokenizer_config.json",
            {"auto_map": {"AutoTokenizer": ["x.T", None]}},
            "tokenizer_config.json has 'auto_map'",
        ),
    ],
)
def test_configurations_that_ask_for_code_are_refused(
    small: Callable[[str], Path], tmp_path: Path, file: str, change: dict[str, Any], said: str
) -> None:
    folder = shutil.copytree(small("llama"), tmp_path / "hostile")
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**config, **change}))
    for load in (load_base, base_tokenizer):
        with pytest.raises(TrainerError, match=said):
            load(str(folder))


def test_pickled_weights_are_never_loaded(small: Callable[[str], Path], tmp_path: Path) -> None:
    import torch

    folder = shutil.copytree(small("llama"), tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    mark = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return mark.touch, ()

    torch.save(Bomb(), folder / "pytorch_model.bin")
    with pytest.raises(TrainerError, match="Cannot load the base"):
        load_base(str(folder))
    assert not mark.exists()


def gguf(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_files_that_are_no_base(small: Callable[[str], Path], tmp_path: Path) -> None:
    bomb = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"x" + struct.pack("<IIQ", 9, 0, 2**63)
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbled").mkdir()
    (tmp_path / "garbled" / "config.json").write_text("{")
    for name, said in (
        (str(gguf(tmp_path / "bomb.gguf", bomb)), "bomb.gguf"),
        (str(gguf(tmp_path / "text.gguf", b"hello")), "text.gguf"),
        (str(gguf(tmp_path / "weights.bin", b"x")), "no GGUF"),
        (str(tmp_path / "empty"), "no config.json"),
        (str(tmp_path / "garbled"), "config.json: not valid JSON"),
        (str(tmp_path / "none"), "No base at"),
        ("./none.gguf", "No base at"),
    ):
        with pytest.raises(TrainerError, match=said):
            base_tokenizer(name)


def test_hub_bases_that_do_not_come_name_the_remedy() -> None:
    with pytest.raises(
        TrainerError, match=r"not on this machine and the Hub cannot be reached.*hf download meta-llama/"
    ):
        base_tokenizer("llama-3.2-1b-instruct")

    class GatedRepoError(Exception):
        """The Hub client's class of this name needs an HTTP response; the remedy goes by the name."""

    class RepositoryNotFoundError(Exception):
        """Likewise."""

    said = hub_remedy("meta-llama/Llama-3.2-1B-Instruct", "llama-3.2-1b-instruct", GatedRepoError("401"))
    assert "https://huggingface.co/meta-llama/Llama-3.2-1B-Instruct" in said and "HF_TOKEN" in said
    assert "no base 'x/y' on the Hub" in hub_remedy("x/y", "x/y", RepositoryNotFoundError("404"))


def test_a_config_without_sizes_is_no_decoder() -> None:
    with pytest.raises(TrainerError, match="num_hidden_layers"):
        shape_of({"model_type": "llama", "num_attention_heads": 2})


@pytest.mark.slow
def test_the_packaged_base_is_trainable_real_weights(tmp_path: Path) -> None:
    import torch

    base = load_base("smollm2-135m-instruct", device="cpu")
    assert sum(weight.numel() for weight in base.model.parameters()) == 134_515_008
    assert base.path.endswith(".gguf")
    prompt = base.tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True, return_tensors="pt"
    )
    ids = prompt if isinstance(prompt, torch.Tensor) else prompt["input_ids"]
    answer = base.model.generate(ids, max_new_tokens=12, do_sample=False)
    assert "Paris" in base.tokenizer.decode(answer[0, ids.shape[1] :])
