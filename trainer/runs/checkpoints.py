"""Checkpoints that a kill at any moment cannot spoil, and that say what they belong to.

    <run folder>/lock                      held by the one process that trains the run; says which, on which host
    <run folder>/step-00000050/            adapter.safetensors, optimizer.safetensors, state.json, …
    <run folder>/step-00000050/COMPLETE    JSON: SHA-256 of every file, and the identity; written last

A checkpoint is written into `.writing-…`, each file fsynced, the marker last, then renamed: a folder named `step-…` is
whole, or the disk has lied, which the hashes tell. Nothing here is pickled, so nothing here can run code.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from results import take_lock
from trainer.errors import CheckpointInvalid

MARKER = "COMPLETE"

ORPHAN_SECONDS = 30.0
"""How long a training process that has lost its parent may take to end."""


def save(folder: Path, step: int, identity: Mapping[str, Any], write: Callable[[Path], None]) -> Path:
    """Let `write` fill a new folder and make it the checkpoint of `step`, replacing one of the same step.

    Raises: CheckpointInvalid naming the reason when the disk is full or read-only; older checkpoints stay as they were.
    """
    target = folder / f"step-{step:08d}"
    temporary = folder / f".writing-{step:08d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        write(temporary)
        files = sorted(file for file in temporary.rglob("*") if file.is_file())
        hashes = {file.relative_to(temporary).as_posix(): _synced_hash(file) for file in files}
        marker = temporary / MARKER
        marker.write_text(json.dumps({"step": step, "files": hashes, "identity": dict(identity)}), encoding="utf-8")
        _synced_hash(marker)
        _sync_folder(temporary)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        _sync_folder(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise CheckpointInvalid(
            f"Cannot write the checkpoint of step {step} in {folder}: {reason}. Earlier checkpoints are unharmed; "
            "make room and run the same command again"
        ) from error
    return target


def complete(folder: Path) -> tuple[list[Path], list[str]]:
    """The whole checkpoints of a run, newest first, and a sentence for each one skipped.

    Every file's hash is compared, so truncation and garbling are found here, not while loading.
    """
    good, skipped = [], []
    for path in sorted(folder.glob("step-*"), reverse=True):
        problem = _problem(path)
        if problem:
            skipped.append(f"checkpoint {path.name} is skipped: {problem}")
        else:
            good.append(path)
    return good, skipped


def step_of(checkpoint: Path) -> int:
    """The optimizer step a checkpoint was written after."""
    return int(checkpoint.name.removeprefix("step-"))


def verify_identity(checkpoint: Path, expected: Mapping[str, Any]) -> None:
    """Raises CheckpointInvalid naming each key that differs: base, data, rank, alpha, target, learning rate, …"""
    found = json.loads((checkpoint / MARKER).read_text(encoding="utf-8"))["identity"]
    wanted = json.loads(json.dumps(dict(expected)))
    differences = [
        f"{key} is {_short(wanted.get(key))}, the checkpoint has {_short(found.get(key))}"
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    ]
    if differences:
        raise CheckpointInvalid(
            f"{checkpoint.parent.name}/{checkpoint.name} belongs to another training: {'; '.join(differences)}. "
            "Restore the setting, or remove that folder to train anew"
        )


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what a kill left half-written."""
    steps = sorted(folder.glob("step-*"), reverse=True)
    for path in steps[keep:]:
        (path / MARKER).unlink(missing_ok=True)  # first, so that a kill in between leaves no half that looks whole
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".writing-*"):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def lock(folder: Path) -> Iterator[IO[str]]:
    """Hold a run's folder. The system lets go of it when the process dies, however it dies.

    Yields the locked file: a process that inherits it holds the lock too, until both are gone. Such a one that has lost
    its parent is about to end, and is waited for.
    Raises: CheckpointInvalid when another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        patience = time.monotonic() + ORPHAN_SECONDS
        while not take_lock(file):
            file.seek(0)
            holder = file.read().strip()
            if not _gone(holder) or time.monotonic() > patience:
                raise CheckpointInvalid(
                    f"{folder} is being trained by another process (id {holder or 'unknown'}); wait for it or stop it"
                )
            time.sleep(0.1)
        file.truncate(0)
        file.write(f"{os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield file


def _gone(holder: str) -> bool:
    """Whether that process was one of this machine and is none any more; of others nothing can be known."""
    process_id, _, host = holder.partition(" on ")
    if host and host != socket.gethostname():
        return False
    try:
        os.kill(int(process_id), 0)
    except (ValueError, PermissionError):
        return False
    except (ProcessLookupError, OverflowError):
        return True
    return False


def mirror(checkpoint: Path, url: str, run_id: str) -> None:
    """Copy a checkpoint to any fsspec URL (`s3://…`, `hf://…`, `file://…`), the marker last."""
    import fsspec

    files = sorted(file for file in checkpoint.rglob("*") if file.is_file() and file.name != MARKER)
    system, root = fsspec.core.url_to_fs(f"{url.rstrip('/')}/{run_id}/{checkpoint.name}")
    for file in [*files, checkpoint / MARKER]:
        place = f"{root}/{file.relative_to(checkpoint).as_posix()}"
        system.makedirs(place.rpartition("/")[0], exist_ok=True)
        system.put_file(str(file), place)


def fetch(folder: Path, url: str, run_id: str) -> bool:
    """Bring the newest mirrored checkpoint here when it is newer than what is here. True if one came."""
    import fsspec

    system, root = fsspec.core.url_to_fs(f"{url.rstrip('/')}/{run_id}")
    if not system.exists(root):
        return False
    names = sorted((str(place).rstrip("/").rpartition("/")[2] for place in system.ls(root, detail=False)), reverse=True)
    here = [path.name for path in complete(folder)[0]]
    for name in names:
        if not name.startswith("step-") or (here and name <= here[0]):
            return False
        if not system.exists(f"{root}/{name}/{MARKER}"):
            continue
        temporary = folder / f".writing-{name.removeprefix('step-')}"
        shutil.rmtree(temporary, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        system.get(f"{root}/{name}", str(temporary), recursive=True)
        if _problem(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
            continue
        shutil.rmtree(folder / name, ignore_errors=True)
        temporary.rename(folder / name)
        return True
    return False


@dataclass(frozen=True)
class Mirror:
    """Copies of a run's checkpoints at an fsspec URL, for machines that vanish. What cannot be reached costs a note in
    `notes`, not the run."""

    url: str
    run_id: str
    notes: list[str]

    def keep(self, checkpoint: Path, best: Path | None) -> None:
        """Copy a checkpoint away, the best weights so far before it."""
        try:
            if best is not None:
                mirror(best, self.url, f"{self.run_id}/best")
            mirror(checkpoint, self.url, self.run_id)
        except Exception as error:
            self.notes.append(f"{checkpoint.name} could not be copied to {self.url}: {error}")

    def bring_back(self, folder: Path) -> None:
        """Fetch what a machine that is gone had copied, where it is newer than what is here."""
        try:
            if fetch(folder, self.url, self.run_id):
                fetch(folder / "best", self.url, f"{self.run_id}/best")
                self.notes.append(f"the newest checkpoint came from {self.url}")
        except Exception as error:
            self.notes.append(f"{self.url} could not be read: {error}")


def _problem(path: Path) -> str:
    """Say why a checkpoint is not whole; the empty string when it is."""
    try:
        hashes = json.loads((path / MARKER).read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        return "it was not finished"
    except (OSError, ValueError, KeyError, TypeError):
        return f"its {MARKER} cannot be read"
    for name, expected in hashes.items():
        try:
            with (path / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return f"{name} is missing"
        if found != expected:
            return f"{name} is damaged"
    return ""


def _synced_hash(file: Path) -> str:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "…"
