"""Over thirty fine-tunes as people really have them: each answers as PEFT does, or one line names the remedy.

The table in docs/benchmarks.md ("Models made elsewhere") counts them.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engines import Wishes, add, find
from engines.adding.checking.adapter import read
from results import Model, Workspace
from tests.engines.adding import zoo as tools
from tests.engines.adding.zoo import Animal, Zoo, served_logits
from trainer import miniature

pytestmark = pytest.mark.slow

FOUR_BIT = "unsloth/Miniature-Llama-Instruct-unsloth-bnb-4bit"
SIXTEEN_BIT = "meta-llama/Miniature-Llama-Instruct"
"""Whose weights the four-bit name stands for; the store knows the base by it."""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Zoo:
    root = tmp_path_factory.mktemp("zoo")
    return Zoo(miniature("llama", root / "base"), root)


def bare(zoo: Zoo, name: str, **settings: Any) -> Animal:
    return zoo.adapter(name, **settings)


def unsloth(zoo: Zoo, name: str, **settings: Any) -> Animal:
    animal = zoo.adapter(name, FOUR_BIT, **settings)
    tools.as_unsloth(animal.folder, zoo.base)
    return animal


def axolotl(zoo: Zoo, name: str, **settings: Any) -> Animal:
    animal = zoo.adapter(name, **settings)
    tools.as_axolotl(animal.folder, zoo.base)
    return animal


def llama_factory(zoo: Zoo, name: str, **settings: Any) -> Animal:
    animal = zoo.adapter(name, **settings)
    tools.as_llama_factory(animal.folder, zoo.base)
    return animal


def checkpoints_alone(zoo: Zoo, name: str) -> Animal:
    animal = axolotl(zoo, name)
    for file in ("adapter_config.json", "adapter_model.safetensors", "config.json"):
        (animal.folder / file).unlink()
    return animal


def with_biases(zoo: Zoo, name: str) -> Animal:
    """Over a base that has biases in its attention."""
    return Zoo(miniature("qwen2", zoo.root / "qwen2"), zoo.root).adapter(name, bias="lora_only")


def in_shards(zoo: Zoo, name: str) -> Animal:
    animal = zoo.whole(name, zoo.adapter(f"{name}-of"), shard="200KB")
    assert len(list(animal.folder.glob("model-*.safetensors"))) > 1
    return animal


def with_own_words(zoo: Zoo, name: str, rows: int) -> Animal:
    animal = zoo.adapter(name, rows=rows)
    tokenizer = type(zoo.tokenizer).from_pretrained(zoo.base)
    tokenizer.add_tokens(["<|call|>", "<|result|>"])
    tokenizer.save_pretrained(animal.folder)
    return animal


def with_templates_in_a_list(zoo: Zoo, name: str) -> Animal:
    animal = zoo.adapter(name)
    tools.with_tokenizer(animal.folder, zoo.base)
    text = (animal.folder / "chat_template.jinja").read_text()
    (animal.folder / "chat_template.jinja").unlink()
    named = [{"name": "tool_use", "template": "{{ tools }}"}, {"name": "default", "template": "{# mine #}" + text}]
    tools.change(animal.folder / "tokenizer_config.json", chat_template=named)
    return animal


Maker = Callable[[Zoo, str], Animal]
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RIGHT: dict[str, tuple[Maker, str]] = {
    "PEFT, plain": (bare, "adapter"),
    "PEFT, every linear layer": (lambda zoo, name: bare(zoo, name, target_modules=ALL), "adapter"),
    "PEFT, rank and alpha patterns": (
        lambda zoo, name: bare(zoo, name, rank_pattern={"v_proj": 8}, alpha_pattern={"layers.1.self_attn.q_proj": 2}),
        "adapter",
    ),
    "PEFT, DoRA": (lambda zoo, name: bare(zoo, name, use_dora=True), "adapter"),
    "PEFT, DoRA with rsLoRA": (lambda zoo, name: bare(zoo, name, use_dora=True, use_rslora=True), "adapter"),
    "PEFT, some layers only": (lambda zoo, name: bare(zoo, name, layers_to_transform=[1]), "adapter"),
    "PEFT, trained biases": (with_biases, "merged"),
    "PEFT, PiSSA": (lambda zoo, name: bare(zoo, name, init_lora_weights="pissa"), "merged"),
    "PEFT, the output embedding of a tied base": (
        lambda zoo, name: bare(zoo, name, target_modules=["q_proj", "lm_head"]),
        "merged",
    ),
    "PEFT, single tokens trained": (lambda zoo, name: bare(zoo, name, trainable_token_indices=[5, 6]), "merged"),
    "PEFT, resized vocabulary": (lambda zoo, name: with_own_words(zoo, name, len(zoo.tokenizer) + 2), "merged"),
    "PEFT, templates in a list": (with_templates_in_a_list, "adapter"),
    "Unsloth, plain, 4-bit base name": (unsloth, "adapter"),
    "Unsloth, rsLoRA": (lambda zoo, name: unsloth(zoo, name, r=16, use_rslora=True), "adapter"),
    "Unsloth, embeddings and head saved": (
        lambda zoo, name: unsloth(zoo, name, modules_to_save=["embed_tokens", "lm_head"], use_rslora=True),
        "merged",
    ),
    "Axolotl, plain, checkpoints inside": (axolotl, "adapter"),
    "Axolotl, head saved": (lambda zoo, name: axolotl(zoo, name, modules_to_save=["lm_head"]), "merged"),
    "Axolotl, checkpoints alone": (checkpoints_alone, "adapter"),
    "Axolotl, merged, in shards": (in_shards, "merged"),
    "LLaMA-Factory, plain": (llama_factory, "adapter"),
    "LLaMA-Factory, rsLoRA": (lambda zoo, name: llama_factory(zoo, name, use_rslora=True), "adapter"),
    "LLaMA-Factory, resized vocabulary": (
        lambda zoo, name: llama_factory(zoo, name, rows=len(zoo.tokenizer) + 64),
        "merged",
    ),
}
"""What it is → what makes it, and the form that it is measured in."""


@pytest.mark.parametrize("what", RIGHT)
def test_it_answers_as_peft_does_over_the_right_base(zoo: Zoo, what: str, tmp_path: Path) -> None:
    make, form = RIGHT[what]
    workspace = Workspace(tmp_path / "workspace")
    animal = make(zoo, what.replace(", ", "/").replace(" ", "-"))
    with workspace.store() as store:
        store.models.add(known_base(zoo))
        (one,) = add(find(str(animal.folder)), Wishes(), workspace, store)
        assert one.model is not None, [check for check in one.checks if check.state == "failed"]
        assert one.model.form == form
        assert (served_logits(one.model, workspace) - animal.logits).abs().max() < 1e-4


def known_base(zoo: Zoo) -> Model:
    """The base as the store has it: under its publisher's name, not the mirror's that made the four-bit copy."""
    return Model("base-1", "miniature", "base", SIXTEEN_BIT, "1" * 64, 0, str(zoo.base))


def wrong_base(zoo: Zoo, root: Path) -> Path:
    """A base of another size."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = zoo.adapter("wrong/base").folder
    config = AutoConfig.from_pretrained(zoo.base)
    config.intermediate_size = 96
    AutoModelForCausalLM.from_config(config).save_pretrained(root / "other")
    tools.with_tokenizer(root / "other", zoo.base)
    tools.change(folder / "adapter_config.json", base_model_name_or_path=str(root / "other"))
    return folder


