"""Artifacts: models' files in a place that several machines reach: a folder, or any URL that fsspec knows.

An artifact is one file or one folder under a name. Each file lies there under its SHA-256, and a manifest, written
last, says which belong to it: an upload that was interrupted does not exist, one that replaces another is seen whole or
not at all, and the next attempt sends only what is not there yet. Every file is checked on the way back.
Credentials come from the environment, as the file system's own library reads them, and never from the URL.

Try: BAKEOFF_ARTIFACTS=s3://bucket/team bakeoff store upload
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from results.errors import BakeoffError, NotFound
from results.records import Progress
from results.shortages import needs, shortage

MANIFEST = ".bakeoff.json"
PARTS = ".bakeoff"
"""Folder of an artifact's files, each under its digest. Artifacts of before have their files under their own names."""

LIBRARIES = {"s3": "s3fs", "s3a": "s3fs"}
"""Scheme → the library of ours that has its file system."""

WITHOUT_FOLDERS = {"s3", "s3a", "gs", "gcs", "abfs", "az"}
"""Object stores: to make a folder there means nothing, or to make a bucket that nobody asked for."""

ATTEMPTS = 3
"""How often a download begins anew because the artifact was replaced under it."""


class Artifacts:
    """`Artifacts("s3://bucket/folder")`, `Artifacts("/mnt/team")`."""

    def __init__(self, root: str) -> None:
        """Raises BakeoffError for a URL that fsspec has no file system for, or that holds a password."""
        import fsspec

        address = urlsplit(root)
        secret = any("secret" in name or "password" in name or "token" in name for name, _ in parse_qsl(address.query))
        if address.scheme and (address.password is not None or secret):
            raise BakeoffError(
                f"the artifacts' URL {address.scheme}://… holds a password: take it out and put it into the "
                "environment, where its library looks for it (S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
            )
        try:
            # anew each time: a kept one would know the environment, and the connections, of before
            self._system, self._root = fsspec.core.url_to_fs(root, skip_instance_cache=True)
        except (ImportError, ValueError) as error:
            remedy = needs(LIBRARIES.get(address.scheme, "")) or f"{error}; install fsspec's package for it"
            raise BakeoffError(f"no file system for {address.scheme}://: {remedy}") from error
        protocol = self._system.protocol
        self._protocols = {protocol} if isinstance(protocol, str) else set(protocol)

    def put(self, source: Path, name: str, progress: Progress | None = None) -> bool:
        """Upload a file or folder; False if it is there already, bit for bit. Raises: NotFound, BakeoffError.

        progress: told bytes. Files that an interrupted upload brought whole are not sent again.
        """
        target = self._place(name)
        if not source.exists():
            raise NotFound(f"{source} does not exist, so it cannot be stored as {name!r}")
        found = list(_files(source))
        digests = {relative: _sha256(path) for relative, path in found}
        with self._errors(name):
            self._system.invalidate_cache()
            before = self._manifest(target) or {"folder": None, "files": {}}
            if (before["folder"], before["files"]) == (source.is_dir(), digests):
                return False
            total, done = sum(path.stat().st_size for _, path in found), 0
            for relative, path in found:
                tell = partial(_tell, progress, name, done, total)
                self._keep(path, f"{target}/{PARTS}/{digests[relative]}", tell)
                done += path.stat().st_size
                tell(value=path.stat().st_size)
            manifest = {"parts": PARTS, "folder": source.is_dir(), "files": digests}
            with tempfile.TemporaryDirectory() as folder:
                written = Path(folder, MANIFEST)
                written.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
                self._send(written, f"{target}/{MANIFEST}")
            self._sweep(target, before, set(digests.values()))
        return True

    def get(self, name: str, target: Path) -> None:
        """Download to `target`, which appears only when it is complete and its digests agree.

        Raises: NotFound (no such artifact), BakeoffError (a digest differs, or the place cannot be reached).
        """
        place = self._place(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._errors(name), tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as folder:
            content = Path(folder, "content")
            manifest = self._fetched(name, place, content)
            if target.is_dir():
                shutil.rmtree(target)
            fetched = content if manifest["folder"] else content.joinpath(*manifest["files"])
            fetched.replace(target)

    def _fetched(self, name: str, place: str, content: Path) -> dict[str, Any]:
        """Download an artifact's files below `content`; begun anew where another has taken its place meanwhile."""
        for attempt in range(ATTEMPTS):
            self._system.invalidate_cache()
            manifest = self._manifest(place)
            if manifest is None:
                raise NotFound(f"no artifact {name!r} in {self._root}; upload it there: bakeoff store upload")
            try:
                for relative, digest in manifest["files"].items():
                    path = content / _safe(relative)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._system.get_file(self._part(place, manifest, relative), str(path))
                    if _sha256(path) != digest:
                        raise BakeoffError(
                            f"{name}/{relative} in {self._root} is not what was uploaded; remove it there and upload "
                            "it again"
                        )
                return manifest
            except FileNotFoundError:
                if attempt + 1 == ATTEMPTS or self._manifest(place) == manifest:
                    raise
                shutil.rmtree(content)
        raise AssertionError("unreachable")

    @staticmethod
    def _part(place: str, manifest: dict[str, Any], relative: str) -> str:
        """Where a file of an artifact lies."""
        if "parts" in manifest:
            return f"{place}/{_safe(manifest['parts'])}/{manifest['files'][relative]}"
        return f"{place}/{relative}"

    def _keep(self, path: Path, place: str, tell: Callable[..., None]) -> None:
        """Upload a file unless it is there, whole."""
        with suppress(FileNotFoundError):
            if self._system.info(place)["size"] == path.stat().st_size:
                return
        self._send(path, place, tell)

    def _send(self, path: Path, place: str, tell: Callable[..., None] = lambda **_: None) -> None:
        """Upload a file; it appears whole. Object stores do so by themselves, elsewhere it is renamed at the end."""
        from fsspec.callbacks import Callback

        if self._protocols & WITHOUT_FOLDERS:
            told = Callback(hooks={"tell": lambda size, value, **_: tell(value=value)})  # noqa: ARG005
            self._system.put_file(str(path), place, callback=told)
            return
        self._system.makedirs(str(PurePosixPath(place).parent), exist_ok=True)
        coming = f"{place}.{uuid.uuid4().hex[:8]}"
        self._system.put_file(str(path), coming)
        self._system.mv(coming, place)

    def _sweep(self, target: str, before: dict[str, Any], wanted: set[str]) -> None:
        """Remove the files that only the artifact of before had. What another upload brings just now is not touched."""
        for relative, digest in before["files"].items():
            if "parts" not in before or digest not in wanted:
                with suppress(OSError):
                    self._system.rm_file(self._part(target, before, relative))

    def exists(self, name: str) -> bool:
        """Whether the artifact is there, complete."""
        with self._errors(name):
            self._system.invalidate_cache()
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
        except (BakeoffError, TypeError, AttributeError, AssertionError):  # the latter are bugs
            raise
        except Exception as error:  # each file system has its own
            said = str(error).strip().split("\n")[0]
            reason = shortage(error) or (
                f"{type(error).__name__}: {said}; mend that and give the same command again: "
                "files that were uploaded whole are kept"
            )
            raise BakeoffError(f"{name!r} in {self._root}: {reason}") from error


def _tell(progress: Progress | None, name: str, done: int, total: int, value: int) -> None:
    """Say how many bytes of an upload are sent: those of the files before, and `value` of this one."""
    if progress is not None:
        progress(f"uploading {name} (bytes)", done + value, total)


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
