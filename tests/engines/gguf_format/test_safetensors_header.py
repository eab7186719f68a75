"""Safetensors headers and the files beside them: what is right is read, what is hostile is refused in one line."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from engines import FileRefused, check_model_folder, read_safetensors_header
from engines.gguf_format.peft_files import AdapterRefused, read_adapter

SOUND = {
    "a": torch.zeros(2, 3),
    "b": torch.zeros(4, dtype=torch.bfloat16),
    "none": torch.zeros(0, 5),
    "flag": torch.zeros(3, dtype=torch.bool),
    "scalar": torch.tensor(1, dtype=torch.int64),
}


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    save_file(SOUND, tmp_path / "a.safetensors", metadata={"format": "pt"})
    header = read_safetensors_header(tmp_path / "a.safetensors")
    assert {name: one.shape for name, one in header.items()} == {name: tuple(one.shape) for name, one in SOUND.items()}
    assert {name: one.dtype for name, one in header.items()} == {
        "a": "F32", "b": "BF16", "none": "F32", "flag": "BOOL", "scalar": "I64",
    }  # fmt: skip


def file(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(first: int, last: int, shape: Any = None, dtype: Any = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [last - first] if shape is None else shape, "data_offsets": [first, last]}


HOSTILE = {
    "empty": b"",
    "cut off": file({"a": tensor(0, 8)}, bytes(8))[:-1],
    "more than its tensors": file({"a": tensor(0, 8)}, bytes(9)),
    "an endless header": struct.pack("<Q", 2**63) + b"{}",
    "a header of no bytes": struct.pack("<Q", 0),
    "no JSON": file(b"{"),
    "no text": file(b'{"a\xff": 1}'),
    "a list": file([]),
    "nested": file(b"[" * 5000),
    "a tensor twice": file(b'{"a": %b, "a": %b}' % ((json.dumps(tensor(0, 4)).encode(),) * 2), bytes(4)),
    "no object": file({"a": 1}),
    "an unknown type": file({"a": tensor(0, 4, dtype="F99")}, bytes(4)),
    "a type that is no text": file({"a": tensor(0, 4, dtype=["U8"])}, bytes(4)),
    "a side below nothing": file({"a": tensor(0, 4, [-4])}, bytes(4)),
    "a side that is true": file({"a": tensor(0, 1, [True])}, bytes(1)),
    "a side that is a text": file({"a": tensor(0, 4, "4")}, bytes(4)),
    "sides whose product overflows": file({"a": tensor(0, 0, [2**33, 2**33])}),
    "another size than its shape": file({"a": tensor(0, 4, [5])}, bytes(4)),
    "outside the file": file({"a": tensor(0, 2**40)}, bytes(4)),
    "backwards": file({"a": tensor(4, 0, [0])}, bytes(4)),
    "three offsets": file({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1, 2]}}, bytes(2)),
    "overlapping": file({"a": tensor(0, 4), "b": tensor(2, 6)}, bytes(6)),
    "one place for two": file({"a": tensor(0, 4), "b": tensor(0, 4)}, bytes(4)),
    "a gap": file({"a": tensor(0, 4), "b": tensor(6, 8)}, bytes(8)),
    "metadata that are no texts": file({"__metadata__": {"a": {"b": 1}}}),
    "a pickle": b"\x80\x04\x95" + bytes(60),
    "a zip": b"PK\x03\x04" + bytes(60),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(FileRefused, match=r"hostile\.safetensors") as caught:
        read_safetensors_header(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 40))
def test_what_is_read_the_library_loads(tmp_path: Path, place: int, value: int, cut: int) -> None:
    """Of any changed file: refused here, or loaded there, and never the library's own error."""
    whole = tmp_path / "whole.safetensors"
    if not whole.exists():
        save_file(SOUND, whole, metadata={"format": "pt"})
    data = bytearray(whole.read_bytes())
    data[place % len(data)] = value
    changed = tmp_path / "changed.safetensors"
    changed.write_bytes(data[: len(data) - cut] if cut < 20 else data)
    try:
        header = read_safetensors_header(changed)
    except FileRefused:
        return
    try:
        with safe_open(changed, framework="pt") as opened:
            assert set(opened.keys()) == set(header)
        load_file(changed)
    except (SafetensorError, ValueError, TypeError) as error:
        raise AssertionError(f"{place} {value} {cut}: {data!r}") from error


