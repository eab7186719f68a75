"""Checkpoints against truncation, garbling, full disks, kills between two calls, and a second trainer."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.errors import CheckpointInvalid
from trainer.runs import checkpoints

IDENTITY = {"base": "b", "lora.rank": 8, "lora.alpha": 16.0, "lora.target": "all-linear", "data.identity": "d"}


def filled(content: bytes = b"weights") -> object:
    def write(folder: Path) -> None:
        (folder / "weights.safetensors").write_bytes(content)
        (folder / "state.json").write_text('{"step": 1}')

    return write


def save(folder: Path, step: int, content: bytes = b"weights") -> Path:
    return checkpoints.save(folder, step, IDENTITY, filled(content))  # type: ignore[arg-type]


def test_the_newest_comes_first_and_nothing_is_said_of_whole_ones(tmp_path: Path) -> None:
    save(tmp_path, 9)
    save(tmp_path, 10)
    good, skipped = checkpoints.complete(tmp_path)
    assert [checkpoints.step_of(path) for path in good] == [10, 9]
    assert skipped == []


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 1, b"old")
    path = save(tmp_path, 1, b"new")
    assert (path / "weights.safetensors").read_bytes() == b"new"
    assert len(checkpoints.complete(tmp_path)[0]) == 1


def truncate(path: Path) -> None:
    file = path / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:3])


def garble(path: Path) -> None:
    (path / "state.json").write_text('{"step": 2}')


def empty_state(path: Path) -> None:
    (path / "state.json").write_text("")


def lose_a_file(path: Path) -> None:
    (path / "weights.safetensors").unlink()


def lose_the_marker(path: Path) -> None:
    (path / checkpoints.MARKER).unlink()


def garble_the_marker(path: Path) -> None:
    (path / checkpoints.MARKER).write_text("{")


@pytest.mark.parametrize("harm", [truncate, garble, empty_state, lose_a_file, lose_the_marker, garble_the_marker])
def test_a_broken_newest_gives_way_to_the_one_before_and_is_named(tmp_path: Path, harm: object) -> None:
    save(tmp_path, 1)
    harm(save(tmp_path, 2))  # type: ignore[operator]
    good, skipped = checkpoints.complete(tmp_path)
    assert [checkpoints.step_of(path) for path in good] == [1]
    assert len(skipped) == 1
    assert "step-00000002" in skipped[0]


def test_a_save_that_was_killed_half_way_is_never_taken(tmp_path: Path) -> None:
    save(tmp_path, 1)
    whole = save(tmp_path, 2)
    shutil.copytree(whole, tmp_path / ".writing-00000003")
    assert [checkpoints.step_of(path) for path in checkpoints.complete(tmp_path)[0]] == [2, 1]
    checkpoints.prune(tmp_path, keep=2)
    assert not list(tmp_path.glob(".writing-*"))


def test_a_full_disk_says_so_and_leaves_the_older_one_whole(tmp_path: Path) -> None:
    save(tmp_path, 1)

    def write(folder: Path) -> None:
        (folder / "weights.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(CheckpointInvalid, match="disk is full"):
        checkpoints.save(tmp_path, 2, IDENTITY, write)
    assert [checkpoints.step_of(path) for path in checkpoints.complete(tmp_path)[0]] == [1]
    assert not list(tmp_path.glob(".writing-*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_that_is_really_full_says_so(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")

    with pytest.raises(CheckpointInvalid, match="disk is full"):
        checkpoints.save(tmp_path, 2, IDENTITY, write)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointInvalid, match="Permission denied"):
        save(tmp_path / "run", 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [("base", "other"), ("lora.rank", 16), ("lora.alpha", 8.0), ("lora.target", "mlp"), ("data.identity", "e")],
)
def test_another_base_rank_alpha_target_or_data_set_is_refused_by_name(tmp_path: Path, key: str, value: object) -> None:
    path = save(tmp_path, 1)
    checkpoints.verify_identity(path, IDENTITY)
    with pytest.raises(CheckpointInvalid, match=key.replace(".", r"\.")):
        checkpoints.verify_identity(path, {**IDENTITY, key: value})


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        save(tmp_path, step)
    checkpoints.prune(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-00000004", "step-00000005"]


def test_a_second_trainer_is_refused_and_a_dead_one_is_not(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from trainer.runs import checkpoints\n"
        "with checkpoints.lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CheckpointInvalid, match=str(holder.pid)), checkpoints.lock(tmp_path):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with checkpoints.lock(tmp_path):
        pass


def test_a_mirror_brings_the_newest_whole_checkpoint_back(tmp_path: Path) -> None:
    here, url = tmp_path / "here", f"file://{tmp_path / 'mirror'}"
    for step in (1, 2, 3):
        checkpoints.mirror(save(here, step), url, "run")
    (tmp_path / "mirror/run/step-00000003" / checkpoints.MARKER).unlink()  # the copy was cut off
    truncate(tmp_path / "mirror/run/step-00000002")
    shutil.rmtree(here)
    assert checkpoints.fetch(here, url, "run")
    assert [path.name for path in checkpoints.complete(here)[0]] == ["step-00000001"]
    assert not checkpoints.fetch(here, url, "run")
    assert not checkpoints.fetch(here, url, "another run")


def test_the_marker_names_every_file(tmp_path: Path) -> None:
    marker = json.loads((save(tmp_path, 1) / checkpoints.MARKER).read_text())
    assert sorted(marker["files"]) == ["state.json", "weights.safetensors"]
    assert marker["identity"] == IDENTITY
