"""A base is found by every name that it has here, and how it was found is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import Registry
from engines.adding.checking import bases
from engines.adding.checking.bases import Shelves, locate
from engines.adding.found import Found
from engines.errors import FileRefused
from results import Model, Workspace
from trainer import base_path, packaged_base


def folder(place: Path) -> Path:
    """A folder that looks like a base of 16 bits from outside."""
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    (place / "model.safetensors").write_bytes(b"")
    return place


def over(base: str) -> Found:
    return Found("peft", None, "bot", "./bot", base=base)


def stored(form: str, base: str, path: Path, **more: str) -> Model:
    return Model(f"id-{path.name}", path.name, form, base, "0" * 64, 1, str(path), **more)  # type: ignore[arg-type]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize(
    "name",
    [
        "smollm2-135m-instruct",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "unsloth/SmolLM2-135M-Instruct-bnb-4bit",
        "/somewhere/else/SmolLM2-135M-Instruct",
    ],
)
def test_the_base_that_comes_with_bakeoff_is_found_by_every_name_it_has(
    name: str, cache: Path, workspace: Workspace
) -> None:
    base = locate(over(name), "", Shelves((), workspace, Registry(base_path, packaged_base)))
    assert base.name == "smollm2-135m-instruct" and base.path == base_path("smollm2-135m-instruct")
    assert "comes with Bakeoff" in base.how
    with pytest.raises(FileRefused, match="neither in the store nor on this machine"):
        locate(over("smollm2-360m-instruct"), "", Shelves((), workspace, Registry(base_path, packaged_base)))


def test_any_whole_snapshot_in_the_hubs_cache_is_found_and_main_comes_first(cache: Path, workspace: Workspace) -> None:
    repository = cache / "models--acme--Tiny-1B"
    first = folder(repository / "snapshots" / "a1")
    assert locate(over("acme/Tiny-1B"), "", Shelves((), workspace)).path == first
    half = folder(repository / "snapshots" / "b2")
    (half / "model.safetensors.index.json").write_text('{"weight_map": {"w": "model-00002-of-00002.safetensors"}}')
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("b2")
    assert locate(over("tiny-1b"), "", Shelves((), workspace)).path == first, "main is there and not whole"
    (half / "model-00002-of-00002.safetensors").write_bytes(b"")
    found = locate(over("/their/machine/Tiny-1B"), "", Shelves((), workspace))
    assert (found.path, found.name) == (half, "acme/Tiny-1B") and "Hub's cache" in found.how


def test_what_an_adapter_of_the_store_stands_on_is_found_and_what_is_gone_is_passed_over(
    cache: Path, workspace: Workspace, tmp_path: Path
) -> None:
    here = folder(tmp_path / "weights")
    gone = stored("base", "acme/Tiny-1B", tmp_path / "gone")
    beside = stored("adapter", "acme/Tiny-1B", tmp_path / "bot1", base_path=str(here))
    found = locate(over("acme/Tiny-1B"), "", Shelves((beside, gone), workspace))
    assert found.path == here and "the base of bot1 in the store" in found.how
    with pytest.raises(FileRefused, match="hf download acme/Tiny-1B"):
        locate(over("acme/Tiny-1B"), "", Shelves((gone,), workspace))


def test_a_base_of_16_bits_is_taken_before_a_packed_one_that_comes_with_bakeoff(
    cache: Path, workspace: Workspace
) -> None:
    whole = folder(cache / "models--HuggingFaceTB--SmolLM2-135M-Instruct" / "snapshots" / "c3")
    registry = Registry(base_path, packaged_base)
    assert locate(over("smollm2-135m-instruct"), "", Shelves((), workspace, registry)).path == whole
    assert bases.in_hub_cache("HuggingFaceTB/SmolLM2-360M-Instruct") is None
