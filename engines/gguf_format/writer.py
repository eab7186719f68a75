"""Writes GGUF models with the official `gguf` package: from a transformers folder or another GGUF, adapters merged in.

    write_model(Path("out.gguf"), FolderSource(Path("merged")), "gguf-q8_0")

Families and layouts are in `engines.gguf_format.architectures`; LoRA-GGUF in `engines.gguf_format.lora`. K-quants are
read, not written: the package has no code that writes them. In Q4_0 files embeddings and output are Q8_0, where 4 bits
cost most.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.errors import ExportRefused
from engines.gguf_format.architectures import Array
from engines.gguf_format.header import NORMALIZER, read_header
from engines.gguf_format.hyperparameters import hyperparameters, read_config
from engines.gguf_format.lora import Delta, layout_of
from engines.gguf_format.quantization import dequantized, quantized, widened
from engines.gguf_format.safetensors_header import check_index, read_model_json, read_safetensors_header
from engines.gguf_format.vocabulary import Vocabulary, read_vocabulary
from engines.identity import remember_sha256
from results import processors

KINDS = {"gguf-f16": "F16", "gguf-q8_0": "Q8_0", "gguf-q4_0": "Q4_0"}
"""Form → quantization type of the large matrices. Vectors stay in float32."""
FILE_TYPES = {"F16": 1, "Q8_0": 7, "Q4_0": 2}
WIDE = ("token_embd.weight", "output.weight")
BLOCK = 1 << 20
"""Weights read, merged and quantized at a time: what fits a core's cache with its copies."""
THREADS = min(4, processors())
"""Blocks converted at once; what converts them lets go of the interpreter."""


Block = tuple[int, Callable[[], Array]]
"""Some rows of a tensor: the first one's place, and what gives them, on any thread: float32, in GGUF's layout, the
caller's own."""


class Source(Protocol):
    """A model to be written: metadata first, then its tensors, a block of rows at a time."""

    architecture: str

    def names(self) -> list[str]:
        """GGUF tensor names, in the order of the file."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Rows first."""
        ...

    def blocks(self, name: str) -> Iterator[Block]:
        """A tensor's rows from first to last, some at a time."""
        ...

    def describe(self, writer: Any) -> None:
        """Write the metadata, but for the file type."""
        ...


class GgufSource:
    """An existing GGUF: its metadata word for word, its tensors dequantized."""

    def __init__(self, path: Path) -> None:
        self.header = read_header(path)  # refuses hostile files; the package's reader takes ten seconds a vocabulary
        self.architecture = self.header.architecture
        self.layout = layout_of(self.header)
        self._path = path
        self._bytes = np.memmap(path, np.uint8, "r")
        self._tensors = {tensor.name: tensor for tensor in self.header.tensors}

    def names(self) -> list[str]:
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(reversed(self._tensors[name].shape))

    def blocks(self, name: str) -> Iterator[Block]:
        found, shape = self._tensors[name], self.shape(name)
        start = self.header.data_offset + found.offset
        stored = self._bytes[start : start + found.bytes].reshape(shape[0], -1)
        for rows in _row_blocks(shape):
            yield rows.start, partial(_dequantized, stored[rows], found.kind, shape[1:])

    def describe(self, writer: Any) -> None:
        import gguf

        skipped = ("GGUF.", "general.architecture", "general.file_type", "general.quantization_version")
        for field in gguf.GGUFReader(self._path).fields.values():
            if not field.name.startswith(skipped):
                inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
                writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)


class FolderSource:
    """A transformers folder with safetensors."""

    def __init__(self, folder: Path, name: str = "") -> None:
        self._folder = folder
        self._name = name or folder.name
        self._parameters = hyperparameters(read_config(folder))
        self.layout = self._parameters.layout
        self.architecture = self.layout.architecture
        self._files = _tensor_files(folder)
        self._modules: dict[str, str] = {}
        for module in self._files:
            if module.endswith("rotary_emb.inv_freq") or (module == "lm_head.weight" and self._parameters.tied):
                continue
            self._modules[self.layout.name(module)] = module
        self._vocabulary: Vocabulary | None = None

    def names(self) -> list[str]:
        return [*self._parameters.tensors, *self._modules]

    def shape(self, name: str) -> tuple[int, ...]:
        if name in self._parameters.tensors:
            return tuple(self._parameters.tensors[name].shape)
        from safetensors import safe_open

        module = self._modules[name]
        with safe_open(self._files[module], framework="pt") as file:
            return tuple(file.get_slice(module).get_shape())

    def blocks(self, name: str) -> Iterator[Block]:
        if name in self._parameters.tensors:
            yield 0, self._parameters.tensors[name].copy
            return
        from safetensors import safe_open

        module, shape = self._modules[name], self.shape(name)
        # What is laid out otherwise changes places within a head, so such a matrix comes whole: they are small.
        whole = [slice(0, shape[0])] if self.layout.moves_rows(name) else _row_blocks(shape)
        with safe_open(self._files[module], framework="pt") as file:
            stored = file.get_slice(module)
            for rows in whole:
                yield rows.start, partial(self._laid_out, name, stored[rows])

    def _laid_out(self, name: str, weights: Any) -> Array:
        """A tensor of safetensors' in GGUF's layout and float32."""
        return np.ascontiguousarray(self.layout.to_gguf(name, widened(weights)))

    def describe(self, writer: Any) -> None:
        writer.add_type("model")
        writer.add_name(self._name)
        for key, value in self._parameters.values.items():
            add = writer.add_uint32 if isinstance(value, int) else writer.add_float32
            (writer.add_string if isinstance(value, str) else add)(f"{self.architecture}.{key}", value)
        describe_vocabulary(writer, read_vocabulary(self._folder, self._parameters.vocabulary))


