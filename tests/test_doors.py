"""The rooms' doors: every name is there, nothing heavy is loaded before it is asked for, and wheels hold them."""

from __future__ import annotations

import ast
import fnmatch
import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("trainer", "evaluator", "engines", "results", "dashboard")
DOORS = (*ROOMS, "trainer.multi_lora")
HEAVY = ("torch", "transformers", "sqlalchemy", "numpy", "scipy", "xllamacpp", "gguf", "fastapi", "streamlit", "pandas")


def folder_of(door: str) -> Path:
    return ROOT.joinpath(*door.split("."))


def homes(door: str) -> dict[str, Path]:
    """Name at the door → the file that it is said to come from."""
    stub = ast.parse((folder_of(door) / "__init__.pyi").read_text(encoding="utf-8"))
    found: dict[str, Path] = {}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            assert [one.asname for one in node.names] == [one.name for one in node.names], "import X as X shows X"
            place = folder_of(f"{door}.{node.module}")
            found |= dict.fromkeys(
                (one.name for one in node.names), place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            )
    return found


@pytest.mark.parametrize("door", DOORS)
def test_every_name_at_a_door_is_made_by_the_module_that_it_comes_from(door: str) -> None:
    for name, file in homes(door).items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        made = {getattr(node, "name", None) for node in tree.body}
        made |= {target.id for node in tree.body for target in ast.walk(node) if isinstance(target, ast.Name)}
        assert name in made, f"{name} is not in {file.relative_to(ROOT)}"


@pytest.mark.parametrize("door", DOORS)
def test_a_door_names_what_its_stub_names_and_hides_no_folder(door: str) -> None:
    names = importlib.import_module(door).__all__
    assert names == sorted(homes(door))
    inside = {path.stem for path in folder_of(door).iterdir()} - {"__init__"}
    assert not inside & set(names), "a module or folder of that name could take the name's place"


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_every_name_at_a_door_is_there_for_the_asking(door: str) -> None:
    check = f"import {door} as door; [getattr(door, name) for name in door.__all__]"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT)


def test_doors_are_light() -> None:
    check = f"import sys, json, {', '.join(ROOMS)}; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT, capture_output=True).stdout)
    assert not set(loaded) & set(HEAVY)
    assert {name for name in loaded if name.split(".")[0] in ROOMS} == set(ROOMS)


def test_a_name_that_no_door_has_is_refused() -> None:
    check = "from evaluator import no_such_name"
    ended = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True)
    assert "ImportError" in ended.stderr and "no_such_name" in ended.stderr


def test_wheels_hold_every_file_of_the_rooms() -> None:
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = subprocess.run(["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    others = [Path(name) for name in files.splitlines() if not name.endswith(".py")]
    assert Path("engines/__init__.pyi") in others
    for path in others:
        patterns = [*packaged["*"], *packaged.get(path.parts[0], ())]
        inside = path.relative_to(path.parts[0]).as_posix()
        assert any(fnmatch.fnmatch(inside, pattern) for pattern in patterns), f"{path} is in no wheel"
