"""Whole models in transformers folders: merged fine-tunes, full fine-tunes, bases."""

from __future__ import annotations

import math
from pathlib import Path

from engines.adding.checking.adapter import pickle_refusal, shapes_of
from engines.adding.checking.bases import Base
from engines.adding.checking.inspection import Plan, Wishes, choose_template
from engines.adding.checking.shapes import outline
from engines.adding.checking.tokenizers import load, tokenizer_sha256
from engines.adding.settings import read_settings
from engines.errors import FileRefused
from results import BakeoffError


def inspect_whole(plan: Plan, wishes: Wishes) -> None:
    """Check a transformers folder; what is found goes into the plan and its checklist."""
    checklist, folder = plan.checklist, plan.path
    try:
        layers = outline(folder)
        stored = _weights(folder)
    except BakeoffError as refused:
        return checklist.refused("layout", refused)
    plan.parameters = layers.parameters
    packed = Base(folder, plan.name, "").packed
    if packed:
        return checklist.fail(
            "layout",
            f"{folder} holds weights quantized by {packed}, which are not measured as they are.",
            "Add the model of 16 bits it was made of, or its GGUF",
        )
    if stored < layers.parameters:
        return checklist.fail(
            "layout",
            f"{folder} holds {stored:,} of the {layers.parameters:,} weights that its config.json describes.",
            "Save or download the folder again, whole",
        )
    checklist.ok("layout", f"transformers, {layers.parameters:,} parameters in {layers.dtype}")
    plan.form = "merged"
    return _check_tokenizer(plan, wishes, layers.rows)


def _check_tokenizer(plan: Plan, wishes: Wishes, rows: int) -> None:
    checklist, folder = plan.checklist, plan.path
    try:
        tokenizer = load(folder)
        if tokenizer is None:
            raise FileRefused(f"{folder} has no tokenizer. Copy the tokenizer files of its base into it.")
    except BakeoffError as refused:
        return checklist.refused("tokenizer", refused)
    try:
        choose_template(plan, None, wishes)
    except BakeoffError as refused:
        return checklist.refused("template", refused)
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        return checklist.fail(
            "tokenizer",
            f"Its tokens go up to number {highest:,}, and the model has {rows:,} rows for them.",
            "Copy the tokenizer that the model was saved with into the folder",
        )
    return checklist.ok("tokenizer", f"its own ({len(tokenizer):,} tokens, SHA-256 {tokenizer_sha256(tokenizer)[:12]})")


def _weights(folder: Path) -> int:
    """How many weights the safetensors hold. Raises: FileRefused for pickles, missing and damaged parts."""
    files = sorted(folder.glob("*.safetensors"))
    index = read_settings(folder / "model.safetensors.index.json").get("weight_map")
    if isinstance(index, dict):
        missing = sorted({str(name) for name in index.values()} - {file.name for file in files})
        if missing:
            raise FileRefused(f"{folder} lacks {missing[0]}, which its index names. Save or download it again.")
        files = [file for file in files if file.name in set(index.values())]
    elif (folder / "model.safetensors").is_file():
        files = [folder / "model.safetensors"]
    if not files:
        pickles = [file for file in sorted(folder.iterdir()) if file.suffix in (".bin", ".pt", ".pth")]
        raise FileRefused(pickle_refusal(pickles[0], folder / "model.safetensors"))
    return sum(math.prod(shape) for file in files for shape in shapes_of(file).values())