def adapter(folder: Path, config: str = '{"peft_type": "LORA", "lora_alpha": 2}', weights: bytes = b"") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(config)
    (folder / "adapter_model.safetensors").write_bytes(weights or file({}))
    return folder


@pytest.mark.parametrize("config", ["[" * 5000, "[]", "{", "9" * 6000, '{"a": 1' + "}" * 3])
def test_a_hostile_adapter_is_refused_in_one_line(tmp_path: Path, config: str) -> None:
    for folder in (adapter(tmp_path / "a", config), adapter(tmp_path / "b", weights=HOSTILE["overlapping"])):
        with pytest.raises(AdapterRefused) as caught:
            read_adapter(folder, torch.float32)
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", HOSTILE["an endless header"], "no safetensors file"),
        ("tokenizer.json", b"[" * 5000, "nested too deeply"),
        ("tokenizer.json", b"\xff\xfe\x00", "not UTF-16"),
        ("tokenizer_config.json", b"[]", "no object"),
        ("config.json", b"{", "not valid JSON"),
        ("chat_template.jinja", b"\xe9", "not UTF-8"),
        ("chat_template.jinja", b"x" * (2 << 20), "larger than 1 MiB"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "../../secret"}}', "no file in its folder"),
        ("model.safetensors.index.json", b"{}", "no weight_map"),
    ],
)
def test_all_of_a_models_folder_is_read_before_a_library_reads_it(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileRefused, match=said) as caught:
        check_model_folder(tmp_path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)+$", "(.*)*", "([a-z]*_)+q", ".*.*.*.*x", "x" * 500])
@pytest.mark.parametrize("key", ["alpha_pattern", "rank_pattern", "target_modules"])
def test_a_pattern_that_searches_for_ever_is_refused(tmp_path: Path, key: str, pattern: str) -> None:
    value = pattern if key == "target_modules" else {pattern: 4}
    adapter(tmp_path, json.dumps({"peft_type": "LORA", "lora_alpha": 2, key: value}))
    with pytest.raises(FileRefused, match="search for ever"):
        read_adapter(tmp_path, torch.float32)
    with pytest.raises(FileRefused, match="search for ever"):
        check_model_folder(tmp_path)


def test_patterns_that_people_write_are_read(tmp_path: Path) -> None:
    patterns = {r"^model\.layers\.(1|2)\..*q_proj": 4, "q_proj": 8, r".*\.(self_attn|mlp)\.[a-z]+_proj": 2}
    for rest in ({"alpha_pattern": patterns}, {"target_modules": r".*\.layers\.\d+\..*proj"}):
        adapter(tmp_path, json.dumps({"peft_type": "LORA", "lora_alpha": 2, **rest}))
        assert read_adapter(tmp_path, torch.float32) == {}


UNSCALED: list[dict[str, Any]] = [
    {},
    {"lora_alpha": "x"},
    {"lora_alpha": [1]},
    {"lora_alpha": 1, "alpha_pattern": {"(": 1}},
    {"lora_alpha": 1, "alpha_pattern": [1]},
]


@pytest.mark.parametrize("settings", UNSCALED)
def test_a_scale_that_cannot_be_read_is_one_line(tmp_path: Path, settings: dict[str, Any]) -> None:
    adapter(tmp_path, json.dumps({"peft_type": "LORA", **settings}))
    layer = "base_model.model.layer.lora"
    save_file({f"{layer}_A.weight": torch.ones(2, 4), f"{layer}_B.weight": torch.ones(4, 2)},
              tmp_path / "adapter_model.safetensors")  # fmt: skip
    with pytest.raises(AdapterRefused, match="lora_alpha, or patterns"):
        read_adapter(tmp_path, torch.float32)
