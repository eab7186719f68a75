"""The training behind a model that was made elsewhere, from what its folder still has of it: an imported run.

    found = bring_history(Path("outputs/my-lora"), store, name="my-lora")   # run id, points, what is missing

Read as `bakeoff import` reads it, so that importing the same folder later finds the same run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from results.errors import ImportRefused
from results.files.reading import below
from results.importers.delivery import Delivery
from results.importers.names import absolute, is_usual
from results.importers.parcels import Parcel
from results.importers.trainings import trainer_runs

if TYPE_CHECKING:
    from results.store.store import Store


@dataclass(frozen=True)
class History:
    """What was found of a model's training."""

    run_id: str
    name: str
    source: str
    """The file and the tool."""
    points: int
    """Values of its curves."""
    settings: int
    """How many settings are known."""
    missing: tuple[str, ...]
    """What the files do not say, as sentences."""
    new: bool
    """False: the store had it already."""

    @property
    def words(self) -> str:
        """One line for a checklist."""
        curve = f"{self.points} points of its curves" if self.points else "no curve"
        return f"{curve} and {self.settings} settings of its training, from {self.source}"


def read_history(folder: Path) -> Parcel | None:
    """The training whose weights lie in a folder, told there or, for a checkpoint and the like, in the folder above.

    None where nothing is said. Raises: ImportRefused for files that cannot be read.
    """
    folder = absolute(folder)
    above = folder.parent
    tools_own = re.fullmatch(r"checkpoint-\d+", folder.name) or is_usual(folder.name)
    if tools_own and trainer_runs.is_run_folder(above):
        return trainer_runs.read_folder(above)
    if trainer_runs.is_run_folder(folder):
        return trainer_runs.read_folder(folder)
    return trainer_runs.read_settings(folder)


def bring_history(folder: Path, store: Store, name: str = "", dry_run: bool = False) -> History | None:
    """Import the training whose weights lie in a folder; None where nothing is said of it.

    name: the model's, which a new run gets too. dry_run: say what would come, write nothing.
    Raises: ImportRefused for files that cannot be read.
    """
    with below(folder):
        parcel = read_history(folder)
    if parcel is None:
        return None
    delivery = Delivery(store, [parcel], None, dry_run)
    items = delivery.items()
    if not items:
        raise ImportRefused("; ".join(delivery.refused))
    item, run = items[0], parcel.runs[0].run
    called = item.name
    if item.new and name and not dry_run and name not in {one.run.name for one in store.runs.list()}:
        called = store.runs.edit(item.id, name=name).name
    return History(item.id, called, run.source, item.points, len(run.config), item.missing, item.new)
