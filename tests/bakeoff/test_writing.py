"""A folder that cannot be written ends a command before anything is spent; a machine's shortage later, in one line."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.experiment.failures import Failure, ends_everything
from bakeoff.main import app
from bakeoff.writing import writable
from results import BakeoffError, Model, disk_full, shortage

REFUSING = "/proc"
"""A folder that takes no file, not even root's."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))


def test_a_workspace_that_takes_files_is_opened_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    place = writable(tmp_path / "workspace")
    (place.path / "runs").mkdir()
    assert writable(place.path) == place
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize("part", ["runs", "models", "exports", "cache"])
def test_a_part_of_the_workspace_that_takes_no_file_is_named(part: str, tmp_path: Path) -> None:
    (tmp_path / part).symlink_to(REFUSING)
    with pytest.raises(BakeoffError, match=f"{tmp_path / part}, where .* --workspace"):
        writable(tmp_path)


@pytest.mark.parametrize("folder", [REFUSING, "/nonexistent"])
@pytest.mark.parametrize("variable", ["BAKEOFF_CACHE", "TMPDIR"])
def test_no_folder_is_passed_over_without_a_word(
    variable: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, folder if variable == "TMPDIR" else f"{REFUSING}/cache")
    with pytest.raises(BakeoffError, match=f"(?s)cannot be .*{variable}"):
        writable(tmp_path)


@pytest.mark.parametrize("command", ["run", "train", "evaluate", "latency", "serve"])
def test_every_command_that_spends_tries_first(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nbases: [/nowhere]\ndata: {sources: [{name: python-stdlib}]}\n")
    words = [command, *([str(file)] if command in ("run", "train") else []), "--workspace", str(tmp_path / "workspace")]
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    ended = CliRunner().invoke(app, words)
    assert isinstance(ended.exception, BakeoffError) and "TMPDIR" in str(ended.exception)
    assert not (tmp_path / "workspace" / "results.db").exists()


LACKING = [
    (OSError(errno.ENOSPC, "No space left on device", "/big/model.gguf"), "the disk is full, writing /big/model.gguf"),
    (ValueError("Error while serializing: I/O error: No space left on device (os error 28)"), "the disk is full"),
    (OSError(errno.EROFS, "Read-only file system", "/models/x"), "Read-only file system, writing /models/x"),
    (OSError(errno.EFBIG, "File too large"), "File too large"),
    (ValueError("Error while serializing: I/O error: File too large (os error 27)"), "File too large: mend that"),
    (MemoryError(), "memory ran out"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9600000000 bytes."), "9.6 GB"),
]


@pytest.mark.parametrize(("error", "words"), LACKING, ids=[words for _, words in LACKING])
def test_what_a_machine_lacks_is_named_whoever_says_it_and_is_no_models_fault(error: Exception, words: str) -> None:
    try:
        raise RuntimeError("while writing") from error
    except RuntimeError as wrapped:
        assert words in shortage(wrapped)
        assert ends_everything(wrapped) == disk_full(wrapped) == ("disk" in words)
        if not disk_full(wrapped):
            failure = Failure.of(Model("m", "m", "base", "m", "", 0, ""), "heldout", wrapped)
            assert words in failure.reason and not failure.trace


def test_a_file_that_memory_did_not_reach_for_is_no_bad_file() -> None:
    try:
        try:
            raise MemoryError
        except MemoryError as error:
            raise BakeoffError(f"config.json is refused: {error!r}") from error
    except BakeoffError as refused:
        reason = Failure.of(Model("m", "m", "base", "m", "", 0, ""), "heldout", refused).reason
        assert reason.startswith("memory ran out") and "refused" not in reason


def test_a_bug_is_no_shortage() -> None:
    assert shortage(KeyError("memory")) == "" and not disk_full(ValueError("a full disk of models"))


FULL_DISK = """
import errno, sys
from bakeoff import main
def app():
    print("half a ", end="", file=sys.stderr)
    raise OSError(errno.ENOSPC, "No space left on device", "model.gguf")
main.app = app
main.main()
"""


def test_the_command_line_tells_a_shortage_in_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr.startswith("half a \nbakeoff: the disk is full, writing model.gguf")
        and done.stderr.count("\n") == 2
    )
