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
from engines.header import read_header
from engines.identity import file_sha256, model_id
from engines.lora import deltas, layout_of, write_lora
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
    makers: dict[Form, Callable[[Model, Workspace, Path], dict[str, Any]]] = {"lora-gguf": _lora}
    folder = workspace.folder("exports", model_id(name, model.identity))
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        made = makers[form](model, workspace, work)
        shutil.rmtree(folder)
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return store.models.add(_record(model, form, name, folder / made.pop("file"), made, workspace))


def _record(model: Model, form: Form, name: str, path: Path, made: dict[str, Any], workspace: Workspace) -> Model:
    """The new model: its identity is that of the file, and of the base's where it needs one."""
    base_path = made.pop("base_path", None)
    weights = file_sha256(path)
    parts = {"form": form, "weights": weights}
    size = path.stat().st_size
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


def _lora(model: Model, workspace: Workspace, folder: Path) -> dict[str, Any]:
    """The adapter as a LoRA-GGUF for the GGUF that it was trained over."""
    if model.form != "adapter":
        raise ExportRefused("form", f"{model.name} is a {model.form}; only an adapter can become a lora-gguf.")
    base = workspace.resolve(model.base_path)
    if base.suffix != ".gguf":
        raise ExportRefused("form", f"The base of {model.name} is {base}, no GGUF. Export it as gguf-f16 or gguf-q8_0.")
    header = read_header(base)
    matrices = deltas(workspace.resolve(model.path), layout_of(header))
    write_lora(folder / "adapter.gguf", matrices, header, model.name)
    return {"file": "adapter.gguf", "base_path": base, "tensors": len(matrices)}
