"""What was found becomes a plan: the checklist, as far as it can be told without loading weights.

An adapter is here; whole models are in `engines.adding.checking.whole_models`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engines.adding.checking.adapter import Adapter, read
from engines.adding.checking.base_names import four_bit, same_weights, sixteen_bit
from engines.adding.checking.bases import Base, Shelves, locate
from engines.adding.checking.checks import Checklist
from engines.adding.checking.shapes import Outline, fit, outline
from engines.adding.checking.templates import Template, choose, in_folder, template_text
from engines.adding.checking.tokenizers import compare, load
from engines.adding.found import Found
from engines.errors import FileRefused
from engines.gguf_format.unpacking import unpacked
from engines.huggingface.chat_templates import own_template
from results import BakeoffError, Form, Model


@dataclass(frozen=True)
class Wishes:
    """What the person asks for beside the source."""

    name: str = ""
    """The model's; "" for the one suggested."""
    base: str = ""
    """The base's: a model of the store, a folder, a file, a Hub id; "" for what the adapter says."""
    template: Path | None = None
    """A chat template, before all that are found."""
    base_quantization: str = "none"
    """nf4: an adapter's base is quantized to 4 bits and back first, as it was trained over."""
    copy: bool = False
    """Take the files into the workspace; else they stay where they are."""
    dry_run: bool = False
    """Check all and register nothing."""
    replace: bool = False
    """Another model that has the name is archived under another."""


@dataclass
class Plan:
    """How one model is to be registered."""

    found: Found
    name: str
    checklist: Checklist = field(default_factory=Checklist)
    form: Form = "merged"
    """What it is registered as."""
    base: Base | None = None
    template: Template | None = None
    """What it is spoken to in; None for none."""
    apart: bool = False
    """Nothing in the files says the template: the record keeps it."""
    tokenizer: Path | None = None
    """The folder of a tokenizer of its own; None for the base's."""
    merged: bool = False
    """The adapter is merged first."""
    rewritten: tuple[Path, ...] = ()
    """The parts of a GGUF that becomes another file in the workspace: a split one, or one with another template."""
    parameters: int = 0
    continued: Model | None = None
    """The record that this is written over, its files having moved; None for a new model."""

    @property
    def path(self) -> Path:
        """Where the model's own files are."""
        assert self.found.path is not None, "an endpoint has no files"
        return self.found.path


def inspect_adapter(plan: Plan, wishes: Wishes, shelves: Shelves) -> None:
    """Check a PEFT folder; what is found goes into the plan and its checklist."""
    checklist = plan.checklist
    try:
        adapter = read(plan.path)
    except BakeoffError as refused:
        return checklist.refused("layout", refused)
    checklist.ok("layout", f"PEFT {adapter.method}: {len(adapter.shapes)} tensors in adapter_model.safetensors")
    try:
        base = locate(plan.found, wishes.base, shelves)
        layers = outline(base.path)
    except BakeoffError as refused:
        return checklist.refused("base", refused)
    plan.base, plan.parameters = base, layers.parameters
    _check_base(base, wishes, checklist, plan.found.source)
    fit(adapter, layers, base.name, checklist)
    checklist.ok("scale", adapter.scale)
    try:
        theirs = _check_tokenizer(plan, adapter, layers, base)
    except BakeoffError as refused:
        return checklist.refused("tokenizer", refused)
    try:
        choose_template(plan, theirs, wishes)
    except BakeoffError as refused:
        return checklist.refused("template", refused)
    _choose_form(plan, adapter, layers)
    return None


def _check_base(base: Base, wishes: Wishes, checklist: Checklist, source: str) -> None:
    """How the base was found, whether it is the one that the adapter names, and what its bits are."""
    plain = sixteen_bit(base.named)
    if base.packed and base.path.is_dir() and wishes.base_quantization == "none":
        checklist.fail(
            "base",
            f"{base.name} is quantized ({base.packed}), and an adapter is measured over weights of 16 bits.",
            f"Fetch the 16-bit base (hf download {plain or base.name}), or take the dequantized one: "
            "--base-quantization nf4",
        )
        return
    checklist.ok("base", f"{base.name}: {base.how} ({base.path})")
    if base.named and "--base" in base.how and not same_weights(plain or base.named, base.name):
        checklist.note("base", f"The adapter itself names {base.named}.")
    if base.packed and base.path.is_file():
        checklist.note("base", f"{base.path.name} is {base.packed}: measured are its dequantized weights.")
    if wishes.base_quantization == "nf4":
        checklist.note("quantization", "The base is quantized to NF4 and back, as a QLoRA training sees it.")
    elif four_bit(base.named):
        checklist.note(
            "quantization",
            f"It was trained over a 4-bit copy, {base.named}; the 16-bit base is used.",
            "For the dequantized one: --base-quantization nf4. To have both measured on rows of yours and the better "
            f"said: bakeoff run FILE, with `models: [{source}]` and `data: {{sources: [ROWS]}}` in it",
        )


def _check_tokenizer(plan: Plan, adapter: Adapter, layers: Outline, base: Base) -> Template | None:
    """Whose tokenizer the model has; the base's template. Raises: FileRefused."""
    folder = unpacked(base.path) if base.path.is_file() else base.path
    theirs = load(folder)
    if theirs is None:
        raise FileRefused(f"The base {base.name} has no tokenizer in {folder}. Copy its tokenizer files there.")
    own = load(plan.path)
    if compare(own, theirs, layers.rows, adapter.saved_rows, plan.checklist):
        plan.tokenizer = plan.path
    text = base.chat_template or theirs.chat_template
    if isinstance(text, dict):
        text = text.get("default") or next(iter(text.values()), "")
    return Template(str(text), "its base's") if text else None


def choose_template(plan: Plan, base: Template | None, wishes: Wishes) -> None:
    """Which template the model is spoken to in, and whether its record has to keep it."""
    own = in_folder(plan.path) if plan.path.is_dir() else []
    if plan.found.template:
        own = [Template(plan.found.template, plan.found.source), *own]
    given = Template(template_text(wishes.template), str(wishes.template)) if wishes.template else None
    plan.template = choose(own, base, given, plan.checklist)
    itself = _by_itself(plan.path, base)
    plan.apart = plan.template is not None and plan.template.text != itself


def _by_itself(path: Path, base: Template | None) -> str:
    """The template that an engine takes from the files alone."""
    own = own_template(path) if path.is_dir() else None
    return own if own is not None else base.text if base else ""


def _choose_form(plan: Plan, adapter: Adapter, layers: Outline) -> None:
    """Decide whether it runs beside its base or has to be merged; the finding says why."""
    reasons = adapter.beyond
    if plan.tokenizer is not None:
        reasons.append("a tokenizer of its own")
    if layers.tied and "lm_head" in adapter.matrices:
        reasons.append("the output embedding, which is the input's in this base")
    plan.merged = bool(reasons)
    plan.form = "merged" if plan.merged else "adapter"
    if plan.merged:
        plan.checklist.note(
            "form", f"It has {'; '.join(reasons)}: more than a LoRA beside its base can hold, so PEFT merges it."
        )
    elif adapter.settings.get("use_dora"):
        plan.checklist.note(
            "form", "DoRA: measured beside its base. No LoRA-GGUF can hold it: GGUF files have it merged."
        )
    else:
        plan.checklist.ok("form", "LoRA on linear layers: beside its base, in one batch with others, or as LoRA-GGUF")
