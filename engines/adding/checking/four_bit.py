"""A base quantized to 4 bits and back: the weights that a QLoRA training saw, in a folder of 16-bit numbers.

A copy that is packed by bitsandbytes already is unpacked as it is; any other base is quantized to NF4 first, with
bitsandbytes' double quantization, as TRL, Axolotl and LLaMA-Factory do by default.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from engines.adding.checking.bases import Base
from engines.errors import EngineError, FileRefused
from engines.identity import base_sha256
from results import Workspace, making

PACKER = "bitsandbytes"
"""The one kind of packed base that is unpacked here; transformers' name of it."""


def dequantized(base: Base, workspace: Workspace) -> Base:
    """The base with its dequantized weights, in the workspace: made when missing.

    Raises: FileRefused for a GGUF or a base packed otherwise; EngineError where bitsandbytes cannot.
    """
    if base.path.is_file() or base.packed not in ("", PACKER):
        raise FileRefused(f"{base.path} is packed otherwise than by bitsandbytes. Name the 16-bit base: --base NAME")
    folder = workspace.folder("bases") / f"{base.path.name}-{base_sha256(base.path)[:12]}-nf4"
    if not folder.is_dir():
        with making(folder.parent) as work:
            _write(base, work)
            work.rename(folder)
    return replace(base, path=folder, name=f"{base.name}-nf4", how=f"{base.how}, to NF4 and back")


def _write(base: Base, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    from engines.exporting.merging import merging_dtype
    from engines.gguf_format.unpacking import silence

    # bitsandbytes asks for a package that would fetch code from the Hub; it is not wanted, and so no news.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    dtype = merging_dtype(base.path)
    nf4 = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options = {} if base.packed else {"quantization_config": nf4}
    try:
        with silence():
            model = AutoModelForCausalLM.from_pretrained(
                base.path,
                dtype=dtype,
                device_map={"": device},
                trust_remote_code=False,
                use_safetensors=True,
                **options,
            )
            model.dequantize().to(dtype).save_pretrained(folder)
            AutoTokenizer.from_pretrained(base.path, trust_remote_code=False).save_pretrained(folder)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EngineError(f"{base.path} cannot be quantized to 4 bits and back: {reason}. Leave nf4 out.") from error
