"""Runs and results made elsewhere, into the store. `import_path` finds out what a file or folder is.

Readers (one module per family of formats) make a `Parcel` and write nothing; `delivery` stores it. Nothing is
unpickled. What comes in is marked as imported, with its source; importing it again changes nothing, and two things
that differ in anything are two (`recognition`).

Try: bakeoff import outputs/my-run --dry-run
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.analysis.json_values import plain
from results.errors import ImportRefused
from results.importers.delivery import Delivery, ImportedItem
from results.importers.detection import KNOWN, read_all, read_file
from results.importers.names import absolute

if TYPE_CHECKING:
    from results.store.store import Store


@dataclass(frozen=True)
class ImportReport:
    """What an import found and did."""

    path: str
    dry_run: bool
    items: tuple[ImportedItem, ...]
    refused: tuple[str, ...] = ()
    """Files in the folder that could not be imported, with the reason."""
    notes: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    """Models that were called after their place, since no file names them: `model` could have."""
    passed_over: tuple[str, ...] = ()
    """What in the folder was not read: of no known kind, or told twice."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return plain(self)


def import_path(path: str | Path, store: Store, dry_run: bool = False, model: str | None = None) -> ImportReport:
    """Import a file, or everything in a folder that is of a known kind.

    `model`: name or id of a model in the store that the evaluations are of, or the name of a new one; without it each
    file's model is registered under a name of its own. `dry_run` reads everything and writes nothing.
    Raises: ImportRefused naming the file and the reason, if there was nothing else to import, or if `model` would be
    several; NotFound for `model` where there are only runs.
    """
    path = absolute(path)
    found = read_all(path)
    if not found.parcels:
        reasons = [*found.refused, *found.passed_over]
        raise ImportRefused("; ".join(reasons[:5]) or f"{path.name}: nothing of a known kind in it. {KNOWN}")
    delivery = Delivery(store, found.parcels, model, dry_run)
    items = delivery.items()
    reasons = [*found.refused, *delivery.refused]
    if not items:
        raise ImportRefused("; ".join(reasons[:5]))
    notes = dict.fromkeys([*(note for parcel in found.parcels for note in parcel.notes), *delivery.notes])
    over = tuple(dict.fromkeys(found.passed_over))
    unnamed = tuple(dict.fromkeys(delivery.unnamed))
    return ImportReport(path.name, dry_run, tuple(items), tuple(reasons), tuple(notes), unnamed, over)


__all__ = ["ImportReport", "ImportedItem", "import_path", "read_file"]
