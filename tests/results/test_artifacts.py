"""Artifacts: complete or not there, checked on the way back, in a folder and under an fsspec URL."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path

import fsspec
import pytest

from results import BakeoffError, NotFound, Workspace
from results.artifacts import MANIFEST, PARTS, Artifacts


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A local folder, and fsspec's file system in memory, which knows no folders, as object stores do not."""
    return str(tmp_path / "shared") if request.param == "folder" else f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A folder like an adapter's."""
    (tmp_path / "adapter" / "nested").mkdir(parents=True)
    (tmp_path / "adapter" / "weights.safetensors").write_bytes(bytes(range(256)) * 5000)
    (tmp_path / "adapter" / "nested" / "config.json").write_text("{}")
    return tmp_path / "adapter"


def test_a_folder_and_a_file_come_back_as_they_were(root: str, adapter: Path, tmp_path: Path) -> None:
    artifacts = Artifacts(root)
    assert not artifacts.exists("models/demo")
    assert artifacts.put(adapter, "models/demo")
    assert not artifacts.put(adapter, "models/demo")
    assert artifacts.put(adapter / "weights.safetensors", "models/base.gguf")
    artifacts.get("models/demo", tmp_path / "back")
    found = {path.relative_to(tmp_path / "back"): path.read_bytes() for path in (tmp_path / "back").rglob("*.*")}
    assert found == {path.relative_to(adapter): path.read_bytes() for path in adapter.rglob("*.*")}
    artifacts.get("models/base.gguf", tmp_path / "base.gguf")
    assert (tmp_path / "base.gguf").read_bytes() == (adapter / "weights.safetensors").read_bytes()
    (adapter / "nested" / "config.json").write_text('{"changed": 1}')
    assert artifacts.put(adapter, "models/demo")
    artifacts.get("models/demo", tmp_path / "back")
    assert (tmp_path / "back" / "nested" / "config.json").read_text() == '{"changed": 1}'


def test_what_is_incomplete_or_damaged_does_not_arrive(root: str, adapter: Path, tmp_path: Path) -> None:
    artifacts = Artifacts(root)
    artifacts.put(adapter, "demo")
    system, place = fsspec.core.url_to_fs(root)
    part = f"{place}/demo/{PARTS}/{hashlib.sha256((adapter / 'weights.safetensors').read_bytes()).hexdigest()}"
    system.pipe_file(part, b"something else")
    with pytest.raises(BakeoffError, match=r"weights\.safetensors.*not what was uploaded"):
        artifacts.get("demo", tmp_path / "back")
    system.rm_file(part)
    with pytest.raises(BakeoffError, match="demo"):
        artifacts.get("demo", tmp_path / "back")
    system.rm_file(f"{place}/demo/{MANIFEST}")
    with pytest.raises(NotFound, match=r"demo.*bakeoff store upload"):
        artifacts.get("demo", tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../b", "", "a\\b"])
def test_a_name_that_leads_elsewhere_is_refused(root: str, adapter: Path, name: str) -> None:
    with pytest.raises(BakeoffError, match="no name for an artifact"):
        Artifacts(root).put(adapter, name)


def test_a_place_that_nothing_reaches_and_a_source_that_is_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match="nosuch"):
        Artifacts("nosuch://bucket")
    with pytest.raises(NotFound, match="missing"):
        Artifacts(str(tmp_path)).put(tmp_path / "missing", "x")


def test_the_workspace_keeps_artifacts_unless_told_where(
    tmp_path: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BAKEOFF_ARTIFACTS", raising=False)
    Workspace(tmp_path / "w").artifacts().put(adapter, "demo")
    assert (tmp_path / "w" / "artifacts" / "demo" / MANIFEST).is_file()
    monkeypatch.setenv("BAKEOFF_ARTIFACTS", str(tmp_path / "team"))
    assert not Workspace(tmp_path / "w").artifacts().exists("demo")


def test_an_upload_of_before_is_still_read_and_found_to_be_there(root: str, adapter: Path, tmp_path: Path) -> None:
    """Files lay under their own names, and the manifest said nothing of parts."""
    system, place = fsspec.core.url_to_fs(root)
    files = {}
    for path in adapter.rglob("*.*"):
        name = path.relative_to(adapter).as_posix()
        files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        system.makedirs(f"{place}/old/nested", exist_ok=True)
        system.pipe_file(f"{place}/old/{name}", path.read_bytes())
    system.pipe_file(f"{place}/old/{MANIFEST}", json.dumps({"folder": True, "files": files}).encode())
    assert not Artifacts(root).put(adapter, "old")
    Artifacts(root).get("old", tmp_path / "back")
    assert (tmp_path / "back" / "nested" / "config.json").read_text() == "{}"
    (adapter / "nested" / "config.json").write_text("{ }")
    assert Artifacts(root).put(adapter, "old")
    assert not system.exists(f"{place}/old/weights.safetensors"), "what only the artifact of before had is removed"
    Artifacts(root).get("old", tmp_path / "back")
    assert (tmp_path / "back" / "nested" / "config.json").read_text() == "{ }"


def test_an_artifact_is_replaced_as_a_whole_and_only_what_changed_is_sent(
    root: str, adapter: Path, tmp_path: Path
) -> None:
    Artifacts(root).put(adapter, "demo")
    system, place = fsspec.core.url_to_fs(root)
    weights = f"{place}/demo/{PARTS}/{hashlib.sha256((adapter / 'weights.safetensors').read_bytes()).hexdigest()}"
    sent = system.modified(weights)
    (adapter / "nested" / "config.json").write_text('{"r": 8}')
    half: list[str] = []

    def look(what: str, done: int, total: int) -> None:
        """In mid-upload, a reader has the artifact of before."""
        Artifacts(root).get("demo", tmp_path / f"seen{len(half)}")
        half.append((tmp_path / f"seen{len(half)}" / "nested" / "config.json").read_text())

    assert Artifacts(root).put(adapter, "demo", look)
    assert set(half) == {"{}"} and system.modified(weights) == sent
    Artifacts(root).get("demo", tmp_path / "back")
    assert (tmp_path / "back" / "nested" / "config.json").read_text() == '{"r": 8}'
    assert len(system.ls(f"{place}/demo/{PARTS}")) == 2


@pytest.mark.parametrize(
    "url",
    ["s3://key:hush@bucket/x", "sftp://me:hush@host/x", "s3://bucket/x?secret=hush", "s3://b/x?session_token=hush"],
)
def test_a_url_with_a_password_is_refused_without_saying_it(url: str) -> None:
    with pytest.raises(BakeoffError, match=r"holds a password.*AWS_SECRET_ACCESS_KEY") as refused:
        Artifacts(url)
    assert "hush" not in str(refused.value)
