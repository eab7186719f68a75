"""Fine-tunes as people have them: real PEFT adapters over miniatures, in the folders that training tools leave.

What each tool writes besides the adapter is what its users' folders show: Unsloth a tokenizer and a 4-bit base's name,
Axolotl the model's config.json and checkpoints, LLaMA-Factory its logs and pickled training arguments.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engines import PROBE, HuggingFaceEngine
from results import Model, Workspace

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Animal:
    """A folder, and what PEFT itself answers with it over the right base."""

    folder: Path
    logits: torch.Tensor
    """(vocabulary,) float32: of the token after `PROBE`."""


class Zoo:
    """Makes adapters over one miniature base."""

    def __init__(self, base: Path, root: Path) -> None:
        from transformers import AutoTokenizer

        self.base, self.root = base, root
        self.tokenizer = AutoTokenizer.from_pretrained(base)

    def adapter(
        self, name: str, base_name: str = "", *, rows: int = 0, trained: bool = True, **settings: Any
    ) -> Animal:
        """A PEFT folder with `settings` of LoraConfig. rows: resize the embeddings first. base_name: what it says."""
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32)
            if rows:
                model.resize_token_embeddings(rows, mean_resizing=False)
            torch.manual_seed(len(name))
            chosen = {"r": 4, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj", "down_proj"], **settings}
            beside = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **chosen)).eval()
            with torch.no_grad():
                for parameter in beside.parameters():
                    if parameter.requires_grad and trained:
                        parameter.add_(torch.randn_like(parameter) * 0.1)
            folder = self.root / name
            beside.save_pretrained(str(folder))
        change(folder / "adapter_config.json", base_model_name_or_path=base_name or str(self.base))
        return Animal(folder, logits_of(beside, self.tokenizer))

    def whole(self, name: str, animal: Animal, shard: str = "5GB") -> Animal:
        """A transformers folder with an adapter merged in, as a tool's own merge leaves it."""
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32)
        merged = PeftModel.from_pretrained(model, str(animal.folder)).merge_and_unload()
        merged.save_pretrained(self.root / name, max_shard_size=shard)
        self.tokenizer.save_pretrained(self.root / name)
        return Animal(self.root / name, animal.logits)


def logits_of(model: Any, tokenizer: Any) -> torch.Tensor:
    """(vocabulary,) float32 after `PROBE`."""
    with torch.inference_mode():
        ids = torch.tensor([tokenizer(PROBE).input_ids])
        logits: torch.Tensor = model(input_ids=ids).logits[0, -1].float()
    return logits


def served_logits(model: Model, workspace: Workspace) -> torch.Tensor:
    """What a model of the store answers in float32, through the engine that measures it."""
    weights = workspace.resolve(model.base_path if model.form == "adapter" else model.path)
    adapters = {"it": workspace.resolve(model.path)} if model.form == "adapter" else {}
    engine = HuggingFaceEngine(weights, adapters, dtype=torch.float32)
    try:
        return engine.mixed_logits(PROBE, ["it" if adapters else ""])[0]
    finally:
        engine.close()


def change(file: Path, **values: Any) -> None:
    """Set keys of a JSON file."""
    found = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**found, **values}))


def as_unsloth(folder: Path, base: Path) -> None:
    """Unsloth saves the tokenizer beside the adapter, and marks the adapter's revision as its own."""
    with_tokenizer(folder, base)
    change(folder / "adapter_config.json", revision="unsloth")


def as_axolotl(folder: Path, base: Path) -> None:
    """Axolotl leaves the base's config.json, checkpoints with what training needs to go on, and a card."""
    with_tokenizer(folder, base)
    shutil.copy(base / "config.json", folder)
    (folder / "README.md").write_text("---\nlibrary_name: peft\n---\n\n# out\n")
    checkpoint = folder / "checkpoint-10"
    checkpoint.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(folder / name, checkpoint)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        (checkpoint / name).write_bytes(b"PK\x03\x04")
    (checkpoint / "trainer_state.json").write_text("{}")


def as_llama_factory(folder: Path, base: Path) -> None:
    """LLaMA-Factory leaves its logs and results, and the training's arguments as a pickle."""
    with_tokenizer(folder, base)
    for name in ("all_results.json", "train_results.json", "trainer_state.json"):
        (folder / name).write_text("{}")
    (folder / "trainer_log.jsonl").write_text('{"current_steps": 10, "loss": 1.0}\n')
    (folder / "training_args.bin").write_bytes(b"PK\x03\x04")
    (folder / "training_loss.png").write_bytes(b"\x89PNG")


def with_tokenizer(folder: Path, base: Path) -> None:
    """The base's tokenizer with its template, as save_pretrained writes them."""
    for file in base.glob("*token*"):
        shutil.copy(file, folder)
    for file in base.glob("*.jinja"):
        shutil.copy(file, folder)