def wrong_sister(zoo: Zoo, root: Path) -> Path:
    """A base of the same size and another family: only the tokenizer tells."""
    folder = axolotl(zoo, "wrong/sister").folder
    other = miniature("qwen3", root / "other")
    tools.change(folder / "adapter_config.json", base_model_name_or_path=str(other))
    return folder


def base_not_here(zoo: Zoo, root: Path) -> Path:
    del root
    return zoo.adapter("wrong/absent", "Qwen/Qwen2.5-7B-Instruct-AWQ").folder


def pickled(zoo: Zoo, root: Path) -> Path:
    del root
    folder = zoo.adapter("wrong/pickled").folder
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    return folder


def never_trained(zoo: Zoo, root: Path) -> Path:
    del root
    return zoo.adapter("wrong/untrained", trained=False).folder


def lost_embeddings(zoo: Zoo, root: Path) -> Path:
    """The vocabulary was extended, and the adapter saved without the new rows."""
    from safetensors.torch import load_file, save_file

    del root
    folder = with_own_words(zoo, "wrong/lost", len(zoo.tokenizer) + 2).folder
    kept = {name: tensor for name, tensor in load_file(folder / "adapter_model.safetensors").items() if "lora" in name}
    save_file(kept, folder / "adapter_model.safetensors")
    return folder


