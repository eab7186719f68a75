"""GGUF files for transformers: dequantized into memory to be measured, into a safetensors folder to be trained.

transformers keeps GGUF weights packed unless told otherwise (not trainable), parses a header in ten seconds, three
times over, and leaves out rotary scaling, which Llama 3 has. The families that we write we read ourselves:
configuration from the header, weights a block of rows at a time; others through transformers, which needs the folder.
The weights are the dequantized ones, rounded to the dtype: what is measured on them is the quantization's own error.
Folders are kept in the cache, `$BAKEOFF_CACHE`, else `~/.cache/bakeoff`; one that is there is read again.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.errors import EngineError, FileRefused
from engines.gguf_format.header import Header, read_header
from engines.gguf_format.hyperparameters import READ, config_of
from engines.gguf_format.vocabulary import gguf_tokenizer
from engines.gguf_format.writer import GgufSource, block_pool
from engines.identity import file_sha256
from results import making

if TYPE_CHECKING:
    import torch


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
    folder = _place(path, dtype)
    if (folder / "complete").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with making(folder.parent) as made:
        try:
            _write(path, made, dtype)
            (made / "complete").touch()
            with contextlib.suppress(OSError):  # another process was first; its folder is the same
                made.rename(folder)
        except Exception as error:
            raise FileRefused(f"Cannot unpack {path}: {' '.join(str(error).split())[:300]}") from error
    return folder


def _place(path: Path, dtype: str) -> Path:
    return cache_folder() / "bases" / f"{file_sha256(path)[:24]}-{dtype or 'tokenizer'}-3"


def _write(path: Path, folder: Path, dtype: str) -> None:
    header = read_header(path)
    with silence():
        gguf_tokenizer(path).save_pretrained(folder)
        if header.architecture not in READ:
            _write_through_transformers(path, folder, dtype)
            return
        _write_config(header, folder)
    if dtype:
        model_of(path, folder, dtype).save_pretrained(folder)


def _write_config(header: Header, folder: Path) -> None:
    from transformers import CONFIG_MAPPING, GenerationConfig

    values = config_of(header)
    config = CONFIG_MAPPING[values.pop("model_type")](**values)
    config.save_pretrained(folder)
    GenerationConfig.from_model_config(config).save_pretrained(folder)


def read_directly(path: Path, dtype: str) -> bool:
    """Whether `model_of` is the way to a file's weights: we read its family, and no folder of them was made before."""
    return read_header(path).architecture in READ and not (_place(path, dtype) / "complete").is_file()


def model_of(path: Path, folder: Path, dtype: str, **options: Any) -> Any:
    """A transformers model with a GGUF file's dequantized weights, of the configuration in `folder` (`unpacked`).

    Beside the model itself a few megabytes are in memory. options: of transformers' `from_config`.
    Raises: FileRefused if the file lacks a tensor that such a model has.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    source = GgufSource(path)
    with no_init_weights():
        model = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(folder), dtype=getattr(torch, dtype), **options
        )
    model.tie_weights()
    known = set(source.names())
    wanted = {
        source.layout.name(name): parameter.data for name, parameter in model.named_parameters()
    }  # tied ones once
    for name, parameter in wanted.items():
        if name not in known or source.shape(name) != tuple(parameter.shape):
            raise FileRefused(f"{path} has no {name} of {tuple(parameter.shape)}, which its kind of model needs.")
    with block_pool() as pool:
        list(pool.map(lambda name: _fill(wanted[name], source, name), wanted))
    return model


def _fill(parameter: torch.Tensor, source: GgufSource, name: str) -> None:
    """Copy one tensor into a parameter's data, in transformers' layout."""
    import torch

    blocks = source.blocks(name)
    if source.layout.moves_rows(name):
        whole = np.concatenate([rows() for _, rows in blocks])
        blocks = iter([(0, lambda: whole)])
    for first, rows in blocks:
        part = torch.from_numpy(np.ascontiguousarray(source.layout.from_gguf(name, rows())))
        parameter[first : first + len(part)] = part


def _write_through_transformers(path: Path, folder: Path, dtype: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig

    source: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
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
