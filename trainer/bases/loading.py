"""Bases: a name to a loaded model and tokenizer, with device, dtype and quantization chosen and said aloud.

A name is a registry name (`trainer.bases.registry`), a Hub id, a local folder, or a GGUF file. Nothing that came with a
base is executed: no remote code, no pickled weights, no custom kernels.

Try: python -c "from trainer import load_base; print(load_base('smollm2-135m-instruct').notes)"
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

from engines import FileRefused, base_sha256, check_model_folder, is_gguf, read_model_json, silence, unpacked
from trainer.bases.devices import choose
from trainer.bases.registry import hub_id, packaged_path, short_names
from trainer.bases.templates import PLAIN_TEMPLATE
from trainer.bases.tokenizer import Tokenizer
from trainer.errors import BaseUnavailable


@dataclass(frozen=True, kw_only=True)
class Base:
    """What is known of a base before its weights are read."""

    tokenizer: Tokenizer
    name: str
    """The name that the experiment file has for it."""
    path: str
    """Where the weights are: a folder, or the GGUF file."""
    identity: str
    """SHA-256 over weights, configuration and tokenizer."""
    parameters: int
    """The architecture's parameters: what a quantized base packs into fewer numbers is counted unpacked."""
    context_length: int | None
    dtype: str
    """bfloat16, float16 or float32."""
    device: str
    """cpu, cuda:0, mps."""
    quantization: Literal["none", "nf4"]
    notes: tuple[str, ...] = ()
    """What was chosen and why, a sentence each: to be shown to the person."""


@dataclass(frozen=True, kw_only=True)
class LoadedBase(Base):
    """A base in memory, ready for adapters."""

    model: Any
    """transformers' causal LM, in evaluation mode, its parameters frozen."""
    attention: str
    """transformers' attention implementation: sdpa, eager, …"""


def describe_base(
    name: str, quantization: str = "none", dtype: str = "auto", device: str = "auto", identity: str = ""
) -> Base:
    """What is known of a base without reading its weights, but to hash them where the `identity` is not known.

    Raises: BaseUnavailable when it is missing, gated, hostile, or the device cannot do what is asked.
    """
    path = base_path(name)
    folder = base_folder(path)
    refuse_hostile(folder, name)
    config = _config(folder, name)
    choice = choose(dtype, device, quantization, str(getattr(config, "model_type", "")))
    return Base(
        tokenizer=base_tokenizer(name),
        name=name,
        path=str(path),
        identity=identity or base_identity(name),
        parameters=_parameters(config, name),
        context_length=getattr(config, "max_position_embeddings", None),
        dtype=choice.dtype,
        device=choice.device,
        quantization=choice.quantization,
        notes=choice.notes,
    )


def load_base(
    name: str, quantization: str = "none", dtype: str = "auto", device: str = "auto", identity: str = ""
) -> LoadedBase:
    """Load a base with its tokenizer, its weights straight to the device.

    `identity`: its SHA-256 where somebody has computed it already.
    Raises: BaseUnavailable when it is missing, gated, hostile, or the device cannot do what is asked.
    """
    from transformers import AutoModelForCausalLM

    # bitsandbytes asks for a package that would fetch code from the Hub; it is not wanted, and so no news.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    base = describe_base(name, quantization, dtype, device, identity)
    folder = base_folder(Path(base.path), base.dtype)
    try:
        with silence():
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=_torch_dtype(base.dtype),
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                **_placement(base),
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BaseUnavailable(f"Cannot load the base {name!r} from {folder}: {' '.join(str(error).split())}") from error
    model.eval()
    model.requires_grad_(False)
    model.config.use_cache = False
    attention = str(model.config._attn_implementation)
    known = {field.name: getattr(base, field.name) for field in fields(base)}
    notes = (*base.notes, f"attention: {attention}, transformers' choice for this base")
    return LoadedBase(**{**known, "notes": notes}, model=model, attention=attention)