def no_tokenizer(zoo: Zoo, root: Path) -> Path:
    del root
    folder = zoo.whole("wrong/speechless", zoo.adapter("wrong/speechless-of")).folder
    for file in folder.glob("*token*"):
        file.unlink()
    return folder


def shard_missing(zoo: Zoo, root: Path) -> Path:
    del root
    folder = in_shards(zoo, "wrong/cut").folder
    sorted(folder.glob("model-*.safetensors"))[1].unlink()
    return folder


def of_unknown_base(zoo: Zoo, root: Path) -> Path:
    del root
    folder = zoo.adapter("wrong/nameless").folder
    tools.change(folder / "adapter_config.json", base_model_name_or_path=None)
    return folder


def remote_code(zoo: Zoo, root: Path) -> Path:
    del root
    folder = zoo.whole("wrong/code", zoo.adapter("wrong/code-of")).folder
    tools.change(folder / "config.json", auto_map={"AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    return folder


def a_prompt(zoo: Zoo, root: Path) -> Path:
    del root
    folder = zoo.adapter("wrong/prompt").folder
    tools.change(folder / "adapter_config.json", peft_type="PROMPT_TUNING")
    return folder


WRONG: dict[str, tuple[Callable[[Zoo, Path], Path], str, str]] = {
    "wrong base": (wrong_base, "shapes", "--base NAME"),
    "wrong base of the same size": (wrong_sister, "tokenizer", "--base NAME"),
    "base not on this machine": (base_not_here, "base", "hf download Qwen/Qwen2.5-7B-Instruct)"),
    "base not named": (of_unknown_base, "base", "--base NAME"),
    "pickled weights": (pickled, "layout", "python -c"),
    "never trained": (never_trained, "active", "save it again"),
    "new words without rows": (lost_embeddings, "tokenizer", "modules_to_save=['embed_tokens', 'lm_head']"),
    "merged without tokenizer": (no_tokenizer, "tokenizer", "Copy the tokenizer files of its base into it."),
    "a shard missing": (shard_missing, "layout", "Save or download it again."),
    "code of its own": (remote_code, "layout", "never run here"),
    "a trained prompt": (a_prompt, "layout", "Train it as LoRA"),
}
"""What is wrong → what makes it, the line of the checklist that says so, and words of the remedy."""


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_right_is_refused_by_one_line_with_the_remedy(zoo: Zoo, what: str, tmp_path: Path) -> None:
    make, line, remedy = WRONG[what]
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        (one,) = add(find(str(make(zoo, tmp_path))), Wishes(), workspace, store)
        assert one.model is None and store.models.list() == []
    (failed,) = [check for check in one.checks if check.state == "failed"]
    assert failed.name == line and remedy in failed.remedy and failed.detail


def by_llama_cpps_rules(folder: Path) -> str:
    """What llama.cpp's convert_lora_to_gguf.py makes of an adapter, by its source of 2026: right, wrong or refused.

    It stops at any tensor that is no LoRA matrix and at an output embedding that the base has not, scales all by
    lora_alpha / rank, and takes the base for what training began with.
    """
    adapter = read(folder)
    tied_head = any("lm_head" in layer for layer in adapter.matrices)
    magnitudes = any("magnitude" in parts for parts in adapter.matrices.values())
    if tied_head or magnitudes or any(".lora_A." not in name and ".lora_B." not in name for name in adapter.shapes):
        return "refused"
    scaled = adapter.settings.get("use_rslora") or adapter.settings.get("alpha_pattern")
    return "wrong" if scaled or adapter.settings.get("init_lora_weights") == "pissa" else "right"


def test_of_the_same_adapters_llama_cpps_converter_has_eight_right_and_four_wrong_in_silence(zoo: Zoo) -> None:
    made = {what: make(zoo, f"rules/{number}").folder for number, (what, (make, _)) in enumerate(RIGHT.items())}
    folders = {what: folder for what, folder in made.items() if "merged" not in what}
    for what in ("Axolotl, checkpoints alone",):
        folders[what] = folders[what] / "checkpoint-10"
    counted = Counter(by_llama_cpps_rules(folder) for folder in folders.values())
    assert counted == {"right": 8, "wrong": 4, "refused": 9}


def test_the_zoo_has_twenty_that_are_right_and_every_tool() -> None:
    assert len(RIGHT) >= 20
    assert {what.split(",")[0] for what in RIGHT} == {"PEFT", "Unsloth", "Axolotl", "LLaMA-Factory"}


def test_a_base_without_a_template_is_said_and_a_given_one_is_used(zoo: Zoo, tmp_path: Path) -> None:
    base = tmp_path / "silent"
    shutil.copytree(zoo.base, base)
    given = tmp_path / "given.jinja"
    (base / "chat_template.jinja").rename(given)
    folder = zoo.adapter("silent").folder
    settings = json.loads((folder / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(zoo.base)
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        plain, spoken = (
            add(find(str(folder)), Wishes(base=str(base), template=template, name=name), workspace, store)[0]
            for name, template in (("raw", None), ("spoken", given))
        )
    (line,) = [check for check in plain.checks if check.name == "template"]
    assert line.state == "note" and "--template FILE" in line.remedy and plain.model is not None
    assert spoken.model is not None and spoken.model.details["chat_template"] == given.read_text()
    assert torch.isfinite(served_logits(spoken.model, workspace)).all()


def test_a_4_bit_training_is_measured_over_the_16_bit_base_unless_the_dequantized_is_asked_for(
    zoo: Zoo, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    animal = unsloth(zoo, "qlora")
    nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    packed = AutoModelForCausalLM.from_pretrained(
        zoo.base, quantization_config=nf4, dtype=torch.float32, device_map={"": "cpu"}
    )
    dequantized = PeftModel.from_pretrained(packed.dequantize(), str(animal.folder)).eval()
    workspace = Workspace(tmp_path / "workspace")
    with workspace.store() as store:
        store.models.add(known_base(zoo))
        (plain,) = add(find(str(animal.folder)), Wishes(), workspace, store)
        wished = Wishes(base_quantization="nf4", name="over-nf4")
        (four,) = add(find(str(animal.folder)), wished, workspace, store)
    assert any(FOUR_BIT in check.detail and "--base-quantization nf4" in check.remedy for check in plain.checks)
    assert plain.model is not None and four.model is not None
    wanted = tools.logits_of(dequantized, zoo.tokenizer)
    assert (served_logits(four.model, workspace) - wanted).abs().max() < 1e-4
    assert (served_logits(plain.model, workspace) - wanted).abs().max() > 1e-3