def describe_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    """Write everything under tokenizer."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(list(vocabulary.kinds))
    if vocabulary.merges:
        writer.add_token_merges(list(vocabulary.merges))
    if vocabulary.scores:
        writer.add_token_scores(list(vocabulary.scores))
    add = {
        "bos": writer.add_bos_token_id, "eos": writer.add_eos_token_id, "eot": writer.add_eot_token_id,
        "unknown": writer.add_unk_token_id, "padding": writer.add_pad_token_id,
    }  # fmt: skip
    for name, index in vocabulary.ids.items():
        add[name](index)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_space_prefix(vocabulary.add_space_prefix)
    writer.add_string(NORMALIZER, vocabulary.normalizer or "none")
    if vocabulary.template:
        writer.add_chat_template(vocabulary.template)


def write_model(
    path: Path, source: Source, form: str, deltas: Mapping[str, Delta] | None = None, template: str = ""
) -> dict[str, int]:
    """Write a GGUF with `deltas` merged in; returns how many tensors have which type.

    A few megabytes of weights are in memory at a time, on as many threads as there are cores; the file's digest is
    taken on the way (`engines.identity`). A `template` replaces the source's own.
    Raises: ExportRefused if an adapter changes a tensor that the model lacks.
    """
    import gguf

    deltas = deltas or {}
    missing = sorted(set(deltas) - set(source.names()))
    if missing:
        raise ExportRefused("tensor-names", f"The adapter changes {missing[0]}, which the base does not have.")
    kinds = {name: _kind(name, source.shape(name), KINDS[form]) for name in source.names()}
    writer = gguf.GGUFWriter(path, source.architecture)
    source.describe(writer)
    if template:
        writer.kv_data[0].pop("tokenizer.chat_template", None)
        writer.add_chat_template(template)
    writer.add_file_type(FILE_TYPES[KINDS[form]])
    writer.add_quantization_version(2)
    for name, kind in kinds.items():
        type_ = gguf.GGMLQuantizationType[kind]
        block, size = gguf.GGML_QUANT_SIZES[type_]
        shape = source.shape(name)
        writer.add_tensor_info(name, shape, np.dtype(np.float32), int(np.prod(shape)) // block * size, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.flush()
    digest = hashlib.sha256(path.read_bytes())
    with block_pool() as pool:
        for name, kind in kinds.items():
            _write_tensor(writer, source.blocks(name), deltas.get(name), kind, pool, digest)
    writer.close()
    remember_sha256(path, digest.hexdigest())
    return {kind: list(kinds.values()).count(kind) for kind in sorted(set(kinds.values()))}


@contextmanager
def block_pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that convert blocks, one a core; in each torch computes alone, or they would wait for one another."""
    import torch

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)  # threads to come take over what the last one set


def _write_tensor(
    writer: Any, blocks: Iterable[Block], delta: Delta | None, kind: str, pool: Executor, digest: hashlib._Hash
) -> None:
    """Merge, quantize and write a tensor's blocks in their order, and digest them; a few are under way at once."""

    def made(first: int, block: Callable[[], Array]) -> Array:
        rows = block()
        if delta is not None:
            delta.add_to(rows, first)
        return quantized(rows, kind)

    (file,) = writer.fout

    def put(part: bytes | memoryview) -> None:
        file.write(part)
        digest.update(part)

    put(bytes(-file.tell() % writer.data_alignment))
    begun = deque[Future[Array]]()
    for first, block in blocks:
        begun.append(pool.submit(made, first, block))
        if len(begun) > 2 * THREADS:
            put(begun.popleft().result().data.cast("B"))
    for waiting in begun:
        put(waiting.result().data.cast("B"))
    put(bytes(-file.tell() % writer.data_alignment))


def _dequantized(stored: Array, kind: int, width: tuple[int, ...]) -> Array:
    return dequantized(stored, kind).reshape(-1, *width)


def _row_blocks(shape: tuple[int, ...]) -> list[slice]:
    """Rows of a tensor in blocks of about `BLOCK` weights."""
    rows = max(1, BLOCK // int(np.prod(shape[1:], dtype=np.int64)))
    return [slice(first, min(first + rows, shape[0])) for first in range(0, shape[0], rows)]


def _kind(name: str, shape: tuple[int, ...], wanted: str) -> str:
    if len(shape) < 2:
        return "F32"
    if wanted == "Q4_0" and name in WIDE:
        wanted = "Q8_0"
    return wanted if wanted == "F16" or shape[-1] % 32 == 0 else "F16"


def _tensor_files(folder: Path) -> dict[str, Path]:
    """Parameter name → the safetensors file that holds it. Raises: ExportRefused without any."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        listed = check_index(read_model_json(index), index)
        for file in set(listed.values()):
            read_safetensors_header(folder / file)
        return {name: folder / file for name, file in listed.items()}
    single = folder / "model.safetensors"
    if not single.is_file():
        raise ExportRefused("weights", f"{folder} has no model.safetensors. Pickled weights are never loaded.")
    return dict.fromkeys(read_safetensors_header(single), single)