def _config(folder: Path, name: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # of a foreign file's making, in a library: anything may come out
        raise BaseUnavailable(
            f"The base {name!r} has a config.json in {folder} that transformers does not read: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error


def _parameters(config: Any, name: str) -> int:
    """Weights of the architecture, shared ones once: laid out without memory."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"), silence():
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # likewise
        raise BaseUnavailable(
            f"The base {name!r} is no causal language model that transformers builds: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    return sum(weight.numel() for weight in model.parameters())


def base_folder(path: Path, dtype: str = "") -> Path:
    """A base's folder: `path` itself, or what a GGUF file is unpacked into, with weights where a dtype is named.

    Raises: BaseUnavailable.
    """
    try:
        return unpacked(path, dtype) if path.is_file() else path
    except FileRefused as error:
        raise BaseUnavailable(str(error)) from error


def base_tokenizer(name: str) -> Tokenizer:
    """The base's tokenizer alone: no weights are read. It has a chat template and a padding token.

    Raises: BaseUnavailable.
    """
    from transformers import AutoTokenizer

    path = base_path(name)
    folder = base_folder(path)
    refuse_hostile(folder, name)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise BaseUnavailable(
            f"The base {name!r} has no tokenizer that can be read in {folder}: {' '.join(str(error).split())[:300]}"
        ) from error
    if not tokenizer.is_fast:
        raise BaseUnavailable(f"The base {name!r} has a tokenizer without character offsets; answers cannot be masked")
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return cast(Tokenizer, tokenizer)


def base_identity(name: str) -> str:
    """`engines.base_sha256` of a base's folder or GGUF file."""
    return base_sha256(base_path(name))


def is_here(name: str) -> bool:
    """Whether a base is a folder or file of this machine, which nothing downloads."""
    return packaged_path(name) is not None or Path(name).expanduser().exists()


def base_path(name: str) -> Path:
    """Folder or GGUF file of a base; a Hub id is downloaded (safetensors only) when it is not there yet.

    Raises: BaseUnavailable with the remedy.
    """
    if packaged := packaged_path(name):
        return packaged
    path = Path(name).expanduser()
    if path.exists():
        if path.is_file() and not is_gguf(path):
            raise BaseUnavailable(f"The base {name!r} is a file, but no GGUF; give the folder with its config.json")
        return path
    if name.startswith((".", "/", "~")) or name.endswith(".gguf"):
        raise BaseUnavailable(f"No base at {name!r}; paths are relative to the experiment file")
    return _downloaded(hub_id(name), name)


def _downloaded(repository: str, name: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns, ignore_patterns=["original/*"]))
    except Exception as error:
        raise BaseUnavailable(hub_remedy(repository, name, error)) from error


def hub_remedy(repository: str, name: str, error: Exception) -> str:
    """What to do about a Hub base that does not come, by the kind of the Hub client's error."""
    kind = type(error).__name__
    page = f"https://huggingface.co/{repository}"
    if kind == "GatedRepoError":
        return (
            f"The base {name!r} is gated: accept its licence at {page}, then set HF_TOKEN to a token that may read it"
        )
    if kind in ("RepositoryNotFoundError", "HFValidationError", "RevisionNotFoundError"):
        return f"There is no base {name!r} on the Hub, or HF_TOKEN may not see it: {page}. Short names: {short_names()}"
    if kind in ("LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectionError", "ConnectError"):
        return (
            f"The base {name!r} is not on this machine and the Hub cannot be reached: go online once "
            f"(hf download {repository}), or give a local folder or GGUF file"
        )
    return f"Cannot fetch the base {name!r} ({kind}: {' '.join(str(error).split())[:200]}); see {page}"


CONFIGS = ("config.json", "tokenizer_config.json", "generation_config.json")


def refuse_hostile(folder: Path, name: str) -> None:
    """Refuse files beyond bounds, and configurations that ask for code: `auto_map`, foreign attention kernels.

    Raises: BaseUnavailable naming file and key.
    """
    try:
        check_model_folder(folder)
        configs = {file: read_model_json(folder / file) for file in CONFIGS if (folder / file).is_file()}
    except FileRefused as error:
        raise BaseUnavailable(f"The base {name!r} is refused: {error}") from error
    for file, config in configs.items():
        for key in _keys(config):
            if key == "auto_map" or key.startswith("_attn_implementation"):
                raise BaseUnavailable(
                    f"The base {name!r} is refused: {file} has {key!r}, which makes transformers load foreign code. "
                    "Remove the key if you trust the weights without it"
                )
    if not (folder / "config.json").is_file():
        raise BaseUnavailable(f"The base {name!r} has no config.json in {folder}: is it a model folder?")


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(map(str, value)).union(*(_keys(inner) for inner in value.values()))
    return set().union(*(_keys(inner) for inner in value)) if isinstance(value, list) else set()


def _torch_dtype(name: str) -> Any:
    import torch

    return getattr(torch, name)


def _placement(base: Base) -> dict[str, Any]:
    if base.quantization == "none":
        return {"device_map": {"": base.device}}
    from transformers import BitsAndBytesConfig

    nf4 = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=_torch_dtype(base.dtype),
    )
    return {"quantization_config": nf4, "device_map": {"": base.device}}
