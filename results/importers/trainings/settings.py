"""How a training was set, from what lies beside its weights: adapter_config.json, LLaMA-Factory's and Axolotl's files,
the README's front matter and the lists that the Hugging Face Trainer and Axolotl write into it.

What has a name of ours gets it, so that runs of all tools differ by settings and not by words. `training_args.bin` is a
pickle and is never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results.errors import FileUnreadable, ImportRefused
from results.files.yaml_text import safe_yaml
from results.importers.parcels import canonical
from results.importers.reading import number, read_json, read_text, read_yaml, whole

OURS = {
    "lora.rank": ("lora.r", "lora_r", "lora_rank"),
    "lora.alpha": ("lora.lora_alpha", "lora_alpha"),
    "lora.dropout": ("lora.lora_dropout", "lora_dropout"),
    "lora.rslora": ("lora.use_rslora", "peft_use_rslora", "use_rslora"),
    "lora.dora": ("lora.use_dora", "peft_use_dora", "use_dora"),
    "lora.target": ("lora.target_modules", "lora_target_modules", "lora_target"),
    "training.batch_size": ("per_device_train_batch_size", "train_batch_size", "micro_batch_size"),
    "training.gradient_accumulation": ("gradient_accumulation_steps",),
    "training.epochs": ("num_train_epochs", "num_epochs"),
    "training.schedule": ("lr_scheduler_type", "lr_scheduler"),
    "training.warmup": ("warmup_ratio", "warmup_steps", "lr_scheduler_warmup_ratio", "lr_scheduler_warmup_steps"),
    "training.max_gradient_norm": ("max_grad_norm",),
    "training.max_length": ("cutoff_len", "sequence_len", "max_seq_length"),
    "training.packing": ("sample_packing",),
    "data.sources": ("datasets", "dataset"),
}
"""Setting of the experiment file → what other tools call it. A name that stands here alone is one under `training.`."""

_TRANSLATED = {
    raw if raw.startswith("lora.") else f"training.{raw}": ours for ours, named in OURS.items() for raw in named
}

STATE_FIELDS = ("num_train_epochs", "train_batch_size", "logging_steps", "eval_steps", "save_steps")
"""Fields of trainer_state.json that go into the configuration."""

ADAPTER = (
    "r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "bias", "peft_type", "target_modules",
    "modules_to_save", "rank_pattern", "alpha_pattern", "init_lora_weights",
)  # fmt: skip
"""Keys of adapter_config.json that say how was trained."""

FILES = ("adapter_config.json", "training_args.yaml", "training_args.json", "llamaboard_config.yaml")
CARD = "README.md"
LARGEST_CARD = 4 << 20
"""Bytes of a README that is read."""

TOOLS = {"unsloth": "Unsloth", "axolotl": "Axolotl", "llama-factory": "LLaMA-Factory", "trl": "TRL"}
"""Tag of a README's front matter → the tool, the one that says most first."""


@dataclass
class Settings:
    """What the files beside a training say."""

    config: dict[str, Any] = field(default_factory=dict)
    base: str = ""
    tool: str = ""
    """What trained it, where a file says so."""
    missing: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    """Names of the files that said something."""

    def take(self, key: str, value: Any) -> None:
        """A setting under our name for it; the file that was read first holds."""
        kept = _kept(value)
        if kept is not None:
            self.config.setdefault(ours(key), kept)


def ours(key: str) -> str:
    """A setting's name in the experiment file; its own where that has none."""
    if key in STATE_FIELDS:  # as stores of before have them, without a section
        key = f"training.{key}"
    return _TRANSLATED.get(key, key)


def settings_beside(*folders: Path) -> Settings:
    """The settings that lie in the folders of a training: a checkpoint's and its run's, the first before the second."""
    found = Settings()
    for name in FILES:
        for place in dict.fromkeys(folders):
            if (place / name).is_file() and name not in found.read:
                _take_file(found, place / name)
    for place in dict.fromkeys(folders):
        if (place / CARD).is_file() and CARD not in found.read:
            _take_card(found, place / CARD)
        if not found.tool and (place / "config.json").is_file():
            _take_marks(found, place / "config.json")
    if not any(key.startswith("training.") for key in found.config):
        pickled = any((place / "training_args.bin").exists() for place in folders)
        kept = " (training_args.bin is a pickle and is never loaded)" if pickled else ""
        found.missing.append(f"the training arguments{kept}")
    if not found.base:
        found.missing.append("the base model's name (no adapter_config.json)")
    return found


def card_points(folder: Path) -> Iterator[tuple[str, int, float]]:
    """(metric, step, value) of the table "Training results" that the Hugging Face Trainer writes into a README."""
    text = _card_text(folder / CARD)
    table = re.search(r"^\| *Training Loss *\|.*?$\n\|[-:| ]+\|\n((?:\|.*\|[ ]*\n?)+)", text, re.MULTILINE)
    if table is None:
        return
    names = [name.strip() for name in table.group(0).split("\n", 1)[0].strip("| ").split("|")]
    metrics = {"Training Loss": "loss", "Validation Loss": "eval_loss"}
    for line in table[1].splitlines():
        row = dict(zip(names, (cell.strip() for cell in line.strip("| ").split("|")), strict=False))
        step = whole(typed(row.get("Step", "")))
        for name, metric in metrics.items():
            value = number(typed(row.get(name, "")))
            if step is not None and step >= 0 and value is not None:
                yield metric, step, value


