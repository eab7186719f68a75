"""The workspace: the folder that holds the store, checkpoints, models and logs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from results.errors import BakeoffError, NotFound

if TYPE_CHECKING:
    from results.artifacts import Artifacts
    from results.store.store import Store

DEFAULT = "workspace"
STORE_FILE = "results.db"
SPOOL = "spool"


@dataclass(frozen=True)
class Workspace:
    """`Workspace(folder)`. The folder is made when something is put into it."""

    path: Path
    """Absolute."""

    def __init__(self, folder: str | Path) -> None:
        object.__setattr__(self, "path", Path(folder).expanduser().absolute())

    @classmethod
    def open(cls, path: str | Path | None = None) -> Workspace:
        """The workspace at `path`, else at BAKEOFF_WORKSPACE, else ./workspace."""
        return cls(path or os.environ.get("BAKEOFF_WORKSPACE") or DEFAULT)

    @property
    def store_url(self) -> str:
        """BAKEOFF_DATABASE_URL where set, else the SQLite file in the workspace."""
        return os.environ.get("BAKEOFF_DATABASE_URL") or f"sqlite:///{self.path / STORE_FILE}"

    def store(self, url: str | Path | None = None) -> Store:
        """Open the store, by another URL where given. Raises as `Store` does."""
        from results.store.store import Store

        if url is None and "BAKEOFF_DATABASE_URL" not in os.environ:
            self.folder()
        return Store(url or self.store_url, spool=self.path / SPOOL)

    def existing(self) -> Workspace:
        """Itself, for who only reads. Raises NotFound, naming place and remedy, where no store is; makes nothing."""
        file = self._store_file()
        if file is not None and not file.is_file():
            missing = f"workspace at {self.path}" if not self.path.exists() else f"store at {file}"
            raise NotFound(f"there is no {missing}; name the one you mean with --workspace, or begin one: bakeoff demo")
        return self

    @contextmanager
    def passing_store(self) -> Iterator[Store]:
        """The store; where there is none, an empty one that is gone after the block: for who asks before the first."""
        file = self._store_file()
        if file is None or file.is_file():
            with self.store() as store:
                yield store
            return
        with tempfile.TemporaryDirectory() as folder, self.store(Path(folder, STORE_FILE)) as store:
            yield store

    def _store_file(self) -> Path | None:
        """The SQLite file that `store` opens; None where a server keeps the store."""
        from results.schema.database import Database

        return Database(self.store_url).file

    @staticmethod
    def existing_store(place: str) -> Store:
        """Another store: of a workspace folder, an SQLite file or a URL. Raises NotFound where there is none."""
        if "://" not in place and not (file := _store_file(place)).is_file():
            raise NotFound(f"no store at {file}; give a workspace folder, an SQLite file or a postgresql:// URL")
        return Workspace.any_store(place)

    @staticmethod
    def any_store(place: str) -> Store:
        """A store of a workspace folder, an SQLite file or a URL, made where there is none. Raises as `Store` does."""
        from results.store.store import Store

        if "://" in place:
            return Store(place)
        file = _store_file(place)
        return Store(file, spool=file.parent / SPOOL)

    def artifacts(self) -> Artifacts:
        """Where models are shared: the folder or URL in BAKEOFF_ARTIFACTS, else `artifacts` in the workspace."""
        from results.artifacts import Artifacts

        return Artifacts(os.environ.get("BAKEOFF_ARTIFACTS") or str(self.path / "artifacts"))

    def folder(self, *parts: str) -> Path:
        """The folder at `parts` in the workspace, made where missing. Raises BakeoffError if that cannot be."""
        folder = self.path.joinpath(*parts)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise BakeoffError(
                f"cannot make {folder}: {reason}; choose a folder you may write with --workspace"
            ) from error
        return folder

    def relative(self, path: str | Path) -> str:
        """A path as a record keeps it: relative where inside the workspace, else absolute; a URL as it is."""
        if "://" in str(path):
            return str(path)
        absolute = Path(path).expanduser().absolute()
        return absolute.relative_to(self.path).as_posix() if absolute.is_relative_to(self.path) else str(absolute)

    def resolve(self, path: str | Path) -> Path:
        """The path on this machine that `relative` took apart."""
        return self.path / path


def _store_file(place: str) -> Path:
    """The SQLite file of a workspace folder, or the path itself."""
    path = Path(place).expanduser().absolute()
    return path / STORE_FILE if path.is_dir() else path
