"""A model of the store becomes an engine that answers for it.

    with_engine = open_engine(store.models.find("demo-rank8@lora"), workspace)

GGUF files and LoRA-GGUFs go to llama.cpp, transformers folders and PEFT adapters to transformers, URLs to an
OpenAI-compatible client. Several models on one base GGUF share one process: `open_engines`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import EngineError, FileRefused
from engines.gguf_format.header import is_gguf, legacy_format
from engines.identity import gone, missing_files, prove
from results import Model, Workspace, needs

if TYPE_CHECKING:
    from engines.interface import Engine
    from engines.llamacpp.engine import LlamaCppEngine
    from engines.llamacpp.server_process import Threading


def is_llama(model: Model, workspace: Workspace) -> bool:
    """Whether llama.cpp answers for this model."""
    return model.form.startswith("gguf-") or is_gguf(weights_path(model, workspace))


def unserved(model: Model, workspace: Workspace) -> str:
    """Why llama.cpp does not serve a model by itself, and what to do; "" where it does."""
    if away := missing_files(model, workspace):
        return away
    if model.form != "adapter" and is_llama(model, workspace):
        return ""
    form = "lora-gguf" if model.form == "adapter" else "gguf-q8_0"
    return (
        f"{model.name} is no GGUF file (its format is {model.form}). Make one: "
        f"bakeoff export {shlex.quote(model.name)} --form {form}"
    )


def weights_path(model: Model, workspace: Workspace) -> Path:
    """Where the base's weights are: the file or folder itself, except for adapters."""
    return workspace.resolve(model.base_path if model.form in ("adapter", "lora-gguf") else model.path)


def open_engine(
    model: Model,
    workspace: Workspace,
    *,
    context: int | None = None,
    slots: int = 1,
    threading_choice: Threading | None = None,
    reuse: int = 1,
) -> Engine:
    """Load a model in the engine of its form. The caller closes it.

    The options are llama.cpp's, as `open_engines` has them; other engines need none of them.
    Raises: FileChanged, FileRefused, EngineError and its kinds, WeightsRefused.
    """
    path = workspace.resolve(model.path)
    if model.form == "remote":
        from engines.openai_endpoint import OpenAIEngine

        return OpenAIEngine.of(model)
    if not path.exists():
        raise FileRefused(gone(path, f"the {model.form} of {model.name}"))
    legacy = model.form == "ggml" or (path.is_file() and legacy_format(path))
    if not legacy and model.form != "adapter" and is_llama(model, workspace):
        opened = open_engines(
            [model], workspace, context=context, slots=slots, threading_choice=threading_choice, reuse=reuse
        )
        return opened[model.id]
    prove(model, workspace)
    if legacy:
        from engines.llamacpp.ggml_legacy import CTransformersEngine

        return CTransformersEngine(path, identity=model.identity)
    try:
        from engines.huggingface.engine import HuggingFaceEngine
    except ModuleNotFoundError as error:
        if not (lacking := needs(error.name or "")):
            raise
        raise EngineError(f"{model.name} is a {model.form}: {lacking}") from error
    if model.form == "adapter":
        base = weights_path(model, workspace)
        engine = HuggingFaceEngine(base, {model.name: path}, model.name, identity=model.identity)
    else:
        engine = HuggingFaceEngine(path, identity=model.identity)
    if template := str(model.details.get("chat_template") or ""):
        engine.templates[engine.adapter] = template
    return engine


def open_engines(
    models: Sequence[Model],
    workspace: Workspace,
    *,
    context: int | None = None,
    slots: int = 1,
    threading_choice: Threading | None = None,
    reuse: int = 1,
) -> Mapping[str, LlamaCppEngine]:
    """GGUF models by their ids, those of one base file in one process, each base's weights in memory once.

    context: tokens of one slot, by default 4096 or what the model was trained for. slots: answers at once. reuse:
    tokens that an earlier prompt must share with one for its keys and values to be used (0, for latency: never).
    Raises: FileChanged; EngineError for a model that llama.cpp does not serve.
    """
    from engines.llamacpp.engine import LlamaCppEngine
    from engines.llamacpp.server_process import LlamaServer

    by_base: dict[Path, list[Model]] = {}
    for model in models:
        prove(model, workspace)
        if refusal := unserved(model, workspace):
            raise EngineError(refusal)
        by_base.setdefault(weights_path(model, workspace).resolve(), []).append(model)
    engines: dict[str, LlamaCppEngine] = {}
    try:
        for base, group in by_base.items():
            adapters = [workspace.resolve(model.path) for model in group if model.form == "lora-gguf"]
            server = LlamaServer(base, adapters, context=context, slots=slots, threading_choice=threading_choice)
            for model in group:
                place = adapters.index(workspace.resolve(model.path)) if model.form == "lora-gguf" else None
                engines[model.id] = LlamaCppEngine(server, place, model.identity, reuse)
    except BaseException:
        for engine in engines.values():
            engine.close()
        raise
    return engines
