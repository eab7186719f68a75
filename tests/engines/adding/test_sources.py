"""What is found at a source: folders as training tools leave them, files, endpoints; and what is no model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines import FileRefused, find


def peft(folder: Path, base: str = "Qwen/Qwen2.5-0.5B-Instruct") -> Path:
    folder.mkdir(parents=True)
    settings = {"peft_type": "LORA", "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    return folder


def whole(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_a_peft_folder_is_found_with_the_base_that_it_names(tmp_path: Path) -> None:
    folder = peft(tmp_path / "support-bot")
    (found,) = find(str(folder))
    assert (found.kind, found.path, found.name) == ("peft", folder, "support-bot")
    assert (found.base, found.source) == ("Qwen/Qwen2.5-0.5B-Instruct", str(folder))


def test_names_that_every_tool_gives_are_told_apart_by_the_folders_above(tmp_path: Path) -> None:
    for run in ("run-a", "run-b"):
        peft(tmp_path / "mine" / run / "lora_model")
    whole(tmp_path / "mine" / "other" / "merged")
    assert [(one.name, one.kind) for one in find(str(tmp_path / "mine"))] == [
        ("other-merged", "transformers"),
        ("run-a-lora_model", "peft"),
        ("run-b-lora_model", "peft"),
    ]


def test_two_folders_of_one_name_get_two_names(tmp_path: Path) -> None:
    for above in ("monday", "tuesday"):
        peft(tmp_path / above / "bot")
    assert [one.name for one in find(str(tmp_path))] == ["monday-bot", "tuesday-bot"]


def test_of_checkpoints_alone_the_best_is_found_where_the_trainer_knows_it_else_the_last(tmp_path: Path) -> None:
    for step in (90, 100, 20):
        peft(tmp_path / "run" / f"checkpoint-{step}")
    (found,) = find(str(tmp_path / "run"))
    assert found.name == "run-checkpoint-100" and "the last" in found.notes[0] and "checkpoint-90" in found.notes[0]
    state = {"best_model_checkpoint": "/somewhere/else/checkpoint-20"}
    (tmp_path / "run" / "checkpoint-100" / "trainer_state.json").write_text(json.dumps(state))
    (found,) = find(str(tmp_path / "run"))
    assert found.name == "run-checkpoint-20" and "best loss" in found.notes[0]


def test_checkpoints_inside_a_finished_adapter_are_named_and_not_found(tmp_path: Path) -> None:
    folder = peft(tmp_path / "run")
    peft(folder / "checkpoint-10")
    whole(folder / "merged")
    (found,) = find(str(folder))
    assert found.path == folder and found.notes == ("Also inside, and not added unless named: checkpoint-10, merged.",)


def test_a_gguf_is_found_and_any_part_of_a_split_one_is_its_first(tiny: Path, tmp_path: Path) -> None:
    for part in (1, 2):
        (tmp_path / f"big-Q8_0-0000{part}-of-00002.gguf").write_bytes(tiny.read_bytes())
    (tmp_path / "mmproj-F16.gguf").write_bytes(tiny.read_bytes())
    (below,) = find(str(tmp_path))
    (named,) = find(str(tmp_path / "big-Q8_0-00002-of-00002.gguf"))
    assert below.path == named.path == tmp_path / "big-Q8_0-00001-of-00002.gguf"
    assert (below.kind, below.name) == ("gguf", "big-Q8_0")


def test_a_lora_gguf_is_told_from_a_whole_model(adapters: list[Path]) -> None:
    (found,) = find(str(adapters[0]))
    assert found.kind == "lora-gguf"


def test_a_model_behind_an_endpoint_is_found_by_the_name_after_the_url() -> None:
    (found,) = find("http://localhost:8000/v1#qwen3:8b")
    assert (found.kind, found.path, found.name, found.base) == ("endpoint", None, "qwen3-8b", "qwen3:8b")


def test_the_hubs_cache_gives_the_repositorys_name(tmp_path: Path) -> None:
    peft(tmp_path / "models--me--my-bot" / "snapshots" / ("0123456789" * 4))
    assert [one.name for one in find(str(tmp_path))] == ["my-bot"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), r"no adapter_config.json"),
        (("config.json",), "no weights beside it"),
        (("adapter_model.bin",), "neither an adapter_config.json"),
    ],
)
def test_a_folder_without_a_model_is_refused_by_what_it_lacks(tmp_path: Path, files: tuple[str], said: str) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(FileRefused, match=said):
        find(str(tmp_path))


def test_what_is_not_there_or_no_model_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="nothing at"):
        find(str(tmp_path / "absent"))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(FileRefused, match="folder it lies in"):
        find(str(tmp_path / "adapter_model.safetensors"))


def test_a_damaged_adapter_config_is_refused_by_name(tmp_path: Path) -> None:
    folder = peft(tmp_path / "bot")
    (folder / "adapter_config.json").write_text("[1, 2]")
    with pytest.raises(FileRefused, match=r"adapter_config.json holds no settings but a list"):
        find(str(folder))
