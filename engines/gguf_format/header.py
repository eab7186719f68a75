"""What a GGUF file says of itself, read within bounds before any other parser sees the file.

A GGUF header is trusted by nobody: every count and length in it is compared with the bytes that the file has, so that
a 49-byte file announcing an array of 2^63 items is refused at once instead of hanging a parser. Reads no tensor data.

Layout (version 2 and 3, little-endian): magic "GGUF", uint32 version, uint64 tensors, uint64 pairs, the pairs, the
tensor descriptions, padding to the alignment, tensor data. Source: ggml's docs/gguf.md.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import FileRefused
from results import FileUnreadable, file_start, open_plain

NORMALIZER = "bakeoff.normalizer"
"""Metadata key of our own exports: NFC or none. GGUF has no standard key for it."""

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""GGUF value type → struct format. 8 is a string, 9 an array."""

MAX_PAIRS = 10_000
MAX_TENSORS = 100_000
MAX_STRING_BYTES = 16 << 20
"""Longest single string: far above any chat template, far below what exhausts memory."""
MAX_TEXT_BYTES = 256 << 20
"""Bytes of all strings that are kept."""
MAX_ITEMS = 4_000_000
"""Strings and inner arrays that are walked: the largest vocabularies have 300,000 tokens and as many merges."""
MAX_ROTARY_BYTES = 1 << 16
KEPT_ITEMS = 64
"""Longer arrays (vocabulary, merges) are walked for their bounds and kept as their length alone."""

LEGACY_MAGICS = {b"lmgg": "ggml", b"fmgg": "ggmf", b"tjgg": "ggjt"}
"""First four bytes of GGML files from before GGUF (mid-2023), which only the ctransformers engine reads."""

BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Tensor type → (weights in a block, bytes of a block). Source: ggml.h's type traits."""


@dataclass(frozen=True)
class Length:
    """Stands for a long array that was checked but not kept."""

    items: int


@dataclass(frozen=True)
class TensorInfo:
    """One tensor's description. `shape` is in GGUF's order: the row length first."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int
    bytes: int


@dataclass(frozen=True)
class Header:
    """Everything before the tensor data."""

    version: int
    metadata: Mapping[str, Any]
    """Values by key; arrays longer than KEPT_ITEMS are a `Length`."""
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    rotary_factors: tuple[float, ...] = ()
    """What rope_freqs.weight holds, the one tensor that is configuration: divisors of the rotary frequencies."""

    @property
    def architecture(self) -> str:
        """E.g. llama, qwen2, gemma2."""
        return str(self.metadata.get("general.architecture", ""))

    def hyperparameter(self, key: str, default: Any = None) -> Any:
        """A value under the architecture's own prefix, e.g. `context_length`."""
        return self.metadata.get(f"{self.architecture}.{key}", default)

    @property
    def weights_bytes(self) -> int:
        """Bytes of all tensors: what one decoded token has to read, roughly."""
        return sum(tensor.bytes for tensor in self.tensors)


def legacy_format(path: Path) -> str:
    """ "ggml", "ggmf" or "ggjt" for a file from before GGUF, else the empty string."""
    try:
        return LEGACY_MAGICS.get(file_start(path, 4), "")
    except FileUnreadable as error:
        raise FileRefused(str(error)) from error


def is_gguf(path: Path | str) -> bool:
    """Whether a place is a GGUF file: by its ending, or by its first bytes, as Ollama's files have no ending."""
    path = Path(path)
    if path.suffix == ".gguf":
        return True
    try:
        return file_start(path, 4) == b"GGUF"
    except FileUnreadable:
        return False  # a folder, or nothing


def read_header(path: Path, keep: Sequence[str] = ()) -> Header:
    """Read and check the header of a GGUF file; the long arrays under the keys in `keep` are kept whole.

    Raises: FileRefused naming the file and what is wrong with it.
    """
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size < 24:
                raise FileRefused(f"{path} has {size} bytes, too few for a GGUF header. Download it again.")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileUnreadable as error:
        raise FileRefused(f"{error}. Give the path of a .gguf file.") from error
    except (OSError, ValueError, OverflowError) as error:
        raise FileRefused(f"{path} cannot be mapped into memory: {error}. Is it whole?") from error
    with mapped as data:
        if data[:4] != b"GGUF":
            hint = " It is a GGML file from before GGUF." if data[:4] in LEGACY_MAGICS else ""
            raise FileRefused(f"{path} is no GGUF file: it begins with {data[:4]!r}.{hint}")
        try:
            return _Walk(data, keep).header()
        except _Malformed as problem:
            raise FileRefused(f"{path} is a damaged or hostile GGUF file: {problem}. It was not loaded.") from None
        except struct.error:
            raise FileRefused(f"{path} is cut off inside its header. Download it again.") from None


class _Malformed(Exception):
    """A count, length or offset that the file's size contradicts."""


