"""Artifacts: models' files in a place that several machines reach: a folder, or any URL that fsspec knows.

An artifact is one file or one folder under a name. Its manifest (files, bytes, SHA-256) is written last, so an upload
that was interrupted does not exist; every file is checked against it on the way back.

Try: BAKEOFF_ARTIFACTS=s3://bucket/team bakeoff store upload
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from results.errors import BakeoffError, NotFound

MANIFEST = ".bakeoff.json"


class Artifacts:
    """`Artifacts("s3://bucket/folder")`, `Artifacts("/mnt/team")`."""

    def __init__(self, root: str) -> None:
        """Raises BakeoffError for a URL that fsspec has no file system for."""
        import fsspec

        try:
            self._system, self._root = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError) as error:
            scheme = root.split("://")[0]
            raise BakeoffError(f"no file system for {scheme}://: {error}; install fsspec's package for it") from error

    def put(self, source: Path, name: str) -> bool:
        """Upload a file or folder; False if it is there already, bit for bit. Raises: NotFound, BakeoffError."""
        target = self._place(name)
        if not source.exists():
            raise NotFound(f"{source} does not exist, so it cannot be stored as {name!r}")
        files = {relative: _sha256(path) for relative, path in _files(source)}
        manifest = {"folder": source.is_dir(), "files": files}
        with self._errors(name):
            if self._manifest(target) == manifest:
                return False
            for relative, path in _files(source):
                place = f"{target}/{relative}"
                self._system.makedirs(str(PurePosixPath(place).parent), exist_ok=True)
                self._system.put_file(str(path), place)
            with self._system.open(f"{target}/{MANIFEST}", "wb") as file:
                file.write(json.dumps(manifest, indent=1).encode())
        return True

    def get(self, name: str, target: Path) -> None:
        """Download to `target`, which appears only when it is complete and its digests agree.

        Raises: NotFound (no such artifact), BakeoffError (a digest differs, or the place cannot be reached).
        """
        place = self._place(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._errors(name), tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as folder:
            manifest = self._manifest(place)
            if manifest is None:
                raise NotFound(f"no artifact {name!r} in {self._root}; upload it there: bakeoff store upload")
            content = Path(folder, "content")
            for relative, digest in manifest["files"].items():
                path = content / _safe(relative)
                path.parent.mkdir(parents=True, exist_ok=True)
                self._system.get_file(f"{place}/{relative}", str(path))
                if _sha256(path) != digest:
                    raise BakeoffError(f"{name}/{relative} in {self._root} is not what was uploaded; upload it again")
            if target.is_dir():
                shutil.rmtree(target)
            fetched = content if manifest["folder"] else content.joinpath(*manifest["files"])
            fetched.replace(target)

    def exists(self, name: str) -> bool:
        """Whether the artifact is there, complete."""
        with self._errors(name):
            return self._manifest(self._place(name)) is not None

    def _place(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{_safe(name)}"

    def _manifest(self, place: str) -> dict[str, Any] | None:
        try:
            with self._system.open(f"{place}/{MANIFEST}", "rb") as file:
                found: dict[str, Any] = json.loads(file.read())
        except FileNotFoundError:
            return None
        return found

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Whatever a remote file system raises, as one line that names the artifact."""
        try:
            yield
        except BakeoffError:
            raise
        except Exception as error:  # each file system has its own
            reason = str(error).split("\n")[0]
            raise BakeoffError(f"{name!r} in {self._root}: {type(error).__name__}: {reason}") from error


def _safe(name: str) -> str:
    """The name, unless it leads out of the folder it is put under."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise BakeoffError(f"{name!r} is no name for an artifact: it must be a relative path without ..")
    return str(path)


def _files(source: Path) -> Iterator[tuple[str, Path]]:
    """(path below the source, file), sorted; a single file is below itself. Links are followed."""
    if source.is_file():
        yield source.name, source
        return
    for path in sorted(source.rglob("*")):
        if path.is_file():
            yield path.relative_to(source).as_posix(), path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
