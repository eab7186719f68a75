"""One fine-tune in the forms it can ship in: lora-gguf beside its base, merged safetensors, GGUF at some quantization.

Each form is a model of its own in the store, with its own identity, size and measurements. Nothing is registered that
the parity gate (`engines.parity`) refuses. Exporting again what is there returns what is there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.errors import ExportRefused
from engines.gguf import FolderSource, GgufSource, write_model
from engines.header import read_header
from engines.hyperparameters import read_config
from engines.identity import file_sha256, folder_sha256, model_id
from engines.llamacpp import LlamaCppEngine
from engines.lora import deltas, layout_of, write_lora
from engines.opening import weights_path
from engines.parity import check
from results import Form, Model, Store, Workspace, digest

SUFFIX: dict[Form, str] = {
    "lora-gguf": "lora", "merged": "merged", "gguf-f16": "f16", "gguf-q8_0": "q8_0", "gguf-q4_0": "q4_0",
}  # fmt: skip
"""Form → what is added to the model's name: demo-rank8 as gguf-q8_0 is demo-rank8-q8_0."""


def export(model: Model, form: Form, workspace: Workspace, store: Store) -> Model:
    """The model in another form, written into the workspace, checked, and registered.

    Raises: ExportRefused naming the check that failed, or why the form does not exist for this model.
    """
    if form == model.form:
        return model
    if form not in SUFFIX:
        raise ExportRefused("form", f"Nothing can be exported as {form!r}. Forms: {', '.join(sorted(SUFFIX))}.")
    name = f"{model.name}-{SUFFIX[form]}"
    done = [one for one in store.models.list() if one.name == name and one.details.get("source") == model.identity]
    if done and workspace.resolve(done[0].path).exists():
        return done[0]
    makers: dict[Form, Callable[[Model, Form, Workspace, Path], dict[str, Any]]] = {
        "lora-gguf": _lora, "merged": _merged, "gguf-f16": _gguf, "gguf-q8_0": _gguf, "gguf-q4_0": _gguf,
    }  # fmt: skip
    folder = workspace.folder("exports", model_id(name, model.identity))
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        made = makers[form](model, form, workspace, work)
        shutil.rmtree(folder)
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return store.models.add(_record(model, form, name, folder / made.pop("file"), made, workspace))


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
    )


def _lora(model: Model, form: Form, workspace: Workspace, folder: Path) -> dict[str, Any]:
    """The adapter as a LoRA-GGUF for the GGUF that it was trained over."""
    base = workspace.resolve(model.base_path)
    if model.form != "adapter" or base.suffix != ".gguf":
        reason = "is no adapter" if model.form != "adapter" else f"was trained over {base}, which is no GGUF"
        raise ExportRefused("form", f"{model.name} {reason}; it has no lora-gguf. Export it as gguf-q8_0.")
    header = read_header(base)
    matrices = deltas(workspace.resolve(model.path), layout_of(header))
    write_lora(folder / "adapter.gguf", matrices, header, model.name)
    figures = _checked(model, form, workspace, base, folder / "adapter.gguf")
    write_modelfile(folder, base, folder / "adapter.gguf")
    return {"file": "adapter.gguf", "base_path": base, "tensors": len(matrices), "parity": figures}


def _gguf(model: Model, form: Form, workspace: Workspace, folder: Path) -> dict[str, Any]:
    """The whole model, adapter merged in, as one GGUF file."""
    weights = weights_path(model, workspace)
    source: GgufSource | FolderSource
    if weights.is_dir():
        source = FolderSource(weights, model.name)
    else:
        source = GgufSource(weights)
    from engines.huggingface import own_template

    adapter = workspace.resolve(model.path) if model.form == "adapter" else None
    matrices = deltas(adapter, source.layout) if adapter else {}
    file = folder / f"{model.name}-{SUFFIX[form]}.gguf"
    types = write_model(file, source, form, matrices, own_template(adapter) or "" if adapter else "")
    figures = _checked(model, form, workspace, file, None)
    write_modelfile(folder, file, None)
    return {"file": file.name, "tensor_types": types, "parity": figures}


def _merged(model: Model, form: Form, workspace: Workspace, folder: Path) -> dict[str, Any]:
    """The adapter merged into its base's weights: a transformers folder that needs no PEFT."""
    if model.form != "adapter":
        raise ExportRefused("form", f"{model.name} is a {model.form}; only an adapter is {form}.")
    from peft import PeftModel

    from engines.huggingface import load_base

    base, tokenizer = load_base(weights_path(model, workspace), _merging_dtype(weights_path(model, workspace)))
    merged = PeftModel.from_pretrained(base, str(workspace.resolve(model.path))).merge_and_unload(safe_merge=True)
    merged.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return {"file": "model"}


def _merging_dtype(base: Path) -> Any:
    """The base's own 16-bit type; float16 for a GGUF, whose dequantized weights need its longer mantissa."""
    import torch

    if base.is_file():
        return torch.float16
    config = read_config(base)
    return getattr(torch, str(config.get("dtype") or config.get("torch_dtype") or "bfloat16"))


def _checked(model: Model, form: Form, workspace: Workspace, file: Path, adapter: Path | None) -> dict[str, Any]:
    """Through the parity gate against transformers; its figures."""
    import torch

    from engines.huggingface import HuggingFaceEngine

    adapters = {model.name: workspace.resolve(model.path)} if model.form == "adapter" else None
    reference = HuggingFaceEngine(
        weights_path(model, workspace),
        adapters,
        model.name if adapters else "",
        dtype=torch.float32 if form == "gguf-f16" else None,
    )
    engine = LlamaCppEngine.open(file, adapter=adapter, context=512, reuse=False)
    try:
        return dict(check(reference, engine, form).details())
    finally:
        engine.close()
        reference.close()


def write_modelfile(folder: Path, model: Path, adapter: Path | None) -> None:
    """An Ollama Modelfile beside the file: `ollama create NAME -f Modelfile`. The chat template is the GGUF's own."""
    header = read_header(model)
    lines = [f"FROM {'./' + model.name if model.parent == folder else model}"]
    if adapter:
        lines.append(f"ADAPTER ./{adapter.name}")
    context = int(header.hyperparameter("context_length", 2048))
    lines += [f"PARAMETER num_ctx {min(context, 8192)}", "PARAMETER temperature 0.7"]
    (folder / "Modelfile").write_text("\n".join(lines) + "\n", "utf-8")
