"""The workspace: where things are, and what is said where they cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from results import BakeoffError, Machine, NotFound, Store, Workspace, this_machine
from results.errors import StoreError
from results.records import digest


def test_the_folder_is_that_given_else_that_of_the_environment_else_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BAKEOFF_WORKSPACE", raising=False)
    monkeypatch.delenv("BAKEOFF_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    assert Workspace.open().path == tmp_path / "workspace"
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(tmp_path / "team"))
    assert Workspace.open().path == tmp_path / "team"
    assert Workspace.open("mine").path == tmp_path / "mine"
    assert Workspace.open("mine").store_url == f"sqlite:///{tmp_path / 'mine' / 'results.db'}"
    assert not (tmp_path / "mine").exists()
    monkeypatch.setenv("BAKEOFF_DATABASE_URL", "postgresql://host/db")
    assert Workspace.open("mine").store_url == "postgresql://host/db"


@pytest.mark.parametrize(
    "name", ["q?1", "q?a=1", "q#1", "q%20x", "q&x;y", "ü b", "q'x", 'q"x', "q\\x", "q\nx", "q\x1bx", ":memory:"]
)
def test_a_workspace_of_any_name_has_its_store_inside(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BAKEOFF_DATABASE_URL", raising=False)
    workspace = Workspace(tmp_path / name)
    with workspace.store() as store:
        store.machines.add(this_machine())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [name]
    assert (workspace.path / "results.db").stat().st_size > 0
    for again in (workspace.store_url, workspace.path / "results.db"):
        with Store(again) as store:
            assert store.machines.list() == [this_machine()]
    with Workspace.existing_store(str(workspace.path)) as store:
        assert len(store.machines.list()) == 1


def test_an_option_in_the_url_of_a_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="mode=ro"):
        Store(f"sqlite:///{tmp_path}/results.db?mode=ro")
    assert not list(tmp_path.iterdir())


def test_paths_are_kept_relative_inside_the_workspace_and_come_back(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "a folder 100%")
    inside = workspace.folder("models", "demo") / "model.gguf"
    inside.write_text("weights")
    assert workspace.relative(inside) == "models/demo/model.gguf"
    assert workspace.resolve("models/demo/model.gguf") == inside
    assert workspace.relative(tmp_path / "elsewhere") == str(tmp_path / "elsewhere")
    assert workspace.resolve(str(tmp_path / "elsewhere")) == tmp_path / "elsewhere"
    assert workspace.relative("https://host/v1") == "https://host/v1"
    with workspace.store() as store:
        assert store.info()["rows"]["runs"] == 0
    assert (workspace.path / "results.db").is_file()


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for use in (Workspace(tmp_path / "file").store, lambda: Workspace(tmp_path / "file").folder("models")):
        with pytest.raises(BakeoffError, match="--workspace") as refused:
            use()
        assert "\n" not in str(refused.value)


def test_another_store_is_opened_only_where_there_is_one(tmp_path: Path) -> None:
    Workspace(tmp_path / "there").store().close()
    for place in (tmp_path / "there", tmp_path / "there" / "results.db"):
        Workspace.existing_store(str(place)).close()
    with pytest.raises(NotFound, match="nowhere"):
        Workspace.existing_store(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_this_machine_is_known_by_what_numbers_depend_on() -> None:
    machine = this_machine()
    assert this_machine() == machine
    assert machine.cores >= 1
    assert machine.ram_bytes > 2**28
    assert machine.cpu
    assert machine.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert machine.versions["torch"]
    assert tuple(sorted(machine.isa)) == machine.isa
    content = {name: getattr(machine, name) for name in Machine.__dataclass_fields__ if name != "id"}
    assert machine.id == digest(content)[:12]


def test_neither_the_store_nor_the_fingerprint_loads_torch() -> None:
    code = """
import sys
import results
results.this_machine()
results.Store
assert "torch" not in sys.modules and "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
