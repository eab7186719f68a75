"""The published studies that ship with the project: their figures as data, loaded into `store.published`.

One YAML file per study in `experiments/published/`: study, source, and `results`, each a subject, a metric and a value.
A CSV beside it may hold a curve: `curves` names the file, its step and value columns.

Try: bakeoff decide --study B
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.analysis.deciding.decision import decide_counts
from results.analysis.findings import MARGIN, Decision
from results.errors import BakeoffError, FileUnreadable, NotFound
from results.files.documents import read_yaml
from results.files.reading import read_text
from results.files.yaml_text import short_repr
from results.records import PublishedResult

if TYPE_CHECKING:
    from results.store.store import Store

FOLDER = Path(__file__).resolve().parent.parent / "experiments" / "published"


def read_published(folder: Path = FOLDER) -> list[PublishedResult]:
    """All figures of all studies in `folder`. Raises: BakeoffError naming the file and what is wrong with it."""
    found: list[PublishedResult] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found += _study(read_yaml(path), path.parent)
        except (KeyError, TypeError, ValueError, FileUnreadable) as error:
            raise BakeoffError(f"{path.name}: not a published study: {short_repr(error)}") from error
    return found


def load_published(store: Store, folder: Path = FOLDER) -> int:
    """Put the studies' figures into `store.published`; how many there are. Loading again changes nothing."""
    found = read_published(folder)
    store.published.add(found)
    return len(found)


def decide_published(store: Store, study: str, margin: float = MARGIN) -> Decision:
    """Judge a study's pass counts (metric passed, with n) from totals alone.

    `study` is the whole name or its letter. Raises: NotFound, naming the studies that have counts.
    """
    load_published(store)
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for one in store.published.list():
        if one.metric == "passed" and one.n:
            counts.setdefault(one.study, {})[one.subject] = (round(one.value), one.n)
    for name, table in counts.items():
        letter = name.lower().split(":")[0]
        if study.lower() in (name.lower(), letter, letter.removeprefix("study ")):
            return decide_counts(table, margin=margin)
    raise NotFound(f"No published study {study!r} with pass counts. There are: {', '.join(counts) or 'none'}")


def _study(text: Mapping[str, Any], folder: Path) -> Iterator[PublishedResult]:
    study, source = str(text["study"]), str(text["source"])
    for entry in text["results"]:
        yield PublishedResult(
            study=study,
            subject=str(entry["subject"]),
            metric=str(entry["metric"]),
            item=str(entry.get("item", "")),
            value=float(entry["value"]),
            unit=str(entry.get("unit", "")),
            n=entry.get("n"),
            source=source,
            details=entry.get("details") or {},
        )
    for curve in text.get("curves", ()):
        lines = io.StringIO(read_text(folder / curve["file"]), newline="")
        for row in csv.DictReader(lines):
            yield PublishedResult(
                study=study,
                subject=str(curve["subject"]),
                metric=str(curve["metric"]),
                item=f"step {int(row[curve['step']]):04d}",
                value=float(row[curve["value"]]),
                unit=str(curve["unit"]),
                source=source,
                details={"step": int(row[curve["step"]])},
            )
