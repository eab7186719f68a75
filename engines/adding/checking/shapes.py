"""Whether an adapter's matrices are of its base's layers: names and both sides, from configurations alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines.adding.checking.adapter import Adapter
from engines.adding.checking.checks import Checklist
from engines.errors import FileRefused
from engines.gguf_format.hyperparameters import read_config


@dataclass(frozen=True)
class Outline:
    """A base's layers without weights."""

    linears: dict[str, tuple[int, int]]
    """Name → (outputs, inputs)."""
    rows: int
    """Rows of the input embedding."""
    tied: bool
    """The output embedding is the input's."""
    parameters: int
    dtype: str
    """What its weights are stored in: bfloat16, float16 or float32."""


def outline(path: Path) -> Outline:
    """A base's outline, from its config.json or GGUF header.

    Raises: FileRefused for one that transformers does not build, or that asks for code of its own.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from engines.gguf_format.unpacking import silence, unpacked

    folder = unpacked(path) if path.is_file() else path
    settings = read_config(folder)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        with torch.device("meta"), silence():
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileRefused(f"{folder} is no causal language model that transformers builds: {reason}") from error
    linears = {}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, torch.nn.Linear):
            linears[name] = (module.out_features, module.in_features)
        elif type(module).__name__ == "Conv1D" and weight is not None:
            linears[name] = (weight.shape[1], weight.shape[0])
    return Outline(
        linears,
        model.get_input_embeddings().weight.shape[0],
        bool(config.get_text_config().tie_word_embeddings),
        sum(parameter.numel() for parameter in model.parameters()),
        str(settings.get("dtype") or settings.get("torch_dtype") or "float32"),
    )


def fit(adapter: Adapter, base: Outline, name: str, checklist: Checklist) -> None:
    """Compare every pair of matrices with the layer it is for; the finding goes into the checklist."""
    strangers = sorted(set(adapter.matrices) - set(base.linears))
    remedy = "Name the base that it was trained over: --base NAME"
    if strangers:
        checklist.fail(
            "shapes",
            f"{len(strangers)} of {len(adapter.matrices)} adapted layers are not in {name}, e.g. {strangers[0]}: "
            "it was trained over another base.",
            remedy,
        )
        return
    for layer, parts in adapter.matrices.items():
        a, b, wanted = parts.get("A"), parts.get("B"), base.linears[layer]
        if a is None or b is None or len(a) != 2 or len(b) != 2 or a[0] != b[1]:
            checklist.fail(
                "shapes",
                f"{layer} has no whole A and B ({a} and {b}): its parts on several GPUs were not gathered.",
                "Save the adapter again, gathered (DeepSpeed ZeRO-3, FSDP: save from the full state dict)",
            )
            return
        if (b[0], a[1]) != wanted:
            checklist.fail(
                "shapes",
                f"{layer} is {b[0]}×{a[1]} by the adapter and {wanted[0]}×{wanted[1]} in {name}: another base's.",
                remedy,
            )
            return
    if adapter.matrices:
        checklist.ok("shapes", f"A and B fit all {len(adapter.matrices)} layers that they are for")
