"""GGUF headers: what is right is read, what is hostile is refused at once."""

from __future__ import annotations

import struct
import subprocess
import sys
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


def test_a_sparse_file_of_empty_strings_is_refused_at_once(tmp_path: Path) -> None:
    """2^27 of them take a gigabyte that no disk holds, and a minute to walk."""
    for name, inner in (("strings", 8), ("arrays", 9)):
        file = tmp_path / f"{name}.gguf"
        file.write_bytes(pairs(key(b"a", 9) + struct.pack("<IQ", inner, 1 << 27)))
        with file.open("r+b") as opened:
            opened.truncate(2 << 30)
        began = time.monotonic()
        with pytest.raises(FileRefused, match="items"):
            read_header(file)
        assert time.monotonic() - began < 30


def test_texts_without_end_are_refused(tmp_path: Path) -> None:
    """Sparse too: 40 texts of 15 MiB of nothing."""
    file = tmp_path / "texts.gguf"
    length = 15 << 20
    with file.open("wb") as opened:
        opened.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 40))
        for number in range(40):
            opened.write(key(b"key%d" % number, 8) + struct.pack("<Q", length))
            opened.seek(length, 1)
        opened.truncate(opened.tell() + 64)
    with pytest.raises(FileRefused, match="MiB of text"):
        read_header(file)


def test_a_file_that_cannot_be_mapped_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "wide.gguf"
    file.write_bytes(pairs())
    with file.open("r+b") as opened:
        opened.truncate(8 << 30)
    program = (
        "import resource; from pathlib import Path; from engines import FileRefused, read_header\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        f"try: read_header(Path({str(file)!r}))\n"
        "except FileRefused as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert "wide.gguf cannot be mapped into memory" in done.stdout and done.stdout.count("\n") == 1, done.stderr


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
