"""One fine-tune in the forms it can ship in: lora-gguf beside its base, merged safetensors, GGUF at some quantization.

Each form is a model of its own in the store, with its own identity, size and measurements. Nothing is registered that
the parity gate (`engines.exporting.parity`) refuses. Exporting again what is there returns what is there. What cannot
be made is known from the base's configuration alone: `engines.exporting.possible`.

A LoRA-GGUF stands beside the GGUF that its base is, or beside one that the base is exported to once for all its
adapters (`base_in_gguf`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import ExportRefused
from engines.exporting.parity import compare
from engines.exporting.possible import EXPORTED
from engines.exporting.references import References
from engines.gguf_format.header import is_gguf, read_header
from engines.gguf_format.hyperparameters import read_config
from engines.gguf_format.lora import MERGED_INSTEAD, deltas, layout_of, write_lora
from engines.gguf_format.safetensors_header import check_model_folder
from engines.gguf_format.writer import KINDS, FolderSource, GgufSource, write_model
from engines.huggingface.chat_templates import own_template
from engines.identity import file_sha256, folder_sha256, model_id, prove, require_files
from engines.llamacpp.engine import LlamaCppEngine
from engines.opening import weights_path
from results import Form, Model, Store, Workspace, digest, format_name, making

OVER: Form = "gguf-q8_0"
"""Form of the file that adapters of a base in safetensors stand beside, unless told otherwise."""


@dataclass(frozen=True)
class _Task:
    """What a maker of one form needs."""

    model: Model
    form: Form
    workspace: Workspace
    references: References
    base: Model | None
    """The base exported to a GGUF, for a LoRA-GGUF over a base that is none itself."""

    @property
    def name(self) -> str:
        """The name of the model to be made; a LoRA-GGUF beside an exported base names that file's form too."""
        return format_name(self.fine_tune, self.form, self.base.form if self.base else None)

    @property
    def fine_tune(self) -> str:
        """What the model is a format of."""
        return self.model.fine_tune or self.model.name


def export(
    model: Model,
    form: Form,
    workspace: Workspace,
    store: Store,
    over: Form = OVER,
    references: References | None = None,
) -> Model:
    """The model in another form, written into the workspace, checked, and registered.

    over: for lora-gguf, the form that a base in safetensors is exported to first. references: given by a caller that
    exports several models, so that their base is loaded once.
    Raises: ExportRefused naming the check that failed, or why the form does not exist for this model; FileChanged.
    """
    require_files(model)
    if form == model.form:
        return model
    if form not in EXPORTED:
        raise ExportRefused("form", f"Nothing can be exported as {form!r}. Formats: {', '.join(sorted(EXPORTED))}.")
    references = references or References(workspace)
    base = None
    if form == "lora-gguf" and model.form == "adapter" and not is_gguf(weights_path(model, workspace)):
        _refuse_dora(model, workspace)  # before a base is exported for it
        base = base_in_gguf(model, over, workspace, store, references)
    task = _Task(model, form, workspace, references, base)
    for one in store.models.list():
        same = one.name == task.name and one.details.get("source") == model.identity
        if (
            same
            and (base is None or one.weights_sha256 == base.weights_sha256)
            and workspace.resolve(one.path).exists()
        ):
            return one
    prove(model, workspace)
    folder = workspace.folder("exports", model_id(task.name, model.identity))
    with making(folder.parent) as work:
        made = MAKERS[form](task, work)
        shutil.rmtree(folder)
        work.rename(folder)
    return store.models.add(_record(model, form, task.name, folder / made.pop("file"), made, workspace))


def base_in_gguf(
    adapter: Model, form: Form, workspace: Workspace, store: Store, references: References | None = None
) -> Model:
    """The base that an adapter was trained over as a GGUF file, for all its adapters: made when it is missing.

    Raises: ExportRefused as `export`.
    """
    if form not in KINDS:
        raise ExportRefused("form", f"No base is exported as {form!r} for its adapters; there are {', '.join(KINDS)}.")
    return export(_base_of(adapter, workspace, store), form, workspace, store, references=references)


def _base_of(adapter: Model, workspace: Workspace, store: Store) -> Model:
    """The record of an adapter's base; made from the adapter's own where the base was never registered."""
    identity = digest(
        {"weights": adapter.weights_sha256, "adapter": "", "template": adapter.template_sha256, "form": "base"}
    )
    bases = [one for one in store.models.list() if one.form == "base"]
    known = [one for one in bases if one.identity == identity]
    known = known or [one for one in bases if one.path == adapter.base_path]
    if known:
        return known[-1]
    name = adapter.base.rstrip("/").rpartition("/")[2]
    lacking = own_template(workspace.resolve(adapter.base_path)) is None
    template = own_template(workspace.resolve(adapter.path)) if lacking else None
    return Model(
        model_id(name, identity), name, "base", adapter.base, identity, 0, adapter.base_path,
        weights_sha256=adapter.weights_sha256, template_sha256=adapter.template_sha256,
        details={"chat_template": template} if template else {},
    )  # fmt: skip


