"""GGUF bases for training: dequantized once, kept as a safetensors folder in the cache.

transformers keeps GGUF weights packed unless told otherwise (neither trainable nor serializable), and reading one takes
half a minute; the folder it is turned into loads in a second. The cache is `$BAKEOFF_CACHE`, else `~/.cache/bakeoff`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from engines import FileRefused, gguf_tokenizer, read_header
from trainer.errors import BaseUnavailable


def cache_folder() -> Path:
    """Where derived files are kept that any workspace may share; safe to delete."""
    chosen = os.environ.get("BAKEOFF_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bakeoff"


def unpacked(path: Path, dtype: str = "") -> Path:
    """Folder with the tokenizer and, with a dtype, the dequantized weights of a GGUF file; made when missing.

    Raises: BaseUnavailable when the file cannot be read, or its architecture is unknown to transformers.
    """
    try:
        read_header(path)  # within bounds, before a parser that trusts the file's own counts
    except FileRefused as error:
        raise BaseUnavailable(str(error)) from error
    with path.open("rb") as file:
        sha = hashlib.file_digest(file, "sha256").hexdigest()
    folder = cache_folder() / "bases" / f"{sha[:24]}-{dtype or 'tokenizer'}-2"
    if (folder / "complete").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix="making-"))
    try:
        _write(path, made, dtype)
        (made / "complete").touch()
        try:
            made.rename(folder)
        except OSError:  # another process was first; its folder is the same
            shutil.rmtree(made)
    except Exception as error:
        shutil.rmtree(made, ignore_errors=True)
        raise BaseUnavailable(f"Cannot read {path} for training: {' '.join(str(error).split())[:300]}") from error
    return folder


def quiet() -> None:
    """Switch off transformers' own progress bars: progress is the caller's to draw."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _write(path: Path, folder: Path, dtype: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig

    quiet()
    if dtype:
        model = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            dtype=getattr(torch, dtype),
            quantization_config=GgufConfig(dequantize=True),
            local_files_only=True,
        )
        model.save_pretrained(folder)
        source = unpacked(path)
        for file in source.iterdir():
            if file.name not in ("config.json", "complete"):
                shutil.copy2(file, folder)
        return
    AutoConfig.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True).save_pretrained(folder)
    gguf_tokenizer(path).save_pretrained(folder)
