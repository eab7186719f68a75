"""GGUF headers: what is right is read, what is hostile is refused at once."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import FileRefused, is_gguf, read_header
from engines.gguf_format.header import KEPT_ITEMS, Length, legacy_format


def sound(path: Path) -> Path:
    """A small but complete GGUF from the official writer."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("small")
    writer.add_uint32("llama.block_count", 2)
    writer.add_token_list([f"token{index}" for index in range(KEPT_ITEMS + 1)])
    writer.add_array("short", [1, 2, 3])
    writer.add_tensor("token_embd.weight", np.ones((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    header = read_header(sound(tmp_path / "a.gguf"))
    assert header.architecture == "llama"
    assert header.hyperparameter("block_count") == 2
    assert header.metadata["tokenizer.ggml.tokens"] == Length(KEPT_ITEMS + 1)
    assert header.metadata["short"] == [1, 2, 3]
    assert [(tensor.name, tensor.shape, tensor.bytes) for tensor in header.tensors] == [
        ("token_embd.weight", (32, 4), 512)
    ]


def test_a_file_without_an_ending_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    blob = sound(tmp_path / "a.gguf").rename(tmp_path / "sha256-0")
    (tmp_path / "config.json").write_text("{}")
    assert is_gguf(blob)
    assert not any(map(is_gguf, (tmp_path, tmp_path / "config.json", tmp_path / "nothing")))


def pairs(*encoded: bytes, tensors: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, len(encoded)) + b"".join(encoded)


def key(name: bytes, kind: int) -> bytes:
    return struct.pack("<Q", len(name)) + name + struct.pack("<I", kind)


HOSTILE = {
    "endless array": pairs(key(b"a", 9) + struct.pack("<IQ", 4, 1 << 63)),
    "endless array of strings": pairs(key(b"a", 9) + struct.pack("<IQ", 8, 1 << 62)),
    "endless string": pairs(key(b"a", 8) + struct.pack("<Q", 1 << 63)),
    "endless key": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 40),
    "endless pairs": b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60),
    "endless tensors": b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0),
    "arrays in arrays in arrays": pairs(key(b"a", 9) + struct.pack("<IQ", 9, 1) * 40 + b"\0" * 64),
    "unknown type": pairs(key(b"a", 77) + b"\0" * 16),
    "key twice": pairs(key(b"a", 4) + b"\0" * 4, key(b"a", 4) + b"\0" * 4),
    "version": b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
    "alignment": pairs(key(b"general.alignment", 4) + struct.pack("<I", 0)),
    "tensor outside": pairs(tensors=1) + key(b"t", 1) + struct.pack("<QIQ", 1 << 20, 0, 0) + b"\0" * 64,
    "tensor of no kind": pairs(tensors=1) + key(b"t", 1) + struct.pack("<QIQ", 1, 99, 0) + b"\0" * 64,
    "sides whose product overflows": pairs(tensors=1)
    + key(b"t", 4) + struct.pack("<QQQQIQ", 1 << 12, 1 << 12, 1 << 12, 1 << 12, 0, 0) + b"\0" * 64,
    "not gguf": b"PK\x03\x04" + b"\0" * 60,
    "a pickle": b"\x80\x04\x95" + b"\0" * 60,
    "empty": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_at_once(name: str, tmp_path: Path) -> None:
    file = tmp_path / "hostile.gguf"
    file.write_bytes(HOSTILE[name])
    began = time.monotonic()
    with pytest.raises(FileRefused, match=r"hostile\.gguf"):
        read_header(file)
    assert time.monotonic() - began < 30  # it hangs a parser that believes the counts


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 2000), place=st.integers(0, 2000), value=st.integers(0, 255))
def test_any_damage_is_refused_or_read(tmp_path: Path, cut: int, place: int, value: int) -> None:
    """Nothing but FileRefused ever comes out of a changed or shortened file."""
    whole = tmp_path / "whole.gguf"
    data = bytearray((whole if whole.exists() else sound(whole)).read_bytes())
    data[place % len(data)] = value
    file = tmp_path / "damaged.gguf"
    file.write_bytes(data[: len(data) - cut % len(data)])
    try:
        header = read_header(file)
    except FileRefused:
        return
    assert all(tensor.bytes <= file.stat().st_size for tensor in header.tensors)


@pytest.mark.parametrize(("magic", "name"), [(b"lmgg", "ggml"), (b"tjgg", "ggjt"), (b"GGUF", ""), (b"", "")])
def test_files_from_before_gguf_are_known(magic: bytes, name: str, tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(magic + b"\0" * 60)
    assert legacy_format(file) == name