class _Walk:
    """A cursor over the mapped file that never steps past its end."""

    def __init__(self, data: mmap.mmap, keep: Sequence[str]) -> None:
        self.data = data
        self.keep = frozenset(keep)
        self.size = len(data)
        self.at = 4
        self.items = 0
        self.text_bytes = 0

    def header(self) -> Header:
        version = self.scalar("I")
        if version not in (2, 3):
            raise _Malformed(f"version {version} (2 and 3 are read; big-endian files are not)")
        tensors, pairs = self.scalar("Q"), self.scalar("Q")
        if pairs > MAX_PAIRS or tensors > MAX_TENSORS:
            raise _Malformed(f"it announces {pairs} metadata pairs and {tensors} tensors")
        metadata: dict[str, Any] = {}
        for _ in range(pairs):
            key = self.string()
            if key in metadata:
                raise _Malformed(f"the key {key[:80]!r} appears twice")
            metadata[key] = self.value(self.scalar("I"), 0, key in self.keep)
        described = [self.tensor() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 16 or alignment & (alignment - 1):
            raise _Malformed(f"alignment {alignment!r} is not a power of two")
        start = -(-self.at // alignment) * alignment
        for tensor in described:
            if tensor.offset % alignment or start + tensor.offset + tensor.bytes > self.size:
                raise _Malformed(
                    f"tensor {tensor.name[:80]!r} lies outside the file "
                    f"({start + tensor.offset + tensor.bytes} of {self.size} bytes)"
                )
        if len({tensor.name for tensor in described}) != len(described):
            raise _Malformed("two tensors have the same name")
        return Header(version, metadata, tuple(described), start, self.rotary_factors(described, start))

    def rotary_factors(self, described: Sequence[TensorInfo], start: int) -> tuple[float, ...]:
        for tensor in described:
            if tensor.name == "rope_freqs.weight" and tensor.kind == 0 and tensor.bytes <= MAX_ROTARY_BYTES:
                return struct.unpack_from(f"<{tensor.bytes // 4}f", self.data, start + tensor.offset)
        return ()

    def scalar(self, form: str) -> Any:
        size = struct.calcsize("<" + form)
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += size
        return value

    def string(self) -> str:
        length = self.scalar("Q")
        if length > MAX_STRING_BYTES or self.at + length > self.size:
            raise _Malformed(f"a string of {length} bytes at byte {self.at}")
        self.text_bytes += length
        if self.text_bytes > MAX_TEXT_BYTES:
            raise _Malformed(f"more than {MAX_TEXT_BYTES >> 20} MiB of text")
        text = self.data[self.at : self.at + length].decode("utf-8", "replace")
        self.at += length
        return text

    def value(self, kind: int, depth: int, keep: bool = False) -> Any:
        if kind in SCALARS:
            return self.scalar(SCALARS[kind])
        if kind == 8:
            return self.string()
        if kind == 9 and depth < 2:
            return self.array(depth, keep)
        raise _Malformed(f"an unknown value type {kind} at byte {self.at}")

    def array(self, depth: int, keep: bool) -> Any:
        kind, count = self.scalar("I"), self.scalar("Q")
        smallest = struct.calcsize("<" + SCALARS[kind]) if kind in SCALARS else 8
        if count * smallest > self.size - self.at:
            raise _Malformed(f"an array of {count} items at byte {self.at}, longer than the file")
        kept = keep or count <= KEPT_ITEMS
        if kept or kind not in SCALARS:
            self.items += count
            if self.items > MAX_ITEMS:
                raise _Malformed(f"arrays of more than {MAX_ITEMS:,} items")
        if kind in SCALARS:
            first, self.at = self.at, self.at + count * smallest
            return list(struct.unpack_from(f"<{count}{SCALARS[kind]}", self.data, first)) if kept else Length(count)
        if kept:
            return [self.value(kind, depth + 1) for _ in range(count)]
        if kind == 8:
            self.skip_strings(count)
        else:
            for _ in range(count):
                self.value(kind, depth + 1)
        return Length(count)

    def skip_strings(self, count: int) -> None:
        at, size, data, length_at = self.at, self.size, self.data, struct.Struct("<Q").unpack_from
        for _ in range(count):
            (length,) = length_at(data, at)
            at += 8 + length
            if at > size:
                raise _Malformed(f"a string of {length} bytes at byte {at - length}")
        self.at = at

    def tensor(self) -> TensorInfo:
        name, dimensions = self.string(), self.scalar("I")
        if not 1 <= dimensions <= 4:
            raise _Malformed(f"tensor {name[:80]!r} has {dimensions} dimensions")
        shape = tuple(self.scalar("Q") for _ in range(dimensions))
        kind, offset = self.scalar("I"), self.scalar("Q")
        if kind not in BLOCKS:
            raise _Malformed(f"tensor {name[:80]!r} is of an unknown type {kind}")
        weights = 1
        for length in shape:
            if not 0 < length <= self.size * 256:
                raise _Malformed(f"tensor {name[:80]!r} has a side of {length}")
            weights *= length
        block, size = BLOCKS[kind]
        if shape[0] % block:
            raise _Malformed(f"tensor {name[:80]!r} has rows of {shape[0]}, no multiple of {block}")
        return TensorInfo(name, shape, kind, offset, weights // block * size)
