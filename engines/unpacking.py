"""GGUF files for transformers, to measure and to train: dequantized once, kept as a safetensors folder in the cache.

transformers keeps GGUF weights packed unless told otherwise (not trainable), and reading one takes half a minute, most
of it for parsing the header three times; the folder it becomes loads in a second. The weights are the dequantized ones,
rounded to the dtype: what is measured on them is the quantization's own error. The cache is `$BAKEOFF_CACHE`, else
`~/.cache/bakeoff`.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engines.errors import EngineError, FileRefused
from engines.header import read_header
from engines.identity import file_sha256
from engines.vocabulary import gguf_tokenizer


def cache_folder() -> Path:
    """Where derived files are kept that any workspace may share; safe to delete. Made when missing.

    Raises: EngineError where this user may not write there, or has no home.
    """
    chosen = os.environ.get("BAKEOFF_CACHE") or (os.environ.get("XDG_CACHE_HOME") or "~/.cache") + "/bakeoff"
    try:
        folder = Path(chosen).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(None, "Permission denied")
    except (OSError, RuntimeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise EngineError(
            f"The cache folder {chosen} cannot be used: {reason}. Name another: BAKEOFF_CACHE=FOLDER"
        ) from None
    return folder


def unpacked(path: Path, dtype: str = "") -> Path:
    """Folder with a GGUF file's config and tokenizer, and its dequantized weights where a torch dtype is named.

    Made when missing. Raises: FileRefused when the file cannot be read, or its architecture is unknown to transformers.
    """
    read_header(path)  # within bounds, before a parser that trusts the file's own counts
    folder = cache_folder() / "bases" / f"{file_sha256(path)[:24]}-{dtype or 'tokenizer'}-2"
    if (folder / "complete").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix="making-"))
    try:
        _write(path, made, dtype)
        (made / "complete").touch()
        with contextlib.suppress(OSError):  # another process was first; its folder is the same
            made.rename(folder)
    except Exception as error:
        raise FileRefused(f"Cannot unpack {path}: {' '.join(str(error).split())[:300]}") from error
    finally:  # Ctrl-C too would leave hundreds of megabytes
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _write(path: Path, folder: Path, dtype: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig

    source: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
    with silence():
        gguf_tokenizer(path).save_pretrained(folder)
        if not dtype:
            AutoConfig.from_pretrained(path.parent, **source).save_pretrained(folder)
            return
        model = AutoModelForCausalLM.from_pretrained(
            path.parent, dtype=getattr(torch, dtype), quantization_config=GgufConfig(dequantize=True), **source
        )
        model.save_pretrained(folder)


@contextmanager
def silence() -> Iterator[None]:
    """No progress bars of transformers while the block runs: our callers draw their own."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        # The bar of GGUF conversion is not transformers' own and asks nobody.
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        if was_on:
            logging.enable_progress_bar()