def _take_file(found: Settings, path: Path) -> None:
    """One of FILES. One that cannot be read is missing by name."""
    try:
        read = read_json(path) if path.suffix == ".json" else read_yaml(path)
    except ImportRefused as error:
        found.missing.append(f"{path.name} was not read: {error}")
        return
    if not isinstance(read, Mapping):
        return
    found.read.append(path.name)
    if path.name == "adapter_config.json":
        for key in ADAPTER:
            value = read.get(key)  # PEFT keeps names of layers in a set, so in any order
            found.take(f"lora.{key}", sorted(map(str, value)) if isinstance(value, list) else value)
    else:
        if path.suffix == ".yaml":
            found.tool = found.tool or TOOLS["llama-factory"]
        _take_training(found, read)
    found.base = found.base or str(read.get("base_model_name_or_path") or read.get("model_name_or_path") or "")
    found.tool = found.tool or (TOOLS["unsloth"] if "unsloth_fixed" in str(read.get("auto_mapping") or "") else "")


def _take_training(found: Settings, read: Mapping[Any, Any]) -> None:
    """Settings of a training by their own names."""
    for key, value in read.items():
        if key in ("model_name_or_path", "base_model", "output_dir", "push_to_hub", "hub_model_id"):
            continue
        found.take("data.sources" if key in OURS["data.sources"] else f"training.{key}", _named_sources(key, value))


def _take_card(found: Settings, path: Path) -> None:
    """A README: its front matter, Axolotl's configuration and the Trainer's list of hyperparameters in it."""
    text = _card_text(path)
    before = dict(found.config), found.base, found.tool
    front, axolotl = _front_matter(found, text), _axolotl(found, text)
    tags = front.get("tags")
    words = [str(tag) for tag in tags] if isinstance(tags, list) else []
    found.tool = found.tool or ("Axolotl" if axolotl else next((TOOLS[one] for one in TOOLS if one in words), ""))
    for base in (front.get("base_model"), axolotl.get("base_model")):
        named = base[0] if isinstance(base, list) and base else base
        found.base = found.base or (named if isinstance(named, str) else "")
    _take_training(found, axolotl)
    listed = re.search(r"hyperparameters were used during training:\s*\n((?:- .*\n?)+)", text)
    for line in listed[1].splitlines() if listed else ():
        key, colon, value = line.removeprefix("- ").partition(":")
        if colon:
            _take_training(found, {key.strip(): typed(value.strip())})
    found.take("data.sources", _named_sources("datasets", front.get("datasets")))
    if (found.config, found.base, found.tool) != before:
        found.read.append(CARD)


def _card_text(path: Path) -> str:
    """A README's text; "" for one that is not there, too large or no text."""
    try:
        return read_text(path) if path.is_file() and path.stat().st_size <= LARGEST_CARD else ""
    except ImportRefused:
        return ""


def _front_matter(found: Settings, text: str) -> Mapping[str, Any]:
    block = re.match(r"\s*---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    return _mapping(found, "README.md's front matter", block[1]) if block else {}


def _axolotl(found: Settings, text: str) -> Mapping[str, Any]:
    """The configuration that Axolotl keeps in its README."""
    block = re.search(r"axolotl version: `[^`]*`\s*\n```ya?ml\s*\n(.*?)\n```", text, re.DOTALL)
    return _mapping(found, "Axolotl's configuration in README.md", block[1]) if block else {}


def _mapping(found: Settings, what: str, text: str) -> Mapping[str, Any]:
    try:
        read = safe_yaml(text, Path(what))
    except FileUnreadable as error:
        found.missing.append(f"{what} was not read: {error.reason}")
        return {}
    return read if isinstance(read, Mapping) else {}


def _take_marks(found: Settings, path: Path) -> None:
    """Unsloth's own keys in a model's config.json."""
    try:
        read = read_json(path)
    except ImportRefused:
        return  # whoever loads the model says so
    version = read.get("unsloth_version") if isinstance(read, Mapping) else None
    if version or (isinstance(read, Mapping) and read.get("unsloth_fixed")):
        found.tool = f"Unsloth {version}" if isinstance(version, str) else "Unsloth"
        found.read.append(path.name)


def _named_sources(key: str, value: Any) -> Any:
    """Axolotl's list of data sets (`path`, `type`) by their paths; other values as they are."""
    if key in OURS["data.sources"] and isinstance(value, list):
        return [one.get("path", "") if isinstance(one, Mapping) else one for one in value]
    return value


def _kept(value: Any) -> Any:
    """A value that a setting can have: a scalar, a short list or mapping of them; None for what is left out."""
    if isinstance(value, (list, tuple)):
        flat = [one for one in value if _scalar(one)]
        return canonical(flat) if flat and len(flat) == len(value) <= 64 else None
    if isinstance(value, Mapping):
        named = {str(key): one for key, one in value.items() if _scalar(one)}
        return canonical(named) if named and len(named) == len(value) <= 64 else None
    return canonical(value) if _scalar(value) else None


def _scalar(value: Any) -> bool:
    return value is not None and isinstance(value, bool | int | float | str)


def typed(value: str) -> Any:
    """A word as the value it meant: 0.0002, 3, cosine."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
