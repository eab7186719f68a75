"""What a safetensors file says of itself, read within bounds before any library maps it; and a model's whole folder.

Layout: uint64 length of the header, the header, the tensors' bytes without a gap. The header is a JSON object: name →
dtype, shape and data_offsets (first byte and one past the last, counted from the header's end), and perhaps
`__metadata__`, texts by name. Source: https://github.com/huggingface/safetensors, README, "Format". Reads no tensor.
"""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from engines.errors import FileRefused
from results import FileUnreadable, is_there, open_plain, parse_json, read_json, read_text, short_repr, text_of

MAX_HEADER_BYTES = 64 << 20
"""Longest header: that of 100,000 tensors has about 15 MB."""
MAX_TENSORS = 200_000

BITS = {
    **dict.fromkeys(("F4",), 4), **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16), **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}  # fmt: skip
"""Type of a tensor's items → bits of one."""

MAX_JSON_BYTES = 256 << 20
"""Longest JSON file of a model's folder: the tokenizers of the largest vocabularies have 40 MB."""
MAX_PATTERN = 400
"""Longest pattern of layers' names, in characters."""
MAX_TEMPLATE_BYTES = 1 << 20
"""Longest chat template: the longest that is published has 30 kB."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor's description."""

    dtype: str
    """F32, BF16, … as the file has it."""
    shape: tuple[int, ...]
    bytes: int


def read_safetensors_header(path: Path) -> dict[str, StoredTensor]:
    """Read and check a file's header: its tensors by their names, in the order of their bytes.

    Raises: FileRefused naming the file and what is wrong with it.
    """
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise FileRefused(
                    f"{path} is no safetensors file, or cut off: a header of {length} bytes in {size}. Get it again."
                )
            header = parse_json(text_of(file.read(length), path), path, once=True)
    except FileUnreadable as error:
        raise FileRefused(f"{error}. It was not loaded.") from error
    try:
        return _tensors(header, size - 8 - length)
    except _Malformed as problem:
        raise FileRefused(f"{path} is a damaged or hostile safetensors file: {problem}. It was not loaded.") from None


class _Malformed(Exception):
    """A shape, type or place that the format or the file's size contradicts."""


def _tensors(header: Any, size: int) -> dict[str, StoredTensor]:
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise _Malformed("its header is no object of at most 200,000 tensors")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _Malformed("its __metadata__ are no texts by name")
    found: dict[str, StoredTensor] = {}
    end = 0
    places = [(name, *_place(name, entry)) for name, entry in header.items()]
    for name, tensor, first, last in sorted(places, key=lambda one: one[2:]):
        if first != end or last > size:
            raise _Malformed(f"tensor {name[:80]!r} has the bytes {first} to {last}, after {end} of {size}")
        found[name], end = tensor, last
    if end != size:
        raise _Malformed(f"its tensors have {end} bytes, the file {size} for them")
    return found


def _place(name: str, entry: Any) -> tuple[StoredTensor, int, int]:
    """(the tensor, its first byte, one past its last)."""
    told = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = told.get("dtype"), told.get("shape"), told.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _Malformed(f"tensor {name[:80]!r} is of an unknown type {str(dtype)[:40]!r}")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2 or len(shape) > 16:
        raise _Malformed(f"tensor {name[:80]!r} has no shape, or no place in the file")
    first, last = offsets
    if last < first or math.prod(shape) * BITS[dtype] != 8 * (last - first):
        raise _Malformed(f"tensor {name[:80]!r} of {dtype} {shape} does not fit its {last - first} bytes")
    return StoredTensor(dtype, tuple(shape), last - first), first, last


def _counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(one) is int and 0 <= one < 2**62 for one in value)


def check_model_folder(folder: Path) -> None:
    """Read all of a transformers or PEFT folder that libraries would take on trust, within bounds.

    Weights' headers, their index, every JSON file (config, tokenizer), the chat templates.
    Raises: FileRefused naming the file and what is wrong with it.
    """
    for file in sorted(folder.glob("*.safetensors")):
        read_safetensors_header(file)
    for file in sorted(folder.glob("*.json")):
        value = read_model_json(file)
        if file.name.endswith(".safetensors.index.json"):
            check_index(value, file)
        if file.name == "adapter_config.json":
            check_patterns(value, file)
    for file in sorted([*folder.glob("*.jinja"), *folder.glob("additional_chat_templates/*.jinja")]):
        read_template(file)


def read_model_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a model's folder. Raises: FileRefused."""
    try:
        found = read_json(path, most=MAX_JSON_BYTES)
    except FileUnreadable as error:
        raise FileRefused(f"{error}. It was not loaded.") from error
    if not isinstance(found, dict):
        raise FileRefused(f"{path} holds {short_repr(found)}, no object. It was not loaded.")
    return found


def check_patterns(settings: Mapping[str, Any], path: Path) -> None:
    """Refuse patterns of layers' names in an adapter's settings that a search may never finish.

    Raises: FileRefused naming the pattern.
    """
    told = [settings.get(key) for key in ("target_modules", "exclude_modules", "layers_pattern")]
    told += [one for key in ("alpha_pattern", "rank_pattern") for one in _names(settings.get(key))]
    for pattern in (one for one in told if isinstance(one, str)):
        if len(pattern) > MAX_PATTERN or len(re.findall(r"[*+{]", pattern)) > 3 or re.search(r"\)[*+{]", pattern):
            raise FileRefused(f"{path} has the pattern {pattern[:80]!r}, which may search for ever. It was not loaded.")


def _names(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else []


def read_template(path: Path) -> str:
    """A chat template in a file of its own. Raises: FileRefused."""
    try:
        return read_text(path, MAX_TEMPLATE_BYTES)
    except FileUnreadable as error:
        raise FileRefused(f"{error}. It was not loaded.") from error


def check_index(index: Mapping[str, Any], path: Path) -> Mapping[str, str]:
    """The file of each tensor by an index of weights. Raises: FileRefused for a name that leads out of the folder."""
    files = index.get("weight_map")
    if not isinstance(files, dict):
        raise FileRefused(f"{path} has no weight_map: the index of no weights. It was not loaded.")
    for name in set(map(str, files.values())):
        if Path(name).name != name or not is_there(path.parent / name):
            raise FileRefused(f"{path} names {name[:80]!r}, which is no file in its folder. It was not loaded.")
    return {str(name): str(file) for name, file in files.items()}
