"""Models that share one base's weights, loaded once and measured in one batch.

A base, its adapters and its LoRA-GGUFs are one family; a merged folder or a whole GGUF file is a family of its own.
GGUF weights run dequantized through transformers: the same rows and the same code for every form. Held-out loss is
measured so (llama.cpp gives no losses of single tokens cheaply); answers come from llama.cpp
(`evaluator.asking.llamacpp_backend`).

Not here: models that only another engine can run (remote endpoints, GGML files).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines import is_gguf, prove, require_files
from evaluator.errors import ModelUnmeasurable
from results import Form, Model, Workspace

if TYPE_CHECKING:
    from engines import HuggingFaceEngine

SPOKEN_TO: tuple[Form, ...] = ("remote", "ggml")
"""Forms that are reached through an engine's interface only (`evaluator.asking.backends`)."""

BASE_ROW = ""
"""The adapter name of rows that run on the bare base (`engines.huggingface.requests.BASE`)."""

ADAPTED: tuple[Form, ...] = ("adapter", "lora-gguf")
"""Forms that stand beside a base's weights."""


@dataclass(frozen=True)
class Family:
    """One base's weights and the models that are measured on them."""

    weights: str
    """Folder, GGUF file or Hub name."""
    members: tuple[Model, ...]

    def row(self, model: Model) -> str:
        """What `engines.huggingface.requests.Request.adapter` is for a member."""
        return model.id if model.form in ADAPTED else BASE_ROW


def reached_by(family: Family) -> dict[str, str]:
    """What an evaluation's details say of how a family's weights are run."""
    gguf = is_gguf(family.weights)
    return {
        "engine": "huggingface",
        **({"weights": "dequantized: not the engine that runs GGUF files"} if gguf else {}),
    }


def families(models: Sequence[Model], workspace: Workspace) -> list[Family]:
    """Group models by the weights they stand on, in the order of their first member.

    Raises: ModelUnmeasurable for a form that transformers does not run; FileChanged where no weights are here.
    """
    grouped: dict[str, list[Model]] = {}
    for model in models:
        if model.form in SPOKEN_TO:
            raise out_of_reach(model)
        require_files(model)
        place = model.base_path or model.base if model.form in ADAPTED else model.path
        path = workspace.resolve(place)
        grouped.setdefault(str(path if path.exists() else place), []).append(model)
    return [Family(weights, tuple(members)) for weights, members in grouped.items()]


def out_of_reach(model: Model) -> ModelUnmeasurable:
    """The refusal of a model whose weights are not here by a measurement that needs them."""
    return ModelUnmeasurable(
        f"{model.name} is a {model.form}: its weights are out of reach, and this measurement needs them. "
        f"It can be asked the tasks of a benchmark: bakeoff evaluate {model.name} --benchmark humaneval"
    )


@contextmanager
def opened(family: Family, workspace: Workspace) -> Iterator[HuggingFaceEngine]:
    """The family in memory while the block runs. Raises FileRefused and its kinds, FileChanged among them."""
    from engines import HuggingFaceEngine

    for model in family.members:
        prove(model, workspace)
    adapters: dict[str, Path] = {
        model.id: workspace.resolve(model.path) for model in family.members if model.form in ADAPTED
    }
    engine = HuggingFaceEngine(family.weights, adapters)
    for model in family.members:
        if template := model.details.get("chat_template"):  # where its files bring none, or another
            engine.templates[family.row(model)] = str(template)
    try:
        yield engine
    finally:
        engine.close()
