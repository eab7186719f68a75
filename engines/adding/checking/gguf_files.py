"""GGUF files made elsewhere: whole models, split ones, and LoRA-GGUFs beside the GGUF of their base."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from engines.adding.checking.bases import Shelves, locate
from engines.adding.checking.inspection import Plan, Wishes
from engines.adding.checking.templates import Template, choose, template_text
from engines.adding.names import SPLIT
from engines.errors import FileRefused
from engines.gguf_format.header import Header, TensorInfo, read_header
from results import BakeoffError, Form

FORMS: dict[int, Form] = {1: "gguf-f16", 2: "gguf-q4_0", 8: "gguf-q8_0"}
"""GGUF tensor type of most weights → form; any other is gguf-other."""

KIND_NAMES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K",
              12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 30: "BF16"}  # fmt: skip
"""GGUF tensor type → what people call it."""


def inspect_gguf(plan: Plan, wishes: Wishes) -> None:
    """Check a whole model in a GGUF file; what is found goes into the plan and its checklist."""
    checklist = plan.checklist
    try:
        header = read_header(plan.path)
        parts = parts_of(plan.path, header)
    except BakeoffError as refused:
        return checklist.refused("layout", refused)
    kinds = Counter[int]()
    for file in parts:
        for tensor in read_header(file).tensors:
            kinds[tensor.kind] += math.prod(tensor.shape)
    kind = max(kinds, key=kinds.__getitem__) if kinds else -1
    plan.parameters = kinds.total()
    plan.form = FORMS.get(kind, "gguf-other")
    mostly = KIND_NAMES.get(kind, f"of type {kind}")
    said = f"GGUF, {header.architecture}, {kinds.total():,} weights, most of them {mostly}"
    if len(parts) > 1:
        checklist.note("layout", f"{said}, in {len(parts)} parts: they are joined into one file in the workspace.")
        plan.rewritten = tuple(parts)
    else:
        checklist.ok("layout", said)
    if "tokenizer.ggml.model" not in header.metadata:
        return checklist.fail(
            "tokenizer", f"{plan.path.name} has no tokenizer in it.", "Convert it again, with its tokenizer files"
        )
    checklist.ok("tokenizer", f"its own ({header.metadata['tokenizer.ggml.model']})")
    try:
        _choose(plan, header, wishes)
    except BakeoffError as refused:
        return checklist.refused("template", refused)
    return None


def _choose(plan: Plan, header: Header, wishes: Wishes) -> None:
    """The template of a GGUF: the person's, the source's, or the one in the file."""
    text = str(header.metadata.get("tokenizer.chat_template") or "")
    inside = [Template(text, f"in {plan.path.name}")] if text else []
    beside = [Template(plan.found.template, plan.found.source)] if plan.found.template else []
    given = Template(template_text(wishes.template), str(wishes.template)) if wishes.template else None
    plan.template = choose([*beside, *inside], None, given, plan.checklist)
    if plan.template is not None and plan.template.text != text:
        plan.rewritten = plan.rewritten or (plan.path,)
        plan.checklist.note(
            "template", "llama.cpp renders by what is in the file, so the workspace gets a copy with it."
        )


def parts_of(file: Path, header: Header) -> list[Path]:
    """The files of a GGUF: itself, or all parts of a split one. Raises: FileRefused where one is missing."""
    count = int(header.metadata.get("split.count") or 1)
    if count <= 1:
        return [file]
    stem = SPLIT.sub("", file.stem)
    parts = [file.with_name(f"{stem}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]
    missing = [part for part in parts if not part.is_file()]
    if missing:
        raise FileRefused(f"{missing[0].name} is not beside {file.name}: a part is missing. Download it again.")
    return parts


def inspect_lora(plan: Plan, wishes: Wishes, shelves: Shelves) -> None:
    """Check a LoRA-GGUF beside the GGUF of its base; what is found goes into the plan and its checklist."""
    checklist = plan.checklist
    try:
        header = read_header(plan.path)
    except BakeoffError as refused:
        return checklist.refused("layout", refused)
    pairs, ups = _halves(header, ".lora_a"), _halves(header, ".lora_b")
    checklist.ok("layout", f"LoRA-GGUF, {header.architecture}, {len(pairs)} adapted matrices")
    try:
        base = locate(plan.found, wishes.base, shelves)
        if base.path.is_dir():
            raise FileRefused(
                f"{base.path} is a folder, and a LoRA-GGUF stands beside a GGUF. Name its base's file: --base FILE.gguf"
            )
        over = read_header(base.path)
    except BakeoffError as refused:
        return checklist.refused("base", refused)
    plan.base, plan.form = base, "lora-gguf"
    checklist.ok("base", f"{base.name}: {base.how} ({base.path})")
    shapes = {tensor.name: tensor.shape for tensor in over.tensors}
    for name, down in pairs.items():
        up, wanted = ups.get(name), shapes.get(name)
        fits = up is not None and (down.shape[0], up.shape[1]) == wanted and down.shape[1] == up.shape[0]
        if not fits:
            return checklist.fail(
                "shapes",
                f"{name} does not fit {base.path.name}: it was trained over another base.",
                "Name the GGUF of the base that it was trained over: --base FILE.gguf",
            )
    checklist.ok("shapes", f"A and B fit all {len(pairs)} matrices that they are for")
    alpha = float(header.metadata.get("adapter.lora.alpha") or 0)
    ranks = sorted({tensor.shape[1] for tensor in pairs.values()})
    checklist.ok("scale", f"alpha/rank: {', '.join(f'{alpha:g}/{rank} = {alpha / rank:.4g}' for rank in ranks)}")
    checklist.note(
        "scale",
        "What was rank-stabilised or had alphas of its own before it was converted cannot be told from the file.",
        "llama.cpp's converter writes alpha/rank for all: if it was trained with rsLoRA, add the PEFT folder instead",
    )
    text = str(over.metadata.get("tokenizer.chat_template") or "")
    plan.template = choose([], Template(text, "its base's") if text else None, None, checklist)
    if wishes.template and template_text(wishes.template) != text:
        checklist.fail(
            "template",
            "A LoRA-GGUF is spoken to by the template in its base's file, and that differs from the one given.",
            f"Add the base with it first (bakeoff add {base.path} --template …), and name that: --base NAME",
        )
    return None


def _halves(header: Header, ending: str) -> dict[str, TensorInfo]:
    """Matrix → its A or B, told by the ending of their names."""
    return {tensor.name.removesuffix(ending): tensor for tensor in header.tensors if tensor.name.endswith(ending)}


def rewrite(parts: tuple[Path, ...], target: Path, template: str) -> None:
    """Write the parts of a GGUF as one file, its tensors byte for byte, with this chat template; "" for none."""
    import gguf

    writer = gguf.GGUFWriter(target, read_header(parts[0]).architecture)
    for field in gguf.GGUFReader(parts[0]).fields.values():
        if not field.name.startswith(("GGUF.", "general.architecture", "split.", "tokenizer.chat_template")):
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
    if template:
        writer.add_chat_template(template)
    for part in parts:
        for tensor in gguf.GGUFReader(part).tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
