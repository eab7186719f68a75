"""Which forms the fine-tunes of a base can take, told from its configuration and tokenizer: before anything is trained.

    why_not("gguf-q8_0", Path("phi3-folder"))     # 'phi3' models are not exported; these are: llama, …

No weights are read. Whether an export answers as its model does is the parity gate's to say, once it is made.
"""

from __future__ import annotations

from pathlib import Path

from engines.errors import ExportRefused, FileRefused
from engines.gguf_format.architectures import FAMILIES
from engines.gguf_format.header import is_gguf, read_header
from engines.gguf_format.hyperparameters import hyperparameters, read_config
from engines.gguf_format.lora import MERGED_INSTEAD
from engines.gguf_format.vocabulary import read_vocabulary
from engines.gguf_format.writer import FolderSource
from results import Form

EXPORTED: tuple[Form, ...] = ("lora-gguf", "merged", "gguf-f16", "gguf-q8_0", "gguf-q4_0")
"""Forms that a model can be exported to."""

AS_TRAINED: tuple[Form, ...] = ("adapter", "merged")
"""What training leaves, or PEFT makes of it: possible over every base that can be trained."""


def why_not(form: Form, base: Path, dora: bool = False, whole: bool = False) -> str:
    """Why fine-tunes of a base cannot be made in a form, with the remedy; "" if they can.

    base: a transformers folder, whose weights need not be there, or a GGUF file. whole: every weight is trained.
    """
    if form in AS_TRAINED:
        return ""
    if form not in EXPORTED:
        return f"Nothing can be exported as {form!r}. Formats: {', '.join(sorted((*EXPORTED, 'adapter')))}."
    if form == "lora-gguf" and whole:
        return "Full fine-tuning leaves whole models and no adapter, so no lora-gguf. Ship them as gguf-q8_0."
    if form == "lora-gguf" and dora:
        return f"DoRA is more than a LoRA-GGUF can hold. {MERGED_INSTEAD}"
    try:
        if is_gguf(base):
            _check_file(base)
        else:
            _check_folder(base)
    except (ExportRefused, FileRefused) as refused:
        return f"{refused} Measure its fine-tunes as adapter or merged."
    return ""


def _check_file(base: Path) -> None:
    architecture = read_header(base).architecture
    if architecture not in FAMILIES.values():
        known = ", ".join(sorted(set(FAMILIES.values())))
        raise ExportRefused("architecture", f"GGUF files of {architecture!r} are not written; these are: {known}.")


def _check_folder(base: Path) -> None:
    """Raises what the export would: other families, rotary scalings, tokenizers, parameters without a counterpart."""
    found = hyperparameters(read_config(base))
    read_vocabulary(base, found.vocabulary)
    if any(base.glob("*.safetensors")):  # their names alone
        FolderSource(base)
