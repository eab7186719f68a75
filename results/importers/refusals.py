"""Why a foreign file is not imported, by its name: it cannot be, or it is nothing that is known here."""

from __future__ import annotations

from pathlib import Path

from results.errors import ImportRefused
from results.importers.names import source_of


class UnknownKind(ImportRefused):
    """A file can be read, but is nothing that is known here. `what` is the file and what it is, without the remedy."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}. {remedy}" if remedy else what)
        self.what = what


def refused(path: Path, reason: str) -> ImportRefused:
    """The error for a file, by its name and the reason."""
    return ImportRefused(f"{source_of(path)}: {reason}")


def unknown(path: Path, reason: str, remedy: str = "") -> UnknownKind:
    """The error for a file of another kind."""
    return UnknownKind(f"{source_of(path)}: {reason}", remedy)
