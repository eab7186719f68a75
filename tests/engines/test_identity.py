"""A model's files are compared with its record whenever they are opened, and read again only when they changed."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engines import (
    FileChanged,
    adapter_sha256,
    base_sha256,
    changed_files,
    file_sha256,
    folder_sha256,
    open_engine,
    prove,
)
from engines.gguf_format.peft_files import AdapterRefused, read_adapter
from evaluator.loading.bases import families, opened
from results import Form, Model, Workspace


def written(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(name.encode() * 100)
    return folder


def model(form: Form, path: Path, weights: str, base: Path | None = None, adapter: str = "") -> Model:
    places = {"path": str(path), "base_path": str(base or "")}
    return Model("m-1", "mine", form, "base", "0" * 64, 1, **places, weights_sha256=weights, adapter_sha256=adapter)


@pytest.fixture
def kinds(tmp_path: Path) -> dict[str, tuple[Model, list[Path]]]:
    """Models of every form with the files that each answers by."""
    base = written(tmp_path / "base", "config.json", "model.safetensors", "tokenizer.json")
    adapter = written(tmp_path / "adapter", "adapter_config.json", "adapter_model.safetensors")
    merged = written(tmp_path / "merged", "config.json", "model.safetensors")
    gguf = written(tmp_path / "gguf", "base.gguf", "lora.gguf")
    file, lora = gguf / "base.gguf", gguf / "lora.gguf"
    peft = [adapter / "adapter_config.json", adapter / "adapter_model.safetensors"]
    return {
        "base": (model("base", base, base_sha256(base)), [base / "model.safetensors", base / "tokenizer.json"]),
        "adapter": (
            model("adapter", adapter, base_sha256(base), base, adapter_sha256(adapter)),
            [*peft, base / "config.json"],
        ),
        "merged": (model("merged", merged, folder_sha256(merged)), [merged / "model.safetensors"]),
        "gguf": (model("gguf-q8_0", file, file_sha256(file)), [file]),
        "lora-gguf": (model("lora-gguf", lora, file_sha256(file), file, file_sha256(lora)), [lora, file]),
    }


def overwritten(file: Path) -> None:
    """Four bytes of a file, in place, with the time of its last change put back."""
    before = file.stat()
    with file.open("r+b") as opened_file:
        opened_file.seek(8)
        opened_file.write(b"\0\1\2\3")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("form", ["base", "adapter", "merged", "gguf", "lora-gguf"])
def test_a_changed_and_a_vanished_file_of_any_form_is_named(
    form: str, kinds: dict[str, tuple[Model, list[Path]]], tmp_path: Path
) -> None:
    mine, files = kinds[form]
    place = Workspace(tmp_path / "workspace")
    prove(mine, place)
    for file in files:
        kept = file.read_bytes()
        overwritten(file)
        with pytest.raises(FileChanged, match="is not what was registered") as refusal:
            prove(mine, place)
        assert "mine" in str(refusal.value) and "\n" not in str(refusal.value)
        file.write_bytes(kept)
        prove(mine, place)  # the old bytes are the old model, whenever they were written
    for file in files:
        file.unlink()
        with pytest.raises(FileChanged, match=r"gone|cannot be read|is not what was registered"):
            prove(mine, place)


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("form", ["base", "adapter", "merged", "gguf", "lora-gguf"])
def test_whoever_reuses_figures_learns_that_the_files_are_others_now(
    form: str, kinds: dict[str, tuple[Model, list[Path]]], tmp_path: Path
) -> None:
    mine, files = kinds[form]
    place = Workspace(tmp_path / "workspace")
    assert changed_files(mine, place, LONG_AGO) == ""
    for file in files:
        kept = file.read_bytes()
        overwritten(file)
        assert "is not what was registered" in changed_files(mine, place, LONG_AGO)
        assert changed_files(mine, place, datetime(3000, 1, 1, tzinfo=UTC)) == "", "proved later than any change"
        file.write_bytes(kept)
    files[0].unlink()
    if files[0] in (Path(mine.path), Path(mine.base_path)):
        assert changed_files(mine, place, LONG_AGO) == "", "what is not here is no other model"


def test_what_has_no_digest_is_not_compared(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    prove(model("remote", Path("http://host/v1"), "1" * 64), place)
    prove(model("gguf-q8_0", tmp_path / "elsewhere.gguf", ""), place)


def test_a_model_that_is_known_from_imported_results_alone_is_opened_by_nothing(tmp_path: Path) -> None:
    place, foreign = Workspace(tmp_path), replace(model("gguf-q8_0", tmp_path, ""), path="")
    for attempt in (prove, lambda one, where: families([one], where), open_engine):
        with pytest.raises(FileChanged, match="mine is known from imported results; its weights are not here"):
            attempt(foreign, place)


def test_no_measurement_opens_changed_weights(kinds: dict[str, tuple[Model, list[Path]]], tmp_path: Path) -> None:
    mine, files = kinds["adapter"]
    overwritten(files[1])
    place = Workspace(tmp_path / "workspace")
    with pytest.raises(FileChanged), opened(families([mine], place)[0], place):
        pass


def test_a_damaged_adapter_is_one_line(tmp_path: Path) -> None:
    folder = written(tmp_path / "adapter", "adapter_model.safetensors")
    for settings in ("{", "[]", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "[" * 100_000):
        (folder / "adapter_config.json").write_text(settings, "latin-1")
        with pytest.raises(AdapterRefused, match=r"adapter_config\.json"):
            read_adapter(folder, None)  # type: ignore[arg-type]
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 1}')
    with pytest.raises(AdapterRefused, match=r"adapter_model.safetensors is no safetensors file"):
        read_adapter(folder, None)  # type: ignore[arg-type]
    shutil.rmtree(folder)
