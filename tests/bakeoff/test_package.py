"""The package: what pip installs has every file that the rooms have, and one list says what it needs."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from results import EXTRAS

REPOSITORY = Path(__file__).resolve().parents[2]
ROOMS = ("bakeoff", "trainer", "evaluator", "engines", "results", "dashboard", "experiments")

SDIST = "import sys, setuptools.build_meta as backend; print(backend.build_sdist(sys.argv[1]))"
WHEEL = "import sys, setuptools.build_meta as backend; print(backend.build_wheel(sys.argv[1]))"

pytestmark = pytest.mark.slow


def built(program: str, source: Path, folder: Path) -> Path:
    """What setuptools makes of a source tree, without the network."""
    command = [sys.executable, "-W", "ignore", "-c", program, str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=900, check=True)
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the source distribution of this tree, as an index gives it to people."""
    folder = tmp_path_factory.mktemp("package")
    tree = folder / "tree"
    for path in files("ls-files", "--cached", "--others", "--exclude-standard"):
        if (REPOSITORY / path).is_file():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / path, tree / path)
    with tarfile.open(built(SDIST, tree, folder)) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (one for one in folder.glob("bakeoff-*") if one.is_dir())
    return built(WHEEL, unpacked, folder)


def files(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no git checkout: what belongs to it cannot be listed")
    return done.stdout.splitlines()


def test_every_file_of_the_rooms_is_in_the_wheel(wheel: Path) -> None:
    wanted = {path for path in files("ls-files", *ROOMS) if (REPOSITORY / path).is_file()}
    with zipfile.ZipFile(wheel) as archive:
        assert wanted - set(archive.namelist()) == set()


def test_the_installed_package_needs_nothing_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "BAKEOFF_WORKSPACE": str(tmp_path / "workspace")}
    program = (
        "import bakeoff, results.published; from bakeoff.fine_tuning.demo import DEMO; "
        "print(bakeoff.__file__, len(results.published.read_published()) > 9, DEMO.is_file())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.stdout == f"{tmp_path / 'site' / 'bakeoff' / '__init__.py'} True True\n", done.stderr


def test_the_core_has_what_no_extra_has_and_every_pin_stands_once(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        read = email.message_from_bytes(archive.read(metadata))
    extras: dict[str, set[str]] = {}
    for line in read.get_all("Requires-Dist", []):
        pin, _, rest = line.partition(";")
        named = re.match(r"([\w-]+)[^;]*==[^;]+?(?:; extra == \"([\w-]+)\")?$", pin + (";" + rest) * ("extra" in rest))
        assert named, f"{line} has no pin"
        extras.setdefault(named[2] or "", set()).add(named[1])
    assert {extra: set(libraries) for extra, libraries in EXTRAS.items()} == {
        extra: libraries for extra, libraries in extras.items() if extra in EXTRAS
    }
    assert not extras[""] & extras["train"]
    assert extras["all"] == set().union(*(extras[one] for one in (*EXTRAS, "lm-eval")))
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = [line.split("==")[0] for line in lines if "==" in line]
    assert len(listed) == len(set(listed))
    assert set(read.get_all("Provides-Extra", [])) == {*EXTRAS, "lm-eval", "all"}