def _record(model: Model, form: Form, name: str, path: Path, made: dict[str, Any], workspace: Workspace) -> Model:
    """The new model: its identity is that of the file, and of the base's where it needs one."""
    base_path = made.pop("base_path", None)
    weights = file_sha256(path) if path.is_file() else folder_sha256(path)
    parts = {"form": form, "weights": weights}
    size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    if base_path is not None:
        parts["base"] = file_sha256(base_path)
        size += base_path.stat().st_size
    identity = digest(parts)
    return Model(
        id=model_id(name, identity),
        name=name,
        form=form,
        base=model.base,
        identity=identity,
        bytes=size,
        path=workspace.relative(path),
        run_id=model.run_id,
        base_path=workspace.relative(base_path) if base_path is not None else "",
        weights_sha256=parts.get("base", weights),
        adapter_sha256=weights if base_path is not None else "",
        template_sha256=model.template_sha256,
        details={**model.details, "source": model.identity, "exported_from": model.name, **made},
        fine_tune=model.fine_tune or model.name,
    )


def _lora(task: _Task, folder: Path) -> dict[str, Any]:
    """The adapter as a LoRA-GGUF for the GGUF that it was trained over, or that its base was exported to."""
    model, workspace = task.model, task.workspace
    if model.form != "adapter":
        raise ExportRefused("form", f"{model.name} is no adapter; it has no lora-gguf. Export it as gguf-q8_0.")
    base = workspace.resolve(task.base.path if task.base else model.base_path)
    header = read_header(base)
    matrices = deltas(workspace.resolve(model.path), layout_of(header))
    write_lora(folder / "adapter.gguf", matrices, header, model.name)
    figures = _checked(task, task.base.form if task.base else task.form, base, folder / "adapter.gguf")
    write_modelfile(folder, base, folder / "adapter.gguf")
    beside = {"over": task.base.name, "over_form": task.base.form, "over_id": task.base.id} if task.base else {}
    return {"file": "adapter.gguf", "base_path": base, "tensors": len(matrices), "parity": figures, **beside}


def _refuse_dora(model: Model, workspace: Workspace) -> None:
    folder = workspace.resolve(model.path)
    if read_config(folder, "adapter_config.json").get("use_dora"):
        raise ExportRefused("dora", f"{model.name} is a DoRA adapter, which no LoRA-GGUF can hold. {MERGED_INSTEAD}")


def _gguf(task: _Task, folder: Path) -> dict[str, Any]:
    """The whole model, adapter merged in, as one GGUF file."""
    model, workspace = task.model, task.workspace
    weights = weights_path(model, workspace)
    source = FolderSource(weights, model.name) if weights.is_dir() else GgufSource(weights)
    adapter = workspace.resolve(model.path) if model.form == "adapter" else None
    matrices = deltas(adapter, source.layout) if adapter else {}
    template = model.details.get("chat_template") or (own_template(adapter) if adapter else None)
    file = folder / f"{task.name.replace('@', '-')}.gguf"
    types = write_model(file, source, task.form, matrices, template or "")
    figures = _checked(task, task.form, file, None)
    write_modelfile(folder, file, None)
    return {"file": file.name, "tensor_types": types, "parity": figures}


def _merged(task: _Task, folder: Path) -> dict[str, Any]:
    """The adapter merged into its base's weights: a transformers folder that needs no PEFT."""
    model, workspace = task.model, task.workspace
    if model.form != "adapter":
        raise ExportRefused("form", f"{model.name} is a {model.form}; only an adapter is {task.form}.")
    from engines.exporting.merging import merge

    adapter = workspace.resolve(model.path)
    check_model_folder(adapter)
    template = str(model.details.get("chat_template") or own_template(adapter) or "")
    made = merge(weights_path(model, workspace), adapter, folder / "model", template=template)
    return {"file": "model", "merged": made.words}


def _checked(task: _Task, limit: Form, file: Path, adapter: Path | None) -> dict[str, Any]:
    """Through the parity gate against transformers, within the `limit` of a form; the gate's figures."""
    import torch

    reference = task.references.expected(task.model, torch.float32 if limit == "gguf-f16" else None)
    engine = LlamaCppEngine.open(file, adapter=adapter, context=512, reuse=False)
    try:
        return dict(compare(reference, engine, limit).details())
    finally:
        engine.close()


MAKERS: dict[Form, Callable[[_Task, Path], dict[str, Any]]] = {
    "lora-gguf": _lora, "merged": _merged, "gguf-f16": _gguf, "gguf-q8_0": _gguf, "gguf-q4_0": _gguf,
}  # fmt: skip
"""Form → what writes it into a folder and says the file's name and what goes into the model's details."""


def write_modelfile(folder: Path, model: Path, adapter: Path | None) -> None:
    """An Ollama Modelfile beside the file: `ollama create NAME -f Modelfile`. The chat template is the GGUF's own."""
    header = read_header(model)
    lines = [f"FROM {'./' + model.name if model.parent == folder else model}"]
    if adapter:
        lines.append(f"ADAPTER ./{adapter.name}")
    context = int(header.hyperparameter("context_length", 2048))
    lines += [f"PARAMETER num_ctx {min(context, 8192)}", "PARAMETER temperature 0.7"]
    (folder / "Modelfile").write_text("\n".join(lines) + "\n", "utf-8")
