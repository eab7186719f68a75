"""An adapter of any kind that PEFT merges becomes a transformers folder, by PEFT itself, and answers as before.

LoRA, DoRA, IA3, LoHa, …; saved modules, resized embeddings and biases too. The merge is computed in float32 where that
fits the machine's memory, and compared with the adapter beside its base before anything is written.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import ExportRefused
from engines.gguf_format.hyperparameters import read_config
from engines.gguf_format.safetensors_header import read_safetensors_header
from engines.gguf_format.unpacking import silence
from engines.hardware.devices import free_bytes
from engines.interface import PROBE

if TYPE_CHECKING:
    import torch

LIMIT = {"float32": 1e-3, "other": 0.5}
"""The largest accepted difference of a logit between the merged model and the adapter beside its base, by the dtype
that the merge is computed in: rounding alone, not a scale or a lost module."""


@dataclass(frozen=True)
class Merged:
    """What a merge was, for the record."""

    computed_in: str
    """float32, or the base's own dtype where the memory has no room."""
    stored_in: str
    error: float
    """Largest difference of a logit between merged and unmerged, before it was rounded to `stored_in`."""
    shift: float
    """Largest difference of a logit that the adapter makes to the base."""
    untied: bool
    """The output embedding was the input's and is not any more."""

    @property
    def words(self) -> str:
        """How it was merged."""
        rounded = f", stored in {self.stored_in}" if self.stored_in != self.computed_in else ""
        untied = "; the output embedding is its own now" if self.untied else ""
        return f"merged by PEFT in {self.computed_in}{rounded}; logits differ by {self.error:.1e} at most{untied}"


def merge(base: Path, adapter: Path, target: Path, *, tokenizer: Path | None = None, template: str = "") -> Merged:
    """Write the merged model with its tokenizer into `target`, an empty folder.

    tokenizer: the folder of the model's own, else the base's. template: the chat template it is saved with, else the
    tokenizer's own.
    Raises: ExportRefused where PEFT cannot, or where the merged model answers otherwise; WeightsRefused.
    """
    import torch
    from transformers import AutoTokenizer

    from engines.huggingface.engine import load_base

    stored = merging_dtype(base)
    computed = torch.float32 if _fits(base) else stored
    model, own = load_base(base, computed)
    tokens = own if tokenizer is None else AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
    ids = torch.tensor([tokens(PROBE).input_ids], device=model.device)
    before = _logits(model, ids) if int(ids.max()) < model.get_input_embeddings().weight.shape[0] else None
    model, expected, untied = _merged(model, adapter, ids)
    found = _logits(model, ids)
    error = float((found - expected).abs().max())
    if error > LIMIT["float32" if computed == torch.float32 else "other"]:
        raise ExportRefused("merge", f"{adapter} merged into {base} answers otherwise: a logit differs by {error:.2g}.")
    columns = 0 if before is None else min(before.shape[-1], expected.shape[-1])
    shift = float((expected[:columns] - before[:columns]).abs().max()) if before is not None else float("inf")
    if template:
        tokens.chat_template = template
    with silence():
        model.to(stored).save_pretrained(target)
    tokens.save_pretrained(target)
    return Merged(_named(computed), _named(stored), error, shift, untied)


def _merged(model: Any, adapter: Path, ids: torch.Tensor) -> tuple[Any, torch.Tensor, bool]:
    """(model with the adapter in its weights, logits of before, whether its output embedding was untied)."""
    import torch

    # bitsandbytes, which PEFT imports, asks for a package that would fetch code from the Hub.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    from peft import PeftModel

    stored = read_safetensors_header(adapter / "adapter_model.safetensors")
    ends = ("embed_tokens.weight", "lm_head.weight", "wte.weight")
    rows = max((tensor.shape[0] for name, tensor in stored.items() if name.endswith(ends)), default=0)
    if rows and rows != model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(rows, mean_resizing=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message=".*(missing adapter keys|not initialized).*")
            beside = PeftModel.from_pretrained(model, str(adapter))
        expected = _logits(beside, ids)
        tied = bool(model.config.get_text_config().tie_word_embeddings)
        if tied:  # merged into one matrix, what was learned for one end would change the other
            head = _innermost(model.get_output_embeddings())
            head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            merged = beside.merge_and_unload(safe_merge=True)
    except (ValueError, KeyError, RuntimeError, AttributeError, TypeError, NotImplementedError, UserWarning) as error:
        reason = " ".join(str(error).split())[:300]
        raise ExportRefused("merge", f"PEFT cannot merge {adapter}: {reason}") from error
    return merged, expected, tied and _untied(merged)


def _innermost(module: Any) -> Any:
    """The layer of the base itself that PEFT has wrapped."""
    while (inner := getattr(module, "original_module", None) or getattr(module, "base_layer", None)) is not None:
        module = inner
    return module


def _untied(model: Any) -> bool:
    """Write into the configuration of a tied model whether both embeddings are still one; True where they are not."""
    import torch

    config = model.config.get_text_config()
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head.weight.shape == embedding.weight.shape and torch.equal(head.weight, embedding.weight):
        head.weight = embedding.weight
        config.tie_word_embeddings = True
        return False
    for one in {id(each): each for each in (config, model.config)}.values():
        one.tie_word_embeddings = False
    model._tied_weights_keys = None
    return True


def _logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """(vocabulary,) float32: the next token's after a prompt of ids (1, n)."""
    import torch

    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0, -1].float().cpu()
    return logits


def _fits(base: Path) -> bool:
    """Whether the base in float32, and a second copy of a layer or two, fits the memory that is free."""
    from engines.huggingface.engine import engine_device

    size = sum(file.stat().st_size for file in ([base] if base.is_file() else base.glob("*.safetensors")))
    return 2.5 * size < free_bytes(engine_device()) or size < 1 << 30


def merging_dtype(base: Path) -> Any:
    """The dtype that a base is stored in; float16 for a GGUF, whose dequantized weights need its longer mantissa."""
    import torch

    if base.is_file():
        return torch.float16
    config = read_config(base)
    return getattr(torch, str(config.get("dtype") or config.get("torch_dtype") or "bfloat16"))


def _named(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")
